// SPDX-License-Identifier: MIT
#include "qnudge/cuda/engine.hpp"

#include <fmt/format.h>

#include "qnudge/backend/graph_usage.hpp"
#include "session.hpp"

namespace qnudge::cuda {
namespace {

class EngineBackend : public Backend, public GraphLaunching {
 public:
  EngineBackend(std::shared_ptr<Device> device, const EngineOptions& options)
      : device_(std::move(device)), options_(options) {}

  std::string name() const override { return "cuda"; }
  std::string device() const override { return device_->description(); }

  GraphUsage graph_usage() const override { return device_->graph_usage(); }

  /// A flattened tensor keeps its pixels, with candidates between them and the channels; what reads across pixels in
  /// any other way than a product has no command.
  std::optional<std::string> reject(const IntNetwork& network) const override {
    const std::vector<Shape> physical = physical_shapes(network);
    for (const IntNode& node : network.nodes) {
      if (node.inputs.empty()) continue;
      const Shape& lies = physical[static_cast<std::size_t>(node.inputs[0])];
      const bool flattened = lies != network.at(node.inputs[0]).shape;
      const bool window = node.op == IntOp::max_pool || node.op == IntOp::average_pool ||
                          (node.op == IntOp::conv && !network.layer(node.layer).gemm);
      if (flattened && window) {
        return fmt::format("node '{}': {} over a flattened tensor has no form with candidates", node.name,
                           to_string(node.op));
      }
    }
    return std::nullopt;
  }

  std::unique_ptr<Session> open(const IntNetwork& network) override {
    return std::make_unique<EngineSession>(device_, options_, network);
  }

 private:
  const std::shared_ptr<Device> device_;
  const EngineOptions options_;
};

}  // namespace

std::unique_ptr<Backend> make_engine(std::shared_ptr<Device> device, const EngineOptions& options) {
  return std::make_unique<EngineBackend>(std::move(device), options);
}

}  // namespace qnudge::cuda
