// SPDX-License-Identifier: MIT
#include "image_list.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <string_view>
#include <unordered_map>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

bool has_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return extension == ".jpg" || extension == ".jpeg" || extension == ".png";
}

/// Adds what lies in `folder`, whose name relative to the root is `prefix`.
void collect(const fs::path& folder, const std::string& prefix, int depth, std::vector<std::string>& names) {
  require(depth <= kMaxDepth, ErrorKind::input, "{}: is nested deeper than {} folders (does a link lead in a circle?)",
          folder.string(), kMaxDepth);
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with('.')) continue;
    std::error_code unknown;  // a dangling link is an image that cannot be read, if it is called like one
    if (entry->is_directory(unknown)) {
      collect(entry->path(), prefix + name + "/", depth + 1, names);
    } else if (has_image_name(entry->path())) {
      names.push_back(prefix + name);
    }
    require(names.size() <= kMaxListed, ErrorKind::input,
            "{}: has more than the {} images that are supported; name a folder with some of them", folder.string(),
            kMaxListed);
  }
  require(!error, ErrorKind::input, "{}: cannot be read: {}", folder.string(), error.message());
}

constexpr std::string_view kSpace = " \t";

std::string_view trimmed(std::string_view text) {
  if (text.ends_with('\r')) text.remove_suffix(1);
  const std::size_t first = text.find_first_not_of(kSpace);
  return first == text.npos ? "" : text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

struct Entry {
  std::string name;
  std::int32_t label = 0;
};

/// One line that is not blank; `where` is "file:line".
Entry parse_line(std::string_view line, const std::string& where, std::int64_t classes) {
  const bool printable =
      std::none_of(line.begin(), line.end(), [](unsigned char c) { return (c < 32 && c != '\t') || c == 127; });
  require(printable, ErrorKind::input, "{}: has a control character; a text file of names and labels is needed", where);
  const std::size_t cut = line.find_last_of(kSpace);
  const std::string_view name = trimmed(line.substr(0, cut)), digits = line.substr(cut == line.npos ? 0 : cut + 1);
  std::int64_t label = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), label);
  const bool number =
      end == digits.data() + digits.size() && (error == std::errc{} || error == std::errc::result_out_of_range);
  require(cut != line.npos && number, ErrorKind::input, "{}: needs an image's name and its label, found '{}'", where,
          line.substr(0, 80));
  require(error == std::errc{} && label >= 0 && label < classes, ErrorKind::input,
          "{}: the label of '{}' is {}, but with data.classes = {} labels are 0..{}", where, name, digits, classes,
          classes - 1);
  return {std::string(name), static_cast<std::int32_t>(label)};
}

}  // namespace

std::vector<std::string> find_images(const fs::path& folder) {
  std::error_code error;
  const auto status = fs::status(folder, error);
  require(fs::exists(status), ErrorKind::input, "{}: cannot be read: {}", folder.string(),
          error ? error.message() : "no such folder");
  require(fs::is_directory(status), ErrorKind::input, "{}: is not a folder", folder.string());
  std::vector<std::string> names;
  collect(folder, "", 0, names);
  require(!names.empty(), ErrorKind::input, "{}: holds no image (.jpg, .jpeg, .png)", folder.string());
  std::sort(names.begin(), names.end());
  return names;
}

ImageList read_image_list(const fs::path& folder, const fs::path& labels, std::int64_t classes) {
  const std::vector<std::string> present = find_images(folder);
  const std::vector<std::uint8_t> bytes = read_file(labels);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);  // a byte order mark, as Windows editors write it

  ImageList list;
  std::unordered_map<std::string, std::size_t> lines;  // by name
  for (std::size_t number = 1; !rest.empty(); ++number) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trimmed(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty()) continue;
    const std::string where = fmt::format("{}:{}", labels.string(), number);
    const Entry entry = parse_line(line, where, classes);
    const auto [first, fresh] = lines.emplace(entry.name, number);
    require(fresh, ErrorKind::input, "{}: '{}' has a label already, in line {}", where, entry.name, first->second);
    require(std::binary_search(present.begin(), present.end(), entry.name), ErrorKind::input,
            "{}: there is no image '{}' in {}", where, entry.name, folder.string());
    list.names.push_back(entry.name);
    list.labels.push_back(entry.label);
  }
  const auto extra =
      std::find_if(present.begin(), present.end(), [&](const std::string& name) { return !lines.contains(name); });
  require(extra == present.end(), ErrorKind::input, "{}: has no line in {}; every image needs one",
          extra == present.end() ? "" : (folder / *extra).string(), labels.string());
  return list;
}

ImageList list_by_class(const fs::path& folder, std::int64_t classes) {
  ImageList list{.names = find_images(folder), .labels = {}};
  std::set<std::string> found, folders;
  for (const std::string& name : list.names) {
    const std::size_t slash = name.find('/');
    require(slash != name.npos, ErrorKind::input,
            "{}: lies in no folder of a class; without a file of labels every image needs one",
            (folder / name).string());
    found.insert(name.substr(0, slash));
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with('.') && entry.is_directory()) folders.insert(name);
  }
  for (const std::string& name : folders) {
    require(found.contains(name), ErrorKind::input, "{}: holds no image (.jpg, .jpeg, .png); every class needs one",
            (folder / name).string());
  }
  require(std::cmp_equal(found.size(), classes), ErrorKind::input,
          "{}: has {} folders of classes, but data.classes is {}", folder.string(), found.size(), classes);
  for (const std::string& name : list.names) {
    const auto place = found.find(name.substr(0, name.find('/')));
    list.labels.push_back(static_cast<std::int32_t>(std::distance(found.begin(), place)));
  }
  return list;
}

}  // namespace qnudge
