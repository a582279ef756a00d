// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>

#include "structure/source_tree.hpp"

namespace qnudge::structure {
namespace {

/// Lowest first. cpu and cuda are backends: only the command line sees them.
constexpr std::array<std::string_view, 12> kLayers = {"core",    "config", "data", "model",  "quant",  "kernels",
                                                      "backend", "cpu",    "cuda", "search", "report", "cli"};
constexpr std::array<std::string_view, 8> kCudaHeaders = {"cuda",    "cudnn",  "curand", "cub/",
                                                          "thrust/", "nvtx3/", "nvml",   "device_launch_parameters"};

bool is_backend(std::string_view layer) {
  return layer == "cpu" || layer == "cuda";
}

std::vector<std::string_view> visible_from(std::string_view layer) {
  std::vector<std::string_view> visible;
  for (const std::string_view other : kLayers) {
    if (other == layer || !is_backend(other) || layer == "cli") visible.push_back(other);
    if (other == layer) break;
  }
  return visible;
}

constexpr std::string_view kRooms = "host/primitives/";

/// "host/primitives/window/qdq.cpp" belongs to quant, "quant_divisors.hpp" beside it too.
std::string layer_in_room(const std::string& path) {
  const std::string file = path.substr(path.rfind('/') + 1), facet = file.substr(0, file.find_first_of("._"));
  return facet == "qdq" ? "quant" : facet == "device" ? "cuda" : facet;
}

/// "include/qnudge/quant/network.hpp" and "host/quant/lower.cpp" belong to quant, everything in cuda/ to cuda, sources
/// beside the layers' folders in host/ to cli, the facets of a primitive's room to the layers that they are named
/// after. Nothing for files outside the layers.
std::optional<std::string> layer_of(const std::string& path) {
  if (path.starts_with(kRooms)) return layer_in_room(path);
  for (const std::string_view root : {"include/qnudge/", "host/"}) {
    if (!path.starts_with(root)) continue;
    const std::string rest = path.substr(root.size());
    const std::size_t slash = rest.find('/');
    return slash == std::string::npos ? "cli" : rest.substr(0, slash);
  }
  return path.starts_with("cuda/") ? std::optional<std::string>("cuda") : std::nullopt;
}

bool is_cuda_header(const Include& include) {
  return std::any_of(kCudaHeaders.begin(), kCudaHeaders.end(),
                     [&](std::string_view prefix) { return include.target.starts_with(prefix); });
}

std::string folder_of(const std::string& path) {
  return path.substr(0, path.rfind('/') + 1);
}

/// Checks one file against the rules; `known` holds every path.
class FileCheck {
 public:
  FileCheck(const SourceFile& file, std::string layer, const std::set<std::string>& known)
      : file_(file), layer_(std::move(layer)), visible_(visible_from(layer_)), known_(known) {}

  std::vector<std::string> run() {
    if (std::find(kLayers.begin(), kLayers.end(), layer_) == kLayers.end()) {
      violations_.push_back(
          fmt::format("{}: '{}' is no layer; layers are {}", file_.path, layer_, fmt::join(kLayers, ", ")));
      return violations_;
    }
    for (const Include& include : includes_of(file_)) check(include);
    return violations_;
  }

 private:
  void check(const Include& include) {
    if (include.target.starts_with("qnudge/")) {
      check_layer(include);
    } else if (layer_ == "cuda" && include.target.starts_with("cuda/") && known_.contains(include.target)) {
      return;  // the folders of cuda/ see one another, from the repository's root
    } else if (file_.path.starts_with(kRooms) && include.target.starts_with("host/" + layer_ + "/") &&
               known_.contains(include.target)) {
      return;  // a room sees its layer's private headers, from the repository's root
    } else if (!include.angled && !known_.contains(folder_of(file_.path) + include.target)) {
      refuse(include, "is neither \"qnudge/...\" nor in the same folder");
    } else if (include.angled && layer_ != "cuda" && is_cuda_header(include)) {
      refuse(include, "belongs to CUDA, which only files in cuda/ may include");
    } else if (include.target.starts_with("Random123/") && file_.path != "include/qnudge/core/random123.hpp") {
      refuse(include, "belongs to Random123, which only qnudge/core/random123.hpp may include");
    } else if (!include.angled && file_.path.starts_with(kRooms)) {
      check_visible(include, layer_in_room(include.target));
    }
  }

  void check_layer(const Include& include) {
    if (include.angled) refuse(include, "is the project's own: write it in quotes");
    if (!known_.contains("include/" + include.target)) refuse(include, "does not exist");
    const std::string rest = include.target.substr(std::string_view("qnudge/").size());
    check_visible(include, rest.substr(0, rest.find('/')));
  }

  void check_visible(const Include& include, const std::string& target) {
    if (std::find(visible_.begin(), visible_.end(), target) == visible_.end()) {
      refuse(include, fmt::format("is of layer {}; {} may include {}", target, layer_, fmt::join(visible_, ", ")));
    }
  }

  void refuse(const Include& include, const std::string& reason) {
    violations_.push_back(
        fmt::format("{}:{}: includes {}, which {}", file_.path, include.line, include.target, reason));
  }

  const SourceFile& file_;
  const std::string layer_;
  const std::vector<std::string_view> visible_;
  const std::set<std::string>& known_;
  std::vector<std::string> violations_;
};

}  // namespace

std::vector<std::string> layering_violations(const std::vector<SourceFile>& files) {
  std::set<std::string> known;
  for (const SourceFile& file : files) known.insert(file.path);
  std::vector<std::string> violations;
  for (const SourceFile& file : files) {
    const auto layer = layer_of(file.path);
    if (!layer || file.path.ends_with("CMakeLists.txt")) continue;
    for (std::string& violation : FileCheck(file, *layer, known).run()) violations.push_back(std::move(violation));
  }
  return violations;
}

}  // namespace qnudge::structure
