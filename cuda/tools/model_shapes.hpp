// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "qnudge/cuda/conv_task.hpp"

namespace qnudge::cuda {

/// One layer of a published network: all that plans depend on, but images, candidates and role.
struct LayerShape {
  std::string name;
  Shape in, out;
  FilterShape filter;
  ConvGeometry geometry;
  bool relu = true;
  bool addition = false;      ///< a residual is added behind it
  bool float_output = false;  ///< the network's output
};

struct ModelShapes {
  std::string name;
  std::vector<LayerShape> layers;
};

/// The networks that qnudge is meant for, at their real sizes: VGG16, ResNet18, -20, -56, bottleneck blocks of
/// ResNet50, the 12-layer autoencoders of the three time-series data sets, and Faster R-CNN's VGG16 backbone at 600 x
/// 800 with the products of its head (300 regions count as images).
std::vector<ModelShapes> published_models();

/// The tasks of one layer for P candidates: as part of a prefix, as the searched layer, behind it. Images are chosen so
/// that tensors stay below 2^29 elements and there are at most about `rows` images times candidates.
std::vector<ConvTask> tasks_of(const LayerShape& layer, std::int64_t candidates, std::int64_t rows = 1024);

}  // namespace qnudge::cuda
