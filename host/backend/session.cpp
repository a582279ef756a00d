// SPDX-License-Identifier: MIT
#include "qnudge/backend/backend.hpp"
#include "qnudge/core/error.hpp"

namespace qnudge {

void require_codes(const IntNetwork& network) {
  require(!network.half(), ErrorKind::internal, "channels are fitted to 8-bit codes, and the activations are halves");
}
namespace {

[[noreturn]] void refuse(const char* what) {
  fail(ErrorKind::device, "this backend has no {}; --backend host has", what);
}

}  // namespace

GramSums Session::gram_sums(int, const ImagesHandle&, const LayerTargets&) {
  refuse("start 'descent' and no strategy 'gram'");
}

std::unique_ptr<LayerSearch> Session::prepare_channels(int, const ImagesHandle&, const LayerTargets&,
                                                       const ChannelOptions&, std::span<const std::int16_t>) {
  refuse("strategy 'channel'");
}

std::unique_ptr<LayerSearch> Session::prepare_gram(int, GramForm, const GramOptions&) {
  refuse("start 'descent' and no strategy 'gram'");
}

}  // namespace qnudge
