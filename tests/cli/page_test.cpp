// SPDX-License-Identifier: MIT
// Pages in a real browser, where there is one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "cli/disk_problem.hpp"
#include "qnudge/report/html_page.hpp"

namespace qnudge {
namespace {

namespace fs = std::filesystem;
using test::contents;
using test::run;
using ::testing::HasSubstr;
using ::testing::Not;

const char* const kBrowser = "/usr/bin/chromium";

class Page : public ::testing::Test {
 protected:
  void SetUp() override {
    if (plotting_library().empty()) GTEST_SKIP() << "built without Chart.js (package libjs-chart.js)";
    if (!fs::exists(kBrowser)) GTEST_SKIP() << "there is no " << kBrowser;
  }

  /// What the page has become after its scripts, with its complaints in front.
  std::string shown(const fs::path& page, const char* flags) const {
    const std::string dom = disk_.path("dom.html"), log = disk_.path("log.txt");
    const std::string command = fmt::format(
        "timeout 100 {} --headless=new --no-sandbox --disable-gpu --user-data-dir={} --virtual-time-budget=3000 "
        "--enable-logging=stderr {} --dump-dom 'file://{}' >{} 2>{}",
        kBrowser, disk_.path("profile"), flags, fs::absolute(page).string(), dom, log);
    EXPECT_EQ(std::system(command.c_str()), 0) << contents(log);
    EXPECT_THAT(contents(log), Not(HasSubstr("CONSOLE"))) << page;
    return contents(dom);
  }

  /// Every canvas has got its size, which Chart.js gives to what it draws.
  void expect_drawn(const std::string& dom, int least) const {
    int plots = 0;
    for (std::size_t at = dom.find("<canvas"); at != dom.npos; at = dom.find("<canvas", at + 1)) {
      EXPECT_THAT(dom.substr(at, dom.find('>', at) - at), HasSubstr("box-sizing: border-box"));
      ++plots;
    }
    EXPECT_GE(plots, least);
  }

  test::DiskProblem disk_;
};

TEST_F(Page, OfARunIsDrawnWithoutComplaint) {
  ASSERT_EQ(run({"tune", disk_.config(), "-q"}).code, 0);
  for (const char* scheme : {"--blink-settings=preferredColorScheme=0", "--blink-settings=preferredColorScheme=1"}) {
    expect_drawn(shown(disk_ / "run" / "report.html", scheme), 5);
  }
}

TEST_F(Page, OfASweepIsDrawnWithoutComplaint) {
  for (const char* axes : {R"({"quant.grid.bits": [2, 3], "seed": [1, 2]})", R"({"search.start": ["nearest", "bias"]})",
                           R"({"quant.grid.bits": [2, 3], "search.start": ["nearest", "bias"]})"}) {
    fs::remove_all(disk_ / "sweep");
    std::ofstream(disk_.path("sweep.json"))
        << fmt::format(R"({{"base": "{}", "axes": {}, "out": "{}"}})", disk_.config(), axes, disk_.path("sweep"));
    ASSERT_EQ(run({"sweep", disk_.path("sweep.json"), "-q"}).code, 0);
    expect_drawn(shown(disk_ / "sweep" / "report.html", ""), 5);
  }
}

}  // namespace
}  // namespace qnudge
