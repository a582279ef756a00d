// SPDX-License-Identifier: MIT
#include "image_list.hpp"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>

#include "qnudge/core/error.hpp"
#include "qnudge/core/files.hpp"

namespace qnudge {
namespace fs = std::filesystem;
namespace {

std::string extension_of(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return extension;
}

template <std::size_t n>
bool among(const std::string_view (&extensions)[n], const std::string& extension) {
  return std::find(std::begin(extensions), std::end(extensions), extension) != std::end(extensions);
}

constexpr std::string_view kRead[] = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp",
                                      ".tif", ".tiff", ".bmp", ".ppm",  ".pgm", ".pnm"};
constexpr std::string_view kOther[] = {".gif", ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jpx", ".jxl",  ".jxr",
                                       ".tga", ".ico",  ".psd",  ".exr",  ".hdr", ".dds", ".pbm", ".pcx",  ".xbm",
                                       ".svg", ".dcm",  ".dng",  ".cr2",  ".nef", ".arw", ".raw", ".apng", ".mpo"};
constexpr const char* kReadText = ".jpg, .png, .webp, .tif, .bmp, .ppm and their kin";

/// Adds what lies in `folder`, whose name relative to the root is `prefix`.
void collect(const fs::path& folder, const std::string& prefix, int depth, FoundImages& found) {
  require(depth <= kMaxDepth, ErrorKind::input, "{}: is nested deeper than {} folders (does a link lead in a circle?)",
          folder.string(), kMaxDepth);
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.starts_with('.')) continue;
    std::error_code unknown;  // a dangling link is an image that cannot be read, if it is called like one
    if (entry->is_directory(unknown)) {
      collect(entry->path(), prefix + name + "/", depth + 1, found);
    } else if (const std::string extension = extension_of(entry->path()); among(kRead, extension)) {
      found.names.push_back(prefix + name);
    } else if (among(kOther, extension)) {
      found.other.push_back(prefix + name);
    }
    require(found.names.size() + found.other.size() <= kMaxListed, ErrorKind::input,
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

std::string FoundImages::passed_over(const fs::path& folder) const {
  if (other.empty()) return "";
  std::map<std::string, std::size_t> kinds;
  for (const std::string& name : other) ++kinds[extension_of(name)];
  std::string counts;
  for (const auto& [extension, count] : kinds) {
    counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", count, extension);
  }
  return fmt::format("{}: images of formats that are not read ({}) are passed over: {}; the first is {}",
                     folder.string(), kReadText, counts, other.front());
}

FoundImages find_images(const fs::path& folder) {
  std::error_code error;
  const auto status = fs::status(folder, error);
  require(fs::exists(status), ErrorKind::input, "{}: cannot be read: {}", folder.string(),
          error ? error.message() : "no such folder");
  require(fs::is_directory(status), ErrorKind::input, "{}: is not a folder", folder.string());
  FoundImages found;
  collect(folder, "", 0, found);
  std::sort(found.names.begin(), found.names.end());
  std::sort(found.other.begin(), found.other.end());
  require(!found.names.empty() || found.other.empty(), ErrorKind::input, "{}", found.passed_over(folder));
  require(!found.names.empty(), ErrorKind::input, "{}: holds no image ({})", folder.string(), kReadText);
  return found;
}

namespace {

/// Images as they are found, with a warning of those that are passed over.
FoundImages find_with_warning(const fs::path& folder, std::vector<std::string>& warnings) {
  FoundImages found = find_images(folder);
  if (!found.other.empty()) warnings.push_back(found.passed_over(folder));
  return found;
}

/// Class 10 is then not output 10.
void warn_of_text_order(const std::set<std::string>& folders, const fs::path& folder,
                        std::vector<std::string>& warnings) {
  const auto is_number = [](const std::string& name) {
    return name.size() < 10 && name.find_first_not_of("0123456789") == name.npos;
  };
  if (!std::all_of(folders.begin(), folders.end(), is_number)) return;
  const auto pair = std::adjacent_find(folders.begin(), folders.end(), [](const std::string& a, const std::string& b) {
    return std::stol(a) > std::stol(b);
  });
  if (pair == folders.end()) return;
  warnings.push_back(fmt::format(
      "{}: the folders of its classes are numbers but are taken in the order of text, '{}' before '{}', as torchvision "
      "takes them; is that the order of the model's outputs? Else give them equal lengths ('02', '10') or use a file "
      "of "
      "labels",
      folder.string(), *pair, *std::next(pair)));
}

}  // namespace

ImageList read_image_list(const fs::path& folder, const fs::path& labels, std::int64_t classes) {
  ImageList list;
  const FoundImages found = find_with_warning(folder, list.warnings);
  const std::vector<std::string>& present = found.names;
  const std::vector<std::uint8_t> bytes = read_file(labels);
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);  // a byte order mark, as Windows editors write it

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
    require(!std::binary_search(found.other.begin(), found.other.end(), entry.name), ErrorKind::input,
            "{}: '{}' is no image of a format that is read ({})", where, entry.name, kReadText);
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
  ImageList list;
  list.names = find_with_warning(folder, list.warnings).names;
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
    require(found.contains(name), ErrorKind::input, "{}: holds no image ({}); every class needs one",
            (folder / name).string(), kReadText);
  }
  require(std::cmp_equal(found.size(), classes), ErrorKind::input,
          "{}: has {} folders of classes, but data.classes is {}", folder.string(), found.size(), classes);
  warn_of_text_order(found, folder, list.warnings);
  for (const std::string& name : list.names) {
    const auto place = found.find(name.substr(0, name.find('/')));
    list.labels.push_back(static_cast<std::int32_t>(std::distance(found.begin(), place)));
  }
  return list;
}

}  // namespace qnudge
