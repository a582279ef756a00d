// SPDX-License-Identifier: MIT
#include "fuse.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "refusal.hpp"

namespace qnudge {
namespace {

using onnx::NodeProto;

constexpr std::int64_t kMostAxes = 16;
constexpr float kLeastSquare = 1e-12f;  ///< added to the mean square of a length, so that zeros stay zeros

/// Finds a normalisation backwards from its quotient, (x - mean) / sqrt(variance + epsilon) or x / length.
class Fusion {
 public:
  Fusion(onnx::GraphProto& graph, const Initializers& constants) : constants_(constants) {
    for (const NodeProto& node : graph.node()) {
      for (const std::string& output : node.output()) nodes_.emplace(output, &node);
    }
  }

  void fuse(NodeProto& node) const {
    const std::string& type = node.op_type();
    if (node.input_size() != 2 || (type != "Div" && type != "Mul")) return;
    if (const auto found = type == "Div" ? match_length(node) : std::nullopt) return replace(node, *found);
    for (const int i : type == "Div" ? std::vector<int>{1} : std::vector<int>{0, 1}) {
      std::string root = node.input(i);
      if (type == "Mul") {
        const NodeProto* const inverse = producer(root, "Reciprocal", 1);
        if (inverse == nullptr) continue;
        root = inverse->input(0);
      }
      if (const auto found = match(node.input(1 - i), root)) return replace(node, *found);
    }
  }

 private:
  struct Found {
    const char* type;
    std::string x;
    std::vector<std::int64_t> axes;
    float epsilon;
  };

  static void replace(NodeProto& node, const Found& found) {
    node.set_op_type(found.type);
    node.clear_input();
    node.add_input(found.x);
    node.clear_attribute();
    onnx::AttributeProto& axes = *node.add_attribute();
    axes.set_name("axes");
    axes.set_type(onnx::AttributeProto::INTS);
    axes.mutable_ints()->Add(found.axes.begin(), found.axes.end());
    onnx::AttributeProto& epsilon = *node.add_attribute();
    epsilon.set_name("epsilon");
    epsilon.set_type(onnx::AttributeProto::FLOAT);
    epsilon.set_f(found.epsilon);
  }

  const NodeProto* producer(const std::string& tensor, std::string_view type, int inputs) const {
    const auto it = nodes_.find(tensor);
    const bool found = it != nodes_.end() && it->second->op_type() == type && it->second->input_size() >= inputs &&
                       it->second->domain().empty();
    return found ? it->second : nullptr;
  }

  std::optional<StoredTensor> constant(const std::string& tensor) const {
    if (const auto it = constants_.find(tensor); it != constants_.end()) return it->second;
    const NodeProto* const node = producer(tensor, "Constant", 0);
    const bool given = node != nullptr && node->attribute_size() == 1 && node->attribute(0).name() == "value" &&
                       node->attribute(0).has_t();
    return given ? std::optional(StoredTensor{&node->attribute(0).t(), {}}) : std::nullopt;
  }

  /// The one value of a float tensor.
  std::optional<float> scalar(const std::string& tensor) const try {
    const auto value = constant(tensor);
    if (!value || !is_float(*value) || checked_elements(*value) != 1) return std::nullopt;
    return read_floats(*value).values[0];
  } catch (const Refusal&) {
    return std::nullopt;  // whoever reads it says so
  }

  /// Axes of a ReduceMean that keeps them; none: all behind the channels, of a GlobalAveragePool.
  std::optional<std::vector<std::int64_t>> kept_axes(const NodeProto& mean) const try {
    std::vector<std::int64_t> axes;
    if (mean.op_type() == "GlobalAveragePool") return axes;
    for (const onnx::AttributeProto& attribute : mean.attribute()) {
      if (attribute.name() == "keepdims" && attribute.i() == 0) return std::nullopt;
      if (attribute.name() == "axes") axes.assign(attribute.ints().begin(), attribute.ints().end());
    }
    if (mean.input_size() == 2) {
      const auto stated = constant(mean.input(1));
      if (!stated || is_float(*stated) || checked_elements(*stated) > kMostAxes) return std::nullopt;
      axes = read_integers(*stated).values;
    }
    return axes.empty() ? std::nullopt : std::optional(axes);
  } catch (const Refusal&) {
    return std::nullopt;
  }

