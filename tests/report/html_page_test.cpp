// SPDX-License-Identifier: MIT
#include "qnudge/report/html_page.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "qnudge/core/error.hpp"
#include "qnudge/report/sweep_results.hpp"

namespace qnudge {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kHostile = "</script><b>\"&'";

HtmlPage hostile_page() {
  HtmlPage page(kHostile);
  page.heading(kHostile);
  page.paragraph(kHostile);
  page.warning(kHostile);
  page.table(kHostile, {{kHostile, false}}, {{kHostile}}, true);
  page.plot(kHostile, kHostile, {{"kind", "lines"}, {"series", {{{"name", kHostile}}}}});
  return page;
}

TEST(HtmlPage, NoTextCanLeaveItsPlace) {
  const std::string text = hostile_page().text("library();");
  EXPECT_THAT(text, Not(HasSubstr(kHostile)));
  EXPECT_THAT(text, Not(HasSubstr("<b>")));
  EXPECT_THAT(text, HasSubstr("&lt;/script&gt;&lt;b&gt;&quot;&amp;'"));
  EXPECT_THAT(text, HasSubstr(R"(\u003c/script>\u003cb>\"&')")) << "in the numbers of the plots";
}

TEST(HtmlPage, NeedsNothingFromOutside) {
  const std::string text = hostile_page().text(plotting_library());
  for (const char* reference : {"src=", "@import", "url(", "fetch(", "XMLHttpRequest"}) {
    EXPECT_THAT(text, Not(HasSubstr(reference)));
  }
  EXPECT_THAT(text, HasSubstr("prefers-color-scheme: dark"));
}

TEST(HtmlPage, CarriesTheLibrarysLicence) {
  if (plotting_library().empty()) GTEST_SKIP() << "built without Chart.js (package libjs-chart.js)";
  const std::string text = hostile_page().text(plotting_library());
  EXPECT_THAT(text, HasSubstr("Chart.js Contributors"));
  EXPECT_THAT(text, HasSubstr("The above copyright notice and this permission notice shall be included"));
}

TEST(HtmlPage, WithoutTheLibraryTablesAndASentenceRemain) {
  const std::string text = hostile_page().text("");
  EXPECT_THAT(text, HasSubstr("The plots are missing"));
  EXPECT_THAT(text, HasSubstr("<td>&lt;/script&gt;"));
  EXPECT_THAT(text, Not(HasSubstr("<script")));
  EXPECT_THAT(text, Not(HasSubstr("<canvas")));
}

TEST(HtmlPage, RowsMustFit) {
  HtmlPage page("title");
  EXPECT_THROW(page.table("caption", {{"a"}, {"b"}}, {{"1"}}), Error);
}

SweepResults hostile_sweep() {
  SweepResults sweep{.folder = "folder", .axes = {"model", "seed"}, .entries = {}};
  sweep.entries.push_back({.name = "a", .values = {"x,\"y\".onnx", "1"}, .error = {}, .run = {}});
  sweep.entries.push_back({.name = "b",
                           .values = {"z.onnx", "18446744073709551615"},
                           .status = SweepEntry::Status::failed,
                           .error = "z.onnx: is \"broken\",\nso it is",
                           .run = {}});
  return sweep;
}

TEST(SweepResults, CsvQuotesWhatItMust) {
  EXPECT_EQ(results_csv(hostile_sweep()),
            "run,model,seed,status,error\r\n"
            "a,\"x,\"\"y\"\".onnx\",1,open,\r\n"
            "b,z.onnx,18446744073709551615,failed,\"z.onnx: is \"\"broken\"\",\nso it is\"\r\n");
}

TEST(SweepResults, JsonLinesHoldEveryRun) {
  const std::string text = results_jsonl(hostile_sweep());
  EXPECT_EQ(text,
            "{\"run\":\"a\",\"values\":{\"model\":\"x,\\\"y\\\".onnx\",\"seed\":1},\"status\":\"open\"}\n"
            "{\"run\":\"b\",\"values\":{\"model\":\"z.onnx\",\"seed\":18446744073709551615},\"status\":\"failed\","
            "\"error\":\"z.onnx: is \\\"broken\\\",\\nso it is\"}\n");
}

TEST(SweepResults, TheTableListsFailedRunsWithTheirSentence) {
  const std::string text = sweep_text(hostile_sweep());
  EXPECT_THAT(text, HasSubstr("failed  b: z.onnx: is \"broken\""));
  EXPECT_THAT(text, HasSubstr("0 of 2 runs done, 1 failed, 1 open"));
}

}  // namespace
}  // namespace qnudge
