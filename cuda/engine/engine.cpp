// SPDX-License-Identifier: MIT
#include "qnudge/cuda/engine.hpp"

#include "primitives.hpp"
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

  std::optional<std::string> reject(const IntNetwork& network) const override {
    const std::vector<Shape> physical = physical_shapes(network);
    for (const IntNode& node : network.nodes) {
      const auto rejects = device_facet(node).reject;
      if (rejects == nullptr) continue;
      const Shape& lies = physical[static_cast<std::size_t>(node.inputs[0])];
      if (auto reason = rejects(network, node, lies != network.at(node.inputs[0]).shape)) return reason;
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