  const NodeProto* mean_of(const std::string& tensor) const {
    const NodeProto* const mean = producer(tensor, "ReduceMean", 1);
    return mean != nullptr ? mean : producer(tensor, "GlobalAveragePool", 1);
  }

  /// What is squared: Pow(x, 2) or Mul(x, x).
  std::optional<std::string> squared(const std::string& tensor) const {
    if (const NodeProto* const power = producer(tensor, "Pow", 2)) {
      if (scalar(power->input(1)) == 2.0f) return power->input(0);
    }
    const NodeProto* const product = producer(tensor, "Mul", 2);
    if (product != nullptr && product->input(0) == product->input(1)) return product->input(0);
    return std::nullopt;
  }

  bool same(const std::string& a, const std::string& b) const {
    if (a == b) return true;
    const NodeProto *const first = producer(a, "Sub", 2), *const second = producer(b, "Sub", 2);
    return first != nullptr && second != nullptr && first->input(0) == second->input(0) &&
           first->input(1) == second->input(1);
  }

  std::optional<Found> match(const std::string& centred, const std::string& root) const {
    const NodeProto* const square_root = producer(root, "Sqrt", 1);
    const NodeProto* const sum = square_root == nullptr ? nullptr : producer(square_root->input(0), "Add", 2);
    if (sum == nullptr) return std::nullopt;
    const int other = scalar(sum->input(1)) ? 0 : 1;
    const auto epsilon = scalar(sum->input(1 - other));
    const NodeProto* const variance = mean_of(sum->input(other));
    if (!epsilon || !(*epsilon >= 0) || variance == nullptr) return std::nullopt;
    const auto axes = kept_axes(*variance);
    const auto base = squared(variance->input(0));
    if (!axes || !base || !same(*base, centred)) return std::nullopt;
    if (const NodeProto* const difference = producer(centred, "Sub", 2)) {
      const NodeProto* const mean = mean_of(difference->input(1));
      if (mean != nullptr && mean->input(0) == difference->input(0) && kept_axes(*mean) == axes) {
        return Found{"LayerNormalization", difference->input(0), *axes, *epsilon};
      }
    }
    return Found{"RMSNormalization", centred, *axes, *epsilon};
  }

  /// x divided by its length, which may have a lower bound and be repeated.
  std::optional<Found> match_length(const NodeProto& quotient) const {
    std::string length = quotient.input(1);
    if (const NodeProto* const repeated = producer(length, "Expand", 2)) length = repeated->input(0);
    for (const char* const bound : {"Clip", "Max"}) {
      if (const NodeProto* const bounded = producer(length, bound, 2)) length = bounded->input(0);
    }
    const NodeProto* const root = producer(length, "ReduceL2", 1);
    if (root == nullptr || root->input(0) != quotient.input(0)) return std::nullopt;
    if (constant(quotient.input(0))) return std::nullopt;  // weights, which are computed as they stand
    const auto axes = kept_axes(*root);
    if (!axes || axes->size() != 1) return std::nullopt;
    return Found{"LpNormalization", quotient.input(0), *axes, kLeastSquare};
  }

  std::unordered_map<std::string_view, const NodeProto*> nodes_;
  const Initializers& constants_;
};

}  // namespace

void fuse_patterns(onnx::GraphProto& graph, const Initializers& constants) {
  const Fusion fusion(graph, constants);
  for (NodeProto& node : *graph.mutable_node()) fusion.fuse(node);
}

}  // namespace qnudge
