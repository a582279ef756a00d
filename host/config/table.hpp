// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <limits>

#include "qnudge/config/config.hpp"
#include "qnudge/config/reader.hpp"

namespace qnudge {

/// The table of all keys: name, role, help, field, range. The reader, the resolved config, the fingerprint and the
/// documentation are visitors of it; the default is whatever a default-constructed struct holds.
constexpr std::int64_t kMaxImagesPerSet = std::int64_t{1} << 19;  // what a fitness sum can hold (kernels/score.hpp)
constexpr std::int64_t kMaxPopulation = 65536;
constexpr std::int64_t kMaxGenerations = 1'000'000;

template <class Visitor>
void describe(Visitor& v, SeriesConfig& s) {
  using enum Role;
  v.integer({"window", optional, "series, and required there: rows of a window, the channels of the network"}, s.window,
            0, 65536);
  v.number({"threshold_part", optional,
            "series: part of every test series, from its beginning, that chooses the threshold; the rest is test"},
           s.threshold_part, 0.01, 0.99);
  v.name({"label_column", optional, "csv: what marks anomalies: 0 and 1, or Normal and Attack"}, s.label_column);
  v.name({"time_column", optional, "csv: time stamps; a gap in them ends a series"}, s.time_column);
  v.names({"skip_columns", optional, "csv: columns that are no sensors"}, s.skip_columns);
  v.numbers(
      {"offset", optional, "series: per sensor; the network sees (x - offset) / scale; []: of the training series"},
      s.offset, -1e30, 1e30);
  v.numbers({"scale", optional, "series: per sensor; as many values as offset"}, s.scale, 1e-30, 1e30);
}

template <class Visitor>
void describe(Visitor& v, DataConfig& d) {
  using enum Role;
  v.choice({"format", required, "layout of the files"}, d.format,
           {"idx", "cifar10", "cifar100", "image_folder", "csv", "npy"});
  v.paths({"train_images", required,
           "training images; idx: one file, plain or .gz; image_folder: one folder; csv, npy: series, of a folder all "
           "FILE_train.csv or .npy"},
          d.train_images);
  v.path({"train_labels", optional,
          "training labels; idx: required; image_folder: a name and a label per line, without it a folder per class"},
         d.train_labels);
  v.paths(
      {"test_images", optional, "test images, as train_images (series: FILE_test); required unless test_from is train"},
      d.test_images);
  v.path({"test_labels", optional, "test labels, as train_labels"}, d.test_labels);
  v.choice({"test_from", optional, "test images have files of their own, or are drawn from the training images too"},
           d.test_from, {"files", "train"});
  v.choice(
      {"gate_from", optional,
       "gate images are training images, or drawn from the test images: then the float model has not seen them, and "
       "the rest is the test set"},
      d.gate_from, {"train", "test"});
  v.integer({"classes", optional,
             "labels are below this; 0: 10 for idx and cifar10, 100 for cifar100, 1000 for image_folder"},
            d.classes, 0, 65536);
  v.integer({"resize", optional, "image_folder: the shorter side becomes this, bilinear with antialias; 0: as it is"},
            d.resize, 0, 8192);
  v.integer({"crop", optional, "image_folder: side of the square in the middle that the network sees, required there"},
            d.crop, 0, 8192);
  v.path({"cache", incidental,
          "image_folder: folder for decoded images; empty: $XDG_CACHE_HOME/qnudge, else ~/.cache/qnudge"},
         d.cache);
  v.numbers({"mean", optional, "images, and required there: per channel; the network sees (x / 255 - mean) / std"},
            d.mean, 0, 1);
  v.numbers({"std", optional, "images: per channel; as many values as mean"}, d.std, 0.0001, 1000);
  v.integer({"calibration", optional, "training images that set the activation scales; the fitness images come first"},
            d.calibration, 1, kMaxImagesPerSet);
  v.integer({"fitness", optional, "images that score candidates"}, d.fitness, 1, kMaxImagesPerSet);
  v.integer({"gate", optional, "images that judge the result, in neither of the two sets above"}, d.gate, 1,
            kMaxImagesPerSet);
  v.integer({"test", optional, "test images that are evaluated; 0: all, with test_from train all that is left"}, d.test,
            0, kMaxImagesPerSet);
  v.object({"series", optional, ""}, d.series);
}

template <class Visitor>
void describe(Visitor& v, GridConfig& g) {
  using enum Role;
  v.integer({"bits", optional, "width of a weight code"}, g.bits, 2, 8);
  v.choice({"scheme", optional, "one scale per layer or per output channel"}, g.scheme, {"per_layer", "per_channel"});
  v.choice({"scale", optional, "scales are powers of two, or any number"}, g.scale, {"pow2", "free"});
  v.choice({"range", optional, "the scale covers the largest weight, or minimises the squared error"}, g.range,
           {"max", "mse"});
}

template <class Visitor>
void describe(Visitor& v, QuantConfig& q) {
  using enum Role;
  v.choice({"activations", optional,
            "between the layers: 8-bit codes, or IEEE half with only the weights quantised (strategies layer and none, "
            "starts nearest and bias)"},
           q.activations, {"int8", "half"});
  v.choice({"activation_range", optional,
            "activation scales cover the largest value seen, or minimise the squared error and let it saturate"},
           q.activation_range, {"max", "mse"});
  v.choice({"batch_norm", optional, "kept apart from the weights as gain and shift, or folded into them"}, q.batch_norm,
           {"separate", "fold"});
  v.object({"grid", optional, "grid of every layer without one of its own"}, q.grid);
  v.integer({"rest_bits", optional,
             "width of the layers that sensitivity analysis or a budget leaves alone; "
             "half activations: they stay halves"},
            q.rest_bits, 2, 8);
  v.objects({"layers", optional, "grids by node name"}, q.layers, q.grid);
}

template <class Visitor>
void describe(Visitor& v, SearchConfig& s) {
  using enum Role;
  v.choice(
      {"strategy", optional,
       "what is selected: whole layers by the network's output, channels by their own (by data, or by Gram matrix), or "
       "nothing: the result is the start"},
      s.strategy, {"none", "layer", "channel", "gram"});
  v.choice({"order", optional, "least sensitive layer first (so with stop.rule budget), or from input to output"},
           s.order, {"sensitivity", "forward"});
  v.choice({"start", optional, "where the search begins: nearest codes, these with corrected biases, or least squares"},
           s.start, {"nearest", "bias", "descent"});
  v.choice({"fitness", optional, "what a candidate is scored by"}, s.fitness,
           {"top1", "cross_entropy", "kl", "top1_then_cross_entropy", "reconstruction"});
  v.choice({"mutation", optional, "steps of 1 or 2 anywhere, or one step towards the weight that rounding cut off"},
           s.mutation, {"uniform", "residual"});
  v.number({"rate", optional, "probability that a weight mutates"}, s.rate, 0, 1);
  v.number({"rate_end", optional, "channel: the rate falls evenly to this; 0: it stays"}, s.rate_end, 0, 1);
  v.integer({"parents", optional, "survivors of a generation; gram: elites of every output channel"}, s.parents, 1,
            kMaxPopulation);
  v.integer({"offspring", optional, "candidates of a generation"}, s.offspring, 1, kMaxPopulation);
  v.integer({"generations", optional, "per layer"}, s.generations, 1, kMaxGenerations);
  v.integer({"chunk", incidental, "offspring in memory at a time; 0: all"}, s.chunk, 0, kMaxPopulation);
  v.integer({"sensitivity_bits", optional, "width at which sensitivity analysis quantises the one layer"},
            s.sensitivity_bits, 2, 8);
  v.integer({"positions", optional, "per calibration image, at which descent, channel and gram observe a layer"},
            s.positions, 1, 1 << 20);
  v.number({"damping", optional, "descent and gram: pull towards the real weights, times the mean diagonal"}, s.damping,
           0, 1);
  v.flag({"joint_gain", optional, "descent and gram: fit the gain of a channel along with its codes, not after them"},
         s.joint_gain);
  v.integer({"scales", optional, "descent: scales tried per output channel, a quarter octave apart; 1: the grid's own"},
            s.scales, 1, 33);
  v.integer({"gram_mib", optional, "descent and gram: a layer whose Gram matrix needs more memory only gets its bias"},
            s.gram_mib, 1, 1 << 20);
  v.flag({"gate", optional, "keep the result only if the gate images do not speak against it"}, s.gate);
  v.names({"skip", optional, "names of nodes that are quantised but not searched"}, s.skip);
}

template <class Visitor>
void describe(Visitor& v, StopConfig& s) {
  using enum Role;
  v.choice({"rule", optional, "end when float accuracy is recovered, or quantise only what the drop allows"}, s.rule,
           {"none", "recovered", "budget"});
  v.number({"tolerance", optional, "drop of accuracy on the gate images against float, a fraction"}, s.tolerance, 0, 1);
  v.number({"seconds", incidental, "wall clock after which the best so far is saved; 0: no limit"}, s.seconds, 0, 1e9);
}

template <class Visitor>
void describe(Visitor& v, DeviceConfig& d) {
  using enum Role;
  v.integer({"memory_mib", incidental, "cuda: device memory for the search of a layer; 0: most of what is free"},
            d.memory_mib, 0, 1 << 20);
  v.integer({"images", incidental, "cuda: images evaluated together; 0: as many as fit and fill the device"}, d.images,
            0, kMaxImagesPerSet);
  v.integer({"streams", incidental, "cuda: chunks of images at work at the same time"}, d.streams, 1, 64);
  v.flag({"autotune", incidental, "cuda: time cuDNN's engines once per convolution, and remember the fastest"},
         d.autotune);
  v.flag({"graphs", incidental, "cuda: all generations of a layer as one launch; false: one by one"}, d.graphs);
}

template <class Visitor>
void describe(Visitor& v, Config& c) {
  using enum Role;
  constexpr std::uint64_t kAnySeed = std::numeric_limits<std::uint64_t>::max();
  v.choice({"recipe", incidental, "which defaults the search keys have, see Recipes"}, c.recipe,
           {"paper", "channel", "best"});
  v.path({"model", required, "float ONNX model"}, c.model);
  v.integer({"input_height", optional, "for a model with a symbolic height; 0: as the model says"}, c.input_height, 0,
            65536);
  v.integer({"input_width", optional, "for a model with a symbolic width; 0: as the model says"}, c.input_width, 0,
            65536);
  v.name({"model_output", optional, "name of the output that counts, for a model with several"}, c.model_output);
  v.object({"data", optional, ""}, c.data);
  v.object({"quant", optional, ""}, c.quant);
  v.object({"search", optional, ""}, c.search);
  v.object({"stop", optional, ""}, c.stop);
  v.choice({"protocol", optional, "fitness images from the training set, or from the test set (leaky)"}, c.protocol,
           {"held_out", "paper"});
  v.integer({"seed", optional, "of the image sets and of every mutation"}, c.seed, 0, kAnySeed);
  v.path({"out", incidental, "run folder; empty: runs/ and the name of the config file"}, c.out);
  v.choice({"backend", incidental, "what computes; auto: the fastest one there is"}, c.backend,
           {"auto", "host", "reference", "cuda"});
  v.integer({"threads", incidental, "threads on the host; 0: one per core"}, c.threads, 0, 1024);
  v.object({"device", optional, ""}, c.device);
  v.integer({"checkpoint_generations", incidental, "also save every so many generations; 0: after each layer"},
            c.checkpoint_generations, 0, kMaxGenerations);
}

}  // namespace qnudge
