// How ggml packs the numbers of a tensor: plain floats and blocks of quantised values with their scales. A row each in
// ggml_types.cc, from the definitions in ggml's ggml-common.h and ggml-quants.c. No Torch here. Thread safety:
// immutable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hullft::worker {

struct GgmlType {
  uint32_t number;        // in GGUF files
  std::string_view name;  // as ggml and TensorView::dtype have it
  int64_t elements;       // of a block
  int64_t bytes;          // of a block
  // Writes the values of one block; null: F32, F16 and BF16, which safetensors.h reads.
  void (*unpack)(const std::byte* block, float* out);
};

// Null for what is not implemented.
const GgmlType* FindGgmlType(uint32_t number);
const GgmlType* FindGgmlType(std::string_view name);
// "F32, F16, ...": all of them, for messages.
std::string GgmlTypeNames();

}  // namespace hullft::worker
