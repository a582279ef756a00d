// SPDX-License-Identifier: MIT
#include "function_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstdlib>
#include <optional>
#include <sstream>
#include <vector>

#include "qnudge/core/error.hpp"

namespace qnudge {
namespace {

using Op = ScalarFunction::Op;
constexpr std::string_view kPrefix = "function: ", kSeparator = "; ", kValues = "values";

std::string step_text(const ScalarFunction::Step& step) {
  if (step.op == Op::constant || step.op == Op::parameter)
    return fmt::format("{} {:a}", to_string(step.op), step.constant);
  return step.b < 0 ? fmt::format("{} {}", to_string(step.op), step.a)
                    : fmt::format("{} {} {}", to_string(step.op), step.a, step.b);
}

std::optional<double> parse_real(const std::string& word) {
  char* end = nullptr;
  const double value = std::strtod(word.c_str(), &end);
  if (word.empty() || *end != '\0' || std::isnan(value)) return std::nullopt;
  return value;
}

std::optional<Op> parse_op(std::string_view word) {
  for (int i = 1; i <= static_cast<int>(Op::parameter); ++i) {
    if (to_string(static_cast<Op>(i)) == word) return static_cast<Op>(i);
  }
  return std::nullopt;
}

/// Words of each part between two separators.
std::vector<std::vector<std::string>> split(std::string_view text) {
  std::vector<std::vector<std::string>> parts(1);
  std::istringstream words{std::string(text)};
  for (std::string word; words >> word;) {
    const bool last = word.back() == ';';
    if (last) word.pop_back();
    parts.back().push_back(std::move(word));
    if (last) parts.emplace_back();
  }
  return parts;
}

std::optional<ScalarFunction::Step> parse_step(const std::vector<std::string>& words) {
  const auto op = words.empty() ? std::nullopt : parse_op(words[0]);
  if (!op) return std::nullopt;
  const bool leaf = *op == Op::constant || *op == Op::parameter;
  if (words.size() != (leaf ? 2u : 1u + static_cast<std::size_t>(operands(*op)))) return std::nullopt;
  std::vector<double> numbers;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const auto number = parse_real(words[i]);
    if (!number) return std::nullopt;
    numbers.push_back(*number);
  }
  ScalarFunction::Step step{.op = *op};
  if (leaf) {
    step.constant = numbers[0];
    return step;
  }
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (!(numbers[i] >= 0 && numbers[i] < ScalarFunction::kMaxSteps)) return std::nullopt;
    (i == 0 ? step.a : step.b) = static_cast<int>(numbers[i]);
  }
  return step;
}

}  // namespace

std::string function_text(const ScalarFunction& function, const ChannelValues& parameters) {
  std::vector<std::string> parts;
  for (const ScalarFunction::Step& step : function.steps().subspan(1)) parts.push_back(step_text(step));
  for (const std::vector<double>& values : parameters) {
    std::string& part = parts.emplace_back(kValues);
    for (const double value : values) part += fmt::format(" {:a}", value);
  }
  return fmt::format("{}{}", kPrefix, fmt::join(parts, kSeparator));
}

bool is_function_text(std::string_view text) {
  return text.starts_with(kPrefix);
}

void parse_function(const std::string& text, ScalarFunction& function, ChannelValues& parameters) {
  require(is_function_text(text), ErrorKind::input, "it does not say its function");
  std::vector<ScalarFunction::Step> steps(1);
  parameters.clear();
  for (const auto& words : split(std::string_view(text).substr(kPrefix.size()))) {
    if (!words.empty() && words[0] == kValues) {
      std::vector<double>& values = parameters.emplace_back();
      for (std::size_t i = 1; i < words.size(); ++i) {
        const auto value = parse_real(words[i]);
        require(value.has_value(), ErrorKind::input, "a value of its function is no number");
        values.push_back(*value);
      }
      continue;
    }
    const auto step = parse_step(words);
    require(step.has_value(), ErrorKind::input, "a step of its function is none that qnudge writes");
    steps.push_back(*step);
  }
  function = ScalarFunction(steps);
  require(function.parameters() <= parameters.size(), ErrorKind::input, "its function lacks values per channel");
}

}  // namespace qnudge
