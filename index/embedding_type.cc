#include "index/embedding_type.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "common/error.h"

namespace hullft::index {
namespace {

constexpr std::string_view kNames[] = {"f32", "f16", "bf16"};

// A type with the name of the format; the compiler knows how to convert it.
using Half = _Float16;
// One in a record of the store or a mapped file, at any address.
using StoredHalf [[gnu::aligned(1), gnu::may_alias]] = _Float16;

uint16_t ToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// F16C where the processor has it: without it a number costs a library call.
[[gnu::target_clones("arch=haswell", "default")]] void WidenHalves(const StoredHalf* from, size_t n, float* to) {
  for (size_t i = 0; i < n; ++i) to[i] = static_cast<float>(from[i]);
}

}  // namespace

std::string_view EmbeddingTypeName(EmbeddingType type) {
  return kNames[static_cast<size_t>(type)];
}

EmbeddingType EmbeddingTypeFromName(std::string_view name) {
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (kNames[i] == name) return static_cast<EmbeddingType>(i);
  }
  throw UsageError("'{}' is not a type of stored embeddings: f32, f16 or bf16", name);
}

size_t BytesOf(EmbeddingType type) {
  return type == EmbeddingType::kF32 ? 4 : 2;
}

void Narrow(std::span<const float> values, EmbeddingType type, std::string* to) {
  const size_t at = to->size(), size = BytesOf(type);
  to->resize(at + values.size() * size);
  char* out = to->data() + at;
  if (type == EmbeddingType::kF32) {
    if (!values.empty()) std::memcpy(out, values.data(), values.size_bytes());
    return;
  }
  for (size_t i = 0; i < values.size(); ++i, out += size) {
    uint16_t bits = 0;
    if (type == EmbeddingType::kBf16) {
      bits = ToBf16(values[i]);
    } else {
      const auto half = static_cast<Half>(values[i]);
      if (!std::isfinite(static_cast<float>(half)))
        throw DataError("an embedding holds {}, which is too large for f16", values[i]);
      bits = std::bit_cast<uint16_t>(half);
    }
    std::memcpy(out, &bits, sizeof bits);
  }
}

void Widen(std::string_view bytes, EmbeddingType type, std::span<float> out) {
  HULLFT_CHECK(bytes.size() == out.size() * BytesOf(type));
  if (out.empty()) return;
  if (type == EmbeddingType::kF32) {
    std::memcpy(out.data(), bytes.data(), bytes.size());
  } else if (type == EmbeddingType::kF16) {
    WidenHalves(reinterpret_cast<const StoredHalf*>(bytes.data()), out.size(), out.data());
  } else {
    for (size_t i = 0; i < out.size(); ++i) {
      uint16_t bits = 0;
      std::memcpy(&bits, bytes.data() + 2 * i, sizeof bits);
      out[i] = std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    }
  }
}

}  // namespace hullft::index
