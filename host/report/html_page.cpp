// SPDX-License-Identifier: MIT
#include "qnudge/report/html_page.hpp"

#include <fmt/format.h>

#include "page_assets.hpp"
#include "qnudge/core/error.hpp"
#include "qnudge/core/printable.hpp"
#include "qnudge/report/version.hpp"

namespace qnudge {
namespace {

constexpr const char* kWithoutPlots =
    "The plots are missing: this qnudge was built without Chart.js (package libjs-chart.js). The tables hold the same "
    "numbers.";

/// JSON that cannot end the script element which holds it.
std::string script_json(const nlohmann::ordered_json& value) {
  std::string text;
  for (const char c : value.dump(-1, ' ', true, nlohmann::ordered_json::error_handler_t::replace)) {
    c == '<' ? text += "\\u003c" : text += c;
  }
  return text;
}

}  // namespace

std::string_view plotting_library() {
  return kChartLibrary;
}

std::string html_escaped(std::string_view text) {
  std::string escaped;
  for (const char c : cleaned(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

/// Escaped, and free to be broken behind dots and underscores: keys are long.
std::string breakable(std::string_view text) {
  std::string html;
  for (const char c : html_escaped(text)) {
    html += c;
    if (c == '.' || c == '_') html += "<wbr>";
  }
  return html;
}

void HtmlPage::heading(std::string_view text) {
  parts_.push_back({fmt::format("<h2>{}</h2>\n", html_escaped(text))});
}

void HtmlPage::paragraph(std::string_view text) {
  parts_.push_back({fmt::format("<p>{}</p>\n", html_escaped(text))});
}

void HtmlPage::warning(std::string_view text) {
  parts_.push_back({fmt::format("<p class=\"warning\">{}</p>\n", html_escaped(text))});
}

void HtmlPage::table(std::string_view caption, const std::vector<Column>& columns,
                     const std::vector<std::vector<std::string>>& rows, bool folded) {
  const auto cell = [](const char* tag, const Column& column, const std::string& html) {
    return fmt::format("<{0}{1}>{2}</{3}>", tag, column.number ? " class=\"number\"" : "", html,
                       std::string_view(tag).substr(0, 2));
  };
  std::string html =
      fmt::format("<div class=\"table\"><table><caption>{}</caption>\n<thead><tr>", html_escaped(caption));
  for (const Column& column : columns) html += cell("th scope=\"col\"", column, breakable(column.title));
  html += "</tr></thead>\n<tbody>\n";
  for (const auto& row : rows) {
    require(row.size() == columns.size(), ErrorKind::internal, "page: a row of {} cells; the table has {} columns",
            row.size(), columns.size());
    html += "<tr>";
    for (std::size_t c = 0; c < row.size(); ++c) html += cell("td", columns[c], html_escaped(row[c]));
    html += "</tr>\n";
  }
  html += "</tbody></table></div>\n";
  if (folded) html = fmt::format("<details><summary>{}</summary>\n{}</details>\n", html_escaped(caption), html);
  parts_.push_back({std::move(html)});
}

void HtmlPage::plot(std::string_view caption, std::string_view description, Json plot) {
  const std::size_t number = plots_.size();
  parts_.push_back({fmt::format("<figure><figcaption>{0}</figcaption>\n<div class=\"plot\"><canvas id=\"plot{1}\" "
                                "role=\"img\" aria-label=\"{2}\"></canvas></div></figure>\n",
                                html_escaped(caption), number, html_escaped(description)),
                    true});
  plots_.push_back(std::move(plot));
}

std::string HtmlPage::text(std::string_view library) const {
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\">\n<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{}</style>\n</head>\n<body>\n<main>\n"
      "<h1>{}</h1>\n",
      html_escaped(title_), kPageStyle, html_escaped(title_));
  const bool plots = !library.empty() && !plots_.empty();
  if (library.empty() && !plots_.empty()) html += fmt::format("<p class=\"warning\">{}</p>\n", kWithoutPlots);
  for (const Part& part : parts_) {
    if (!part.plot || plots) html += part.html;
  }
  html += fmt::format("</main>\n<footer>qnudge {}", kVersion);
  if (plots) html += "; plots by Chart.js (MIT licence, see the source of this page)";
  html += "</footer>\n";
  if (plots) {
    html += fmt::format("<script type=\"application/json\" id=\"plots\">{}</script>\n", script_json(Json(plots_)));
    html += fmt::format("<!--\n{}-->\n<script>\n", kChartLicence);
    html.append(library).append("\n</script>\n<script>\n").append(kPageScript).append("</script>\n");
  }
  return html + "</body>\n</html>\n";
}

}  // namespace qnudge
