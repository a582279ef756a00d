// SPDX-License-Identifier: MIT
#include "host/quant/qdq_primitives.hpp"
#include "host/quant/qdq_writer.hpp"

namespace qnudge {
namespace {

void write(QdqWriter& to, int i) {
  const std::string& name = to.network().input_name;
  to.out().input(name, to.dims_of(i));
  to.publish(i, name, QdqWriter::Result::given);
}

}  // namespace

const QdqFacet qdq_facets::input = {.write = write};

}  // namespace qnudge
