// SPDX-License-Identifier: MIT
#include <algorithm>
#include <map>
#include <set>

#include "data/support.hpp"
#include "qnudge/core/random123.hpp"
#include "qnudge/data/dataset.hpp"

namespace qnudge {
namespace {
using testing::HasSubstr;

class Labels final : public Dataset {
 public:
  Labels(std::vector<std::int32_t> labels, std::int64_t classes) : labels_(std::move(labels)), classes_(classes) {}
  Shape shape() const override { return {1, 1, 1}; }
  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  std::int64_t classes() const override { return classes_; }
  std::span<const std::int32_t> labels() const override { return labels_; }
  void read(std::int64_t, std::span<float> out) const override { out[0] = 0; }
  const std::string& fingerprint() const override { return description_; }
  std::string description() const override { return description_; }

 private:
  std::vector<std::int32_t> labels_;
  std::int64_t classes_;
  std::string description_ = fmt::format("{} labels in {} classes", labels_.size(), classes_);
};

/// `n` labels of `classes` classes in a scrambled order, all classes equally often where `n` allows.
Labels balanced(std::int64_t n, std::int32_t classes) {
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < n; ++i) labels.push_back(static_cast<std::int32_t>(i * 7919 % n % classes));
  return {labels, classes};
}

std::set<std::int64_t> as_set(const Indices& indices) {
  const std::set<std::int64_t> set(indices.begin(), indices.end());
  EXPECT_EQ(set.size(), indices.size()) << "an index twice";
  return set;
}

std::int64_t imbalance(const Indices& indices, const Dataset& data) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(data.classes()));
  for (const std::int64_t i : indices) ++counts[static_cast<std::size_t>(data.labels()[static_cast<std::size_t>(i)])];
  const auto [least, most] = std::minmax_element(counts.begin(), counts.end());
  return *most - *least;
}

TEST(Splits, AreDisjointBalancedAndFull) {
  const Labels train = balanced(1003, 10), test = balanced(200, 10);
  for (const std::int64_t fitness : {1, 7, 100, 333, 400}) {
    for (const std::int64_t gate : {0, 1, 9, 100, 311}) {
      for (const std::int64_t calibration : {1, 8, 100, 334, 512}) {
        const Splits s = make_splits(train, test, {.calibration = calibration, .fitness = fitness, .gate = gate});
        EXPECT_EQ(static_cast<std::int64_t>(s.fitness.size()), fitness);
        EXPECT_EQ(static_cast<std::int64_t>(s.gate.size()), gate);
        EXPECT_EQ(static_cast<std::int64_t>(s.calibration.size()), calibration);
        const auto gates = as_set(s.gate);
        for (const Indices* other : {&s.fitness, &s.calibration}) {
          as_set(*other);
          EXPECT_LE(imbalance(*other, train), 1);
          for (const std::int64_t i : *other) EXPECT_FALSE(gates.contains(i));
        }
        EXPECT_LE(imbalance(s.gate, train), 1);
        const auto common = static_cast<std::ptrdiff_t>(std::min(fitness, calibration));
        EXPECT_TRUE(std::equal(s.fitness.begin(), s.fitness.begin() + common, s.calibration.begin()));
        EXPECT_FALSE(s.fitness_from_test);
      }
    }
  }
}

TEST(Splits, TestIsAllInFileOrderOrABalancedDraw) {
  const Labels train = balanced(300, 10), test = balanced(200, 10);
  const SplitRequest sizes{.calibration = 30, .fitness = 30, .gate = 30};
  const Splits all = make_splits(train, test, sizes);
  ASSERT_EQ(all.test.size(), 200u);
  for (std::size_t i = 0; i < 200; ++i) EXPECT_EQ(all.test[i], static_cast<std::int64_t>(i));
  SplitRequest some = sizes;
  some.test = 55;
  const Splits drawn = make_splits(train, test, some);
  EXPECT_EQ(as_set(drawn.test).size(), 55u);
  EXPECT_LE(imbalance(drawn.test, test), 1);
}

