// SPDX-License-Identifier: MIT
#include <algorithm>
#include <set>

#include "qnudge/config/reader.hpp"

namespace qnudge {
namespace {
using nlohmann::json;
constexpr std::size_t kMaxDepth = 64;

/// Follows the parser through the document: refuses duplicate keys and deep nesting before anything is built from them.
class Watcher {
 public:
  explicit Watcher(const std::string& origin) : origin_(origin) {}

  void operator()(json::parse_event_t event, const json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        levels_.emplace_back();
        require(levels_.size() <= kMaxDepth, ErrorKind::usage, "{}: is nested deeper than {} levels", origin_,
                kMaxDepth);
        break;
      case json::parse_event_t::object_end:
      case json::parse_event_t::array_end:
        levels_.pop_back();
        break;
      case json::parse_event_t::key:
        enter(parsed.get<std::string>());
        break;
      case json::parse_event_t::value:
        break;
    }
  }

 private:
  struct Level {
    std::set<std::string> keys;
    std::string current;
  };

  void enter(const std::string& key) {
    levels_.back().current = key;
    if (levels_.back().keys.insert(key).second) return;
    std::string path;
    for (const Level& level : levels_) {
      if (!level.current.empty()) path += (path.empty() ? "" : ".") + level.current;
    }
    fail(ErrorKind::usage, "{}: {}: the key appears twice; keep one", origin_, path);
  }

  const std::string& origin_;
  std::vector<Level> levels_;
};

/// The reason in a parser message, without its codes, position and the text read so far (which may be anything).
std::string reason(const std::string& what) {
  const std::size_t code = what.find("] ");
  const std::size_t position = what.find("column ");
  const std::size_t colon = what.find(": ", position == what.npos ? 0 : position);
  std::string text = position != what.npos && colon != what.npos ? what.substr(colon + 2)
                     : code != what.npos                         ? what.substr(code + 2)
                                                                 : what;
  return text.substr(0, std::min(text.find("; last read"), std::size_t{160}));
}

}  // namespace

json parse_strict_json(std::string_view text, const std::string& origin) {
  require(!text.starts_with("\xEF\xBB\xBF"), ErrorKind::usage,
          "{}: begins with a byte order mark; save it as UTF-8 without one", origin);
  Watcher watch(origin);
  try {
    return json::parse(text.begin(), text.end(), [&](int, json::parse_event_t event, const json& parsed) {
      watch(event, parsed);
      return true;
    });
  } catch (const json::parse_error& error) {
    const std::size_t at = std::min(error.byte == 0 ? 0 : error.byte - 1, text.size());
    const std::string_view before = text.substr(0, at);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t column = at - (before.rfind('\n') + 1) + 1;  // npos + 1 is 0: the first line
    fail(ErrorKind::usage, "{}:{}:{}: is not valid JSON: {}", origin, line, column, reason(error.what()));
  } catch (const json::exception& error) {
    fail(ErrorKind::usage, "{}: is not valid JSON: {}", origin, reason(error.what()));
  }
}

}  // namespace qnudge
