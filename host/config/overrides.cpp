// SPDX-License-Identifier: MIT
#include "qnudge/config/reader.hpp"

namespace qnudge {
namespace {
using nlohmann::json;
constexpr std::size_t kMaxParts = 8;

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> parts(1);
  for (const char c : path) {
    if (c == '.') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

/// quant.layers.<node name>.<key>: node names may hold dots, keys never do.
void join_node_name(std::vector<std::string>& parts) {
  if (parts.size() < 5 || parts[0] != "quant" || parts[1] != "layers") return;
  for (std::size_t i = 3; i + 1 < parts.size(); ++i) parts[2] += "." + parts[i];
  parts.erase(parts.begin() + 3, parts.end() - 1);
}

}  // namespace

std::string Source::where(const std::string& path) const {
  const auto within = [](const std::string& inner, const std::string& outer) {
    return inner == outer || inner.starts_with(outer + ".") || inner.starts_with(outer + "[");
  };
  for (auto written = overrides.rbegin(); written != overrides.rend(); ++written) {
    if (!within(path, written->path) && !within(written->path, path)) continue;
    return written->by.ends_with(' ') ? written->by + path : written->by;
  }
  return origin + ": " + path;
}

void assign_key(json& root, const std::string& path, const json& value, const std::string& by, Source& source) {
  std::vector<std::string> parts = split(path);
  join_node_name(parts);
  require(parts.size() <= kMaxParts, ErrorKind::usage, "{}: a key of {} parts; no key has more than 4", by,
          parts.size());
  json* node = &root;
  std::string so_far;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    require(!parts[i].empty(), ErrorKind::usage, "{}'{}': the key has an empty part", by, path);
    require(node->is_object(), ErrorKind::usage, "{}'{}': {} is not an object, so it has no key '{}'", by, path,
            so_far.empty() ? source.origin : so_far, parts[i]);
    const bool last = i + 1 == parts.size();
    if (!last && !node->contains(parts[i])) (*node)[parts[i]] = json::object();
    so_far += (so_far.empty() ? "" : ".") + parts[i];
    node = &(*node)[parts[i]];
  }
  *node = value;
  source.overrides.push_back({so_far, by});
}

void apply_override(json& root, const std::string& assignment, Source& source) {
  const std::size_t equals = assignment.find('=');
  require(equals != assignment.npos && equals > 0, ErrorKind::usage,
          "--set '{}': needs key=value, for example search.rate=0.05", assignment);
  const std::string path = assignment.substr(0, equals);
  const std::string value = assignment.substr(equals + 1);
  assign_key(root, path, json::accept(value) ? parse_strict_json(value, "--set " + path) : json(value), "--set ",
             source);
}

}  // namespace qnudge