TEST(Splits, PaperProtocolScoresOnTheTestSet) {
  const Labels train = balanced(300, 10), test = balanced(200, 10);
  const SplitRequest held_out{.calibration = 60, .fitness = 60, .gate = 60};
  SplitRequest paper = held_out;
  paper.paper_protocol = true;
  paper.fitness = 200;
  const Splits a = make_splits(train, test, held_out), b = make_splits(train, test, paper);
  EXPECT_TRUE(b.fitness_from_test);
  EXPECT_EQ(as_set(b.fitness).size(), 200u);
  EXPECT_EQ(b.calibration, a.calibration) << "the protocols share calibration and gate";
  EXPECT_EQ(b.gate, a.gate);
}

TEST(Splits, FollowTheSeedAndNothingElse) {
  const Labels train = balanced(600, 10), test = balanced(100, 10);
  SplitRequest request{.calibration = 100, .fitness = 100, .gate = 100};
  const Splits a = make_splits(train, test, request), again = make_splits(train, test, request);
  EXPECT_EQ(a.fitness, again.fitness);
  EXPECT_EQ(a.gate, again.gate);
  EXPECT_EQ(a.calibration, again.calibration);
  EXPECT_EQ(a.calibration, a.fitness) << "equal sizes: the same images";
  for (const std::uint64_t seed : {std::uint64_t{0}, std::uint64_t{2}, std::uint64_t{1} << 32 | 1}) {
    request.seed = seed;
    EXPECT_NE(make_splits(train, test, request).fitness, a.fitness) << seed;
  }
}

/// The documented rule, written from scratch: per class sort by (word, index), then deal one of each class in turn.
TEST(Splits, EqualTheDocumentedRule) {
  const Labels train = balanced(103, 4), test = balanced(40, 4);
  constexpr std::uint64_t kSeed = 0x123456789ABCDEF;
  std::vector<std::map<std::pair<std::uint32_t, std::int64_t>, bool>> piles(4);
  std::vector<std::uint32_t> position(4);
  for (std::int64_t i = 0; i < train.size(); ++i) {
    const auto label = static_cast<std::uint32_t>(train.labels()[static_cast<std::size_t>(i)]);
    const std::uint32_t p = position[label]++;
    const U32x4 words = Random123Philox{}({{p / 4, label, 0, 1}}, static_cast<std::uint32_t>(kSeed), kSeed >> 32);
    piles[label][{words.v[p % 4], i}] = true;
  }
  Indices expected;
  while (expected.size() < 103) {
    for (auto& pile : piles) {
      if (pile.empty()) continue;
      expected.push_back(pile.begin()->first.second);
      pile.erase(pile.begin());
    }
  }
  const Splits s = make_splits(train, test, {.calibration = 4, .fitness = 50, .gate = 53, .seed = kSeed});
  EXPECT_TRUE(std::equal(s.fitness.begin(), s.fitness.end(), expected.begin()));
  EXPECT_TRUE(std::equal(s.gate.begin(), s.gate.end(), expected.begin() + 50));
}

/// Pinned, so that a run of today and one of next year draw the same images.
TEST(Splits, ArePinned) {
  const Labels train = balanced(100, 5), test = balanced(20, 5);
  const Splits s = make_splits(train, test, {.calibration = 7, .fitness = 5, .gate = 5, .test = 3});
  EXPECT_EQ(s.fitness, (Indices{65, 59, 68, 57, 71}));
  EXPECT_EQ(s.gate, (Indices{85, 89, 3, 2, 91}));
  EXPECT_EQ(s.calibration, (Indices{65, 59, 68, 57, 71, 15, 14}));
  EXPECT_EQ(s.test, (Indices{14, 15, 11}));
  const Splits one =
      make_splits(train, train, {.calibration = 7, .fitness = 5, .gate = 5, .test = 3, .test_from_train = true});
  EXPECT_EQ(one.fitness, (Indices{59, 65, 71, 57, 68}));
  EXPECT_EQ(one.test, (Indices{99, 20, 41}));
}

