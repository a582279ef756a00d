// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace qnudge {

/// The plotting library (Chart.js, minified) that was found when qnudge was built; empty if there was none.
std::string_view plotting_library();

/// Text as it may stand between tags or in a quoted attribute.
std::string html_escaped(std::string_view text);

/// An HTML page that needs nothing but itself: style, numbers, plots and the library that draws them, light and dark by
/// the reader's preference. The same calls give the same bytes.
class HtmlPage {
 public:
  using Json = nlohmann::ordered_json;
  struct Column {
    std::string title;
    bool number = true;  ///< right-aligned
  };

  explicit HtmlPage(std::string title) : title_(std::move(title)) {}

  void heading(std::string_view text);
  void paragraph(std::string_view text);
  void warning(std::string_view text);
  /// Rows of as many cells as there are columns, else Error(kind internal). `folded`: shown on demand.
  void table(std::string_view caption, const std::vector<Column>& columns,
             const std::vector<std::vector<std::string>>& rows, bool folded = false);
  /// `plot` as host/report/page.js reads it; `description` says what it shows to those who do not see it.
  void plot(std::string_view caption, std::string_view description, Json plot);

  /// The page. Without `library` there are no plots, and a sentence says so.
  std::string text(std::string_view library) const;

 private:
  struct Part {
    std::string html;
    bool plot = false;
  };

  std::string title_;
  std::vector<Part> parts_;
  std::vector<Json> plots_;
};

}  // namespace qnudge
