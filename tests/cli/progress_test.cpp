// SPDX-License-Identifier: MIT
#include "qnudge/cli/progress.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <sstream>

#include "support/toy_problem.hpp"

namespace qnudge {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST(SearchCosts, CountTheLayerAndEverythingBehindIt) {
  const IntNetwork network = lower(test::toy_graph(), BatchNormMode::separate);
  const auto costs = search_costs(network, {"conv2"});
  ASSERT_EQ(costs.size(), 2u);
  const double conv1 = 36 * 8 * 27, conv2 = 36 * 8 * 72, fc = 40;
  EXPECT_EQ(costs.at("conv1"), conv1 + conv2 + fc);
  EXPECT_EQ(costs.at("fc"), fc);
}

TEST(SearchClock, ExtrapolatesByCost) {
  SearchClock clock({{"a", 30}, {"b", 10}});
  EXPECT_FALSE(clock.remaining(0, 0)) << "nothing runs yet";
  clock.layer_started("a", 1, 0, 10, 0);
  EXPECT_FALSE(clock.remaining(0, 1)) << "no generation is done";
  EXPECT_DOUBLE_EQ(*clock.remaining(5, 3), 3.0 / 15 * (15 + 10));
  clock.layer_finished(6);
  clock.layer_started("b", 0, 0, 10, 6);
  EXPECT_DOUBLE_EQ(*clock.remaining(5, 7), 7.0 / 35 * 5);
  EXPECT_DOUBLE_EQ(*clock.remaining(10, 8), 0);
}

TEST(SearchClock, AResumedLayerCountsOnlyItsNewGenerations) {
  SearchClock clock({{"a", 8}, {"b", 8}});
  clock.layer_started("a", 1, 6, 8, 100);
  EXPECT_FALSE(clock.remaining(6, 101));
  EXPECT_DOUBLE_EQ(*clock.remaining(7, 102), 2.0 / 1 * (1 + 8));
}

TEST(SearchClock, UnknownLayersCountAsTheMean) {
  SearchClock clock({{"a", 10}, {"b", 30}});
  clock.layer_started("stranger", 2, 0, 2, 0);
  EXPECT_DOUBLE_EQ(*clock.remaining(1, 1), 1.0 / 10 * (10 + 2 * 20));
}

/// What a log that is no terminal gets to see.
class PlainProgress : public testing::Test {
 protected:
  Progress::Options options(bool show = true) {
    return {.fitness = FitnessKind::top1,
            .images = 100,
            .offspring = 4,
            .by_channel = by_channel_,
            .leaky = leaky_,
            .show = show,
            .costs = {},
            .signals = nullptr};
  }
  void play(bool show = true) {
    Terminal terminal(out_, err_);
    const LogScope log(terminal, Verbosity::normal);
    Progress progress(terminal, options(show));
    progress.stage("reference");
    progress.stage("search");
    Mailbox mailbox;
    mailbox.best = 50;
    progress.layer_started(0, 2, "conv1", 10, mailbox);
    mailbox.generation = 10;
    mailbox.candidate_images = 1000;
    progress.layer_finished(0, 2, "conv1", 50, 60);
    progress.note("The gate kept it.");
  }

  bool leaky_ = false, by_channel_ = false;
  std::ostringstream out_, err_;
};

TEST_F(PlainProgress, WritesALinePerStageLayerAndNote) {
  play();
  EXPECT_THAT(out_.str(), IsEmpty());
  const std::string log = err_.str();
  EXPECT_THAT(log, HasSubstr("float reference"));
  EXPECT_THAT(log, HasSubstr("layer 1/2 conv1: 50.00 % -> 60.00 %, "));
  EXPECT_THAT(log, HasSubstr("note: The gate kept it.\n"));
  EXPECT_THAT(log, Not(HasSubstr("\r")));
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 4);
}

TEST_F(PlainProgress, LabelsLeakyNumbers) {
  leaky_ = true;
  play();
  EXPECT_THAT(err_.str(), HasSubstr("LEAKY"));
  EXPECT_THAT(err_.str(), HasSubstr("60.00 % (leaky)"));
}

TEST_F(PlainProgress, SquaredErrorsAreShownByTheirChange) {
  by_channel_ = true;
  play();
  EXPECT_THAT(err_.str(), HasSubstr("layer 1/2 conv1: objective +20.00 %, "));
}