TEST(Splits, OneSetGivesDisjointSetsWhateverTheTestSetsSize) {
  const Labels set = balanced(203, 10);
  for (const bool paper : {false, true}) {
    SplitRequest request{
        .calibration = 30, .fitness = 40, .gate = 25, .test_from_train = true, .paper_protocol = paper};
    const Splits all = make_splits(set, set, request);
    EXPECT_TRUE(std::is_sorted(all.test.begin(), all.test.end()));
    EXPECT_EQ(all.test.size(), paper ? 148u : 138u) << "all that is left";
    request.test = 60;
    const Splits some = make_splits(set, set, request);
    EXPECT_EQ(some.test.size(), 60u);
    EXPECT_LE(imbalance(some.test, set), 1);
    EXPECT_EQ(some.calibration, all.calibration);
    EXPECT_EQ(some.fitness, all.fitness);
    EXPECT_EQ(some.gate, all.gate);
    for (const Splits* s : {&all, &some}) {
      const auto test = as_set(s->test), gate = as_set(s->gate);
      for (const std::int64_t i : s->calibration) EXPECT_FALSE(test.contains(i) || gate.contains(i)) << i;
      for (const std::int64_t i : s->gate) EXPECT_FALSE(test.contains(i)) << i;
      for (const std::int64_t i : s->fitness) EXPECT_TRUE(test.contains(i) == paper && !gate.contains(i)) << i;
    }
  }
}

TEST(Splits, TheGateCanBeTakenOutOfTheTestSet) {
  const Labels train = balanced(100, 5), test = balanced(83, 5);
  SplitRequest request{.calibration = 60, .fitness = 40, .gate = 30};
  const Splits usual = make_splits(train, test, request);
  request.gate_from_test = true;
  const Splits all = make_splits(train, test, request);
  EXPECT_TRUE(all.gate_from_test && !usual.gate_from_test);
  EXPECT_EQ(all.fitness, usual.fitness);
  EXPECT_EQ(all.gate.size(), 30u);
  EXPECT_LE(imbalance(all.gate, test), 1);
  EXPECT_TRUE(std::is_sorted(all.test.begin(), all.test.end()));
  std::set<std::int64_t> both = as_set(all.gate);
  both.merge(as_set(all.test));
  EXPECT_EQ(both.size(), 83u) << "every test image is in one of the two";
  EXPECT_EQ(all.test.size(), 53u);

  request.test = 20;
  const Splits some = make_splits(train, test, request);
  EXPECT_EQ(some.test.size(), 20u);
  EXPECT_EQ(some.gate, all.gate) << "how many test images are evaluated does not change the gate";
  EXPECT_LE(imbalance(some.test, test), 1);
  for (const std::int64_t i : some.gate) EXPECT_FALSE(as_set(some.test).contains(i)) << i;

  request.calibration = 100;  // the gate takes none of the training images
  EXPECT_EQ(make_splits(train, test, request).calibration.size(), 100u);
}

TEST(Splits, ASetSmallerThanTheClassesGetsDrawnOnes) {
  const Labels train = balanced(400, 100), test = balanced(100, 100);
  const auto classes_of = [](const Indices& indices, const Dataset& data) {
    std::set<std::int32_t> classes;
    for (const std::int64_t i : indices) classes.insert(data.labels()[static_cast<std::size_t>(i)]);
    return classes;
  };
  std::vector<int> hits(100);
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Splits s = make_splits(train, test, {.calibration = 20, .fitness = 20, .gate = 20, .test = 10, .seed = seed});
    EXPECT_EQ(classes_of(s.fitness, train).size(), 20u);
    EXPECT_EQ(classes_of(s.test, test).size(), 10u);
    for (const std::int32_t c : classes_of(s.fitness, train)) ++hits[static_cast<std::size_t>(c)];
  }
  for (const int count : hits) EXPECT_NEAR(count, 40, 6 * 5.7);  // six standard deviations of a binomial
}

TEST(Splits, EveryImageIsDrawnAboutEquallyOften) {
  const Labels train = balanced(40, 2), test = balanced(4, 2);
  std::vector<int> hits(40);
  constexpr int kSeeds = 4000;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const Splits s = make_splits(
        train, test, {.calibration = 10, .fitness = 10, .gate = 0, .seed = static_cast<std::uint64_t>(seed)});
    for (const std::int64_t i : s.fitness) ++hits[static_cast<std::size_t>(i)];
  }
  for (const int count : hits) EXPECT_NEAR(count, kSeeds / 4, 6 * 27.4);  // six standard deviations of a binomial
}

