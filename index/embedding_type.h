// How embeddings lie on disk: float32, or rounded to 16 bits once, when the corpus is built. Everything that is
// computed from a stored embedding is computed from the float32 numbers that it stands for, which Widen gives exactly.
// Thread safety: free functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace hullft::index {

enum class EmbeddingType : uint8_t { kF32, kF16, kBf16 };

// "f32", "f16", "bf16", and back; throws kUsage for another name.
std::string_view EmbeddingTypeName(EmbeddingType type);
EmbeddingType EmbeddingTypeFromName(std::string_view name);
size_t BytesOf(EmbeddingType type);  // of one number

// Rounds to nearest, ties to even, and appends the bytes. Throws kData for a number that the type cannot hold (f16:
// above 65504).
void Narrow(std::span<const float> values, EmbeddingType type, std::string* to);
// bytes: out.size() numbers, at any alignment.
void Widen(std::string_view bytes, EmbeddingType type, std::span<float> out);

}  // namespace hullft::index