TEST_F(PlainProgress, CandidatesAreCountedWhereNoImagesAre) {
  Terminal terminal(out_, err_);
  Progress::Options by_gram = options();
  by_gram.by_channel = true;
  by_gram.offspring = 8;
  Progress progress(terminal, by_gram);
  Mailbox mailbox;
  mailbox.best = -50;
  progress.layer_started(0, 1, "fc", 10, mailbox);
  mailbox.generation = 10;
  progress.layer_finished(0, 1, "fc", -50, -40);
  EXPECT_THAT(err_.str(), HasSubstr(" candidates/s, "));
  EXPECT_THAT(err_.str(), Not(HasSubstr("-/s")));
  EXPECT_THAT(err_.str(), Not(HasSubstr("candidate-images")));
  EXPECT_THAT(err_.str(), Not(HasSubstr(" 0 candidates")));
}

TEST(FittingLine, KeepsWhatMovesAtAnyWidth) {
  const std::vector<StatusPart> parts = {{"layer 12/104", 0},
                                         {"[####------]", 5},
                                         {"gen 100/4000", 0},
                                         {"71.25 % (leaky)", 3},
                                         {"1.23 M/s", 2},
                                         {"ETA 12 min 30 s", 1},
                                         {"layer3.0.downsample.conv", 4}};
  EXPECT_EQ(fitting_line(parts, 200),
            "layer 12/104  [####------]  gen 100/4000  71.25 % (leaky)  1.23 M/s  ETA 12 min 30 s  "
            "layer3.0.downsample.conv");
  EXPECT_EQ(fitting_line(parts, 79), "layer 12/104  gen 100/4000  71.25 % (leaky)  1.23 M/s  ETA 12 min 30 s");
  EXPECT_EQ(fitting_line(parts, 45), "layer 12/104  gen 100/4000  ETA 12 min 30 s");
  EXPECT_EQ(fitting_line(parts, 39), "layer 12/104  gen 100/4000");
  EXPECT_EQ(fitting_line({{"\u4e2d\u6587", 0}, {"x", 1}}, 5), "\u4e2d\u6587  x") << "columns, not bytes";
}

TEST_F(PlainProgress, CanBeSilent) {
  play(false);
  EXPECT_THAT(err_.str(), Not(HasSubstr("layer")));
}

TEST(Terminal, LogLinesFollowTheVerbosity) {
  std::ostringstream out, err;
  Terminal terminal(out, err);
  {
    const LogScope log(terminal, Verbosity::quiet);
    spdlog::warn("hidden");
    spdlog::error("broken");
  }
  {
    const LogScope log(terminal, Verbosity::verbose);
    spdlog::debug("detail");
    spdlog::warn("careful");
  }
  spdlog::error("nobody listens any more");
  EXPECT_EQ(err.str(), "error: broken\ndebug: detail\nwarning: careful\n");
}

TEST(Terminal, NamesCannotMoveTheCursor) {
  std::ostringstream out, err;
  Terminal(out, err).line("a/z\033[31m\nx.png: is \u202egnp\u2028.");
  EXPECT_EQ(err.str(), "a/z?[31m?x.png: is ?gnp?.\n");
}

TEST(Terminal, StatusNeedsATerminal) {
  std::ostringstream out, err;
  Terminal terminal(out, err);
  terminal.status("redrawn");
  EXPECT_FALSE(terminal.interactive());
  EXPECT_THAT(err.str(), IsEmpty());
}

TEST(StopSignals, SetTheFlagAndGiveTheOldHandlingBack) {
  struct sigaction before {
  }, after{};
  ::sigaction(SIGINT, nullptr, &before);
  {
    StopSignals signals;
    EXPECT_FALSE(signals.flag());
    ::raise(SIGINT);
    EXPECT_TRUE(signals.flag());
    ::raise(SIGTERM);
    EXPECT_EQ(signals.received(), 2);
  }
  ::sigaction(SIGINT, nullptr, &after);
  EXPECT_EQ(before.sa_handler, after.sa_handler);
  EXPECT_FALSE(StopSignals().flag()) << "a new run starts without a stop";
}

}  // namespace
}  // namespace qnudge