TEST(Splits, RareClassesAreUsedUp) {
  std::vector<std::int32_t> labels(50, 0);
  labels[3] = labels[20] = 1;  // class 2 has no image at all
  const Labels train(labels, 3), test({0, 1, 2}, 3);
  const Splits s = make_splits(train, test, {.calibration = 10, .fitness = 10, .gate = 40});
  EXPECT_TRUE(as_set(s.fitness).contains(3) && as_set(s.fitness).contains(20));
  EXPECT_EQ(s.calibration, s.fitness);
}

TEST(Splits, RefuseWhatTheSetsCannotGive) {
  const Labels train = balanced(100, 10), test = balanced(50, 10);
  const auto refused = [&](const SplitRequest& request) {
    return input_refusal([&] { make_splits(train, test, request); }, ErrorKind::usage);
  };
  EXPECT_EQ(refused({.calibration = 60, .fitness = 60, .gate = 40}), "");
  EXPECT_THAT(refused({.calibration = 60, .fitness = 61, .gate = 40}), HasSubstr("the training set has 100 images"));
  EXPECT_THAT(refused({.calibration = 61, .fitness = 60, .gate = 40}),
              HasSubstr("lower data.fitness, data.calibration or data.gate"));
  EXPECT_NE(refused({.calibration = 1, .fitness = 1, .gate = 101}), "");
  constexpr std::int64_t kHuge = std::numeric_limits<std::int64_t>::max();
  EXPECT_NE(refused({.calibration = kHuge, .fitness = kHuge, .gate = kHuge}), "");
  EXPECT_NE(refused({.calibration = kHuge, .fitness = 1, .gate = 1}), "");
  EXPECT_NE(refused({.calibration = 1, .fitness = -1, .gate = 1}), "");
  EXPECT_THAT(refused({.calibration = 1, .fitness = 1, .gate = 1, .test = 51}),
              HasSubstr("the test set has 50 images"));
  EXPECT_EQ(refused({.calibration = 50, .fitness = 50, .gate = 50, .paper_protocol = true}), "");
  EXPECT_THAT(refused({.calibration = 50, .fitness = 51, .gate = 50, .paper_protocol = true}),
              HasSubstr("lower data.fitness"));
  EXPECT_NE(refused({.calibration = 51, .fitness = 50, .gate = 50, .paper_protocol = true}), "");
  SplitRequest one{.calibration = 50, .fitness = 40, .gate = 49, .test = 1, .test_from_train = true};
  const auto refused_of_one = [&] { return input_refusal([&] { make_splits(train, train, one); }, ErrorKind::usage); };
  EXPECT_EQ(refused_of_one(), "");
  one.test = 2;
  EXPECT_THAT(refused_of_one(), HasSubstr("the other sets leave 1 for the test set, but data.test asks for 2"));
  one.test = 0;
  one.gate = 50;
  EXPECT_THAT(refused_of_one(), HasSubstr("the other sets leave 0 for the test set, but data.test asks for 1"));
  one.paper_protocol = true;
  one.gate = 20;
  EXPECT_THAT(refused_of_one(), HasSubstr("the test set has 30 images, but data.fitness asks for 40"));
  const auto refused_gate = [&](std::int64_t gate, std::int64_t tests) {
    return refused({.calibration = 1, .fitness = 1, .gate = gate, .test = tests, .gate_from_test = true});
  };
  EXPECT_EQ(refused_gate(49, 1), "");
  EXPECT_EQ(refused_gate(49, 0), "");
  EXPECT_THAT(refused_gate(50, 0), HasSubstr("data.gate asks for 50 of them, which leaves none"));
  EXPECT_THAT(refused_gate(40, 11), HasSubstr("has 10 images beside the gate's, but data.test asks for 11"));
  const Labels other = balanced(50, 9);
  EXPECT_THAT(input_refusal([&] { make_splits(train, other, {.calibration = 1, .fitness = 1, .gate = 1}); }),
              HasSubstr("differ in kind"));
}

}  // namespace
}  // namespace qnudge
