#include "worker/checkpoint/ggml_types.h"

#include <fmt/format.h>

#include <array>
#include <cstring>

#include "worker/checkpoint/safetensors.h"

namespace hullft::worker {
namespace {

constexpr int kBlock = 32, kSuperBlock = 256;  // ggml's QK and QK_K

float Half(const std::byte* at) {
  uint16_t bits = 0;
  std::memcpy(&bits, at, sizeof bits);
  return FromHalf(bits);
}

int Byte(const std::byte* at) {
  return std::to_integer<int>(*at);
}

// The i-th of 32 values: its upper bit among the first 32, its lower four behind them.
int FiveBits(const std::byte* packed, int i) {
  const int both = Byte(packed + 4 + i % 16), upper = Byte(packed + i / 8) >> (i % 8) & 1;
  return (i < 16 ? both & 15 : both >> 4) | upper << 4;
}

// A scale, then 32 values of 4 bits from -8: the low halves of 16 bytes, then the high ones.
void UnpackQ4_0(const std::byte* block, float* out) {
  const float scale = Half(block);
  for (int i = 0; i < kBlock / 2; ++i) {
    const int both = Byte(block + 2 + i);
    out[i] = static_cast<float>((both & 15) - 8) * scale;
    out[i + kBlock / 2] = static_cast<float>((both >> 4) - 8) * scale;
  }
}

// The same from 0, with a least value after the scale.
void UnpackQ4_1(const std::byte* block, float* out) {
  const float scale = Half(block), least = Half(block + 2);
  for (int i = 0; i < kBlock / 2; ++i) {
    const int both = Byte(block + 4 + i);
    out[i] = static_cast<float>(both & 15) * scale + least;
    out[i + kBlock / 2] = static_cast<float>(both >> 4) * scale + least;
  }
}

// A scale, 32 upper bits, then the lower four bits as in Q4_0; values from -16.
void UnpackQ5_0(const std::byte* block, float* out) {
  const float scale = Half(block);
  for (int i = 0; i < kBlock; ++i) out[i] = static_cast<float>(FiveBits(block + 2, i) - 16) * scale;
}

// The same from 0, with a least value after the scale.
void UnpackQ5_1(const std::byte* block, float* out) {
  const float scale = Half(block), least = Half(block + 2);
  for (int i = 0; i < kBlock; ++i) out[i] = static_cast<float>(FiveBits(block + 4, i)) * scale + least;
}

void UnpackQ8_0(const std::byte* block, float* out) {
  const float scale = Half(block);
  for (int i = 0; i < kBlock; ++i) out[i] = static_cast<float>(static_cast<int8_t>(Byte(block + 2 + i))) * scale;
}

// Sixteen bytes of a scale and a least value each for 16 values, 64 bytes of two bits, then what the scales and the
// least values are times.
void UnpackQ2K(const std::byte* block, float* out) {
  const float scale = Half(block + 80), least = Half(block + 82);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int part = Byte(block + i / 16), bits = Byte(block + 16 + (i / 128 * 32 + i % 32)) >> (i % 128 / 32 * 2) & 3;
    const float s = scale * static_cast<float>(part & 15), m = least * static_cast<float>(part >> 4);
    out[i] = s * static_cast<float>(bits) - m;
  }
}

// The scale of one of the sixteen parts of Q3_K: 6 bits from -32 in 12 bytes, the lower four in the first 8.
int PartOfQ3K(const std::byte* packed, int part) {
  const int both = Byte(packed + part % 8), upper = Byte(packed + 8 + part % 4) >> (part / 4 * 2) & 3;
  return ((part < 8 ? both & 15 : both >> 4) | upper << 4) - 32;
}

// 32 bytes of an upper bit (clear: the value is 4 less), 64 of the lower two, the parts' scales, a scale.
void UnpackQ3K(const std::byte* block, float* out) {
  const float scale = Half(block + 108);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int low = Byte(block + 32 + (i / 128 * 32 + i % 32)) >> (i % 128 / 32 * 2) & 3;
    const int upper = Byte(block + i % 32) >> (i / 32) & 1;
    const float s = scale * static_cast<float>(PartOfQ3K(block + 96, i / 16));
    out[i] = s * static_cast<float>(low - 4 * (1 - upper));
  }
}

// Scale and least value of one of the eight parts of Q4_K and Q5_K, 6 bits each in 12 bytes (ggml's get_scale_min_k4).
std::array<float, 2> PartOfQ4K(const std::byte* packed, int part) {
  const auto at = [&](int i) { return Byte(packed + i); };
  if (part < 4) return {static_cast<float>(at(part) & 63), static_cast<float>(at(part + 4) & 63)};
  return {static_cast<float>((at(part + 4) & 15) | (at(part - 4) >> 6) << 4),
          static_cast<float>((at(part + 4) >> 4) | (at(part) >> 6) << 4)};
}

void UnpackQ4K(const std::byte* block, float* out) {
  const float scale = Half(block), least = Half(block + 2);
  const std::byte *parts = block + 4, *values = block + 16;
  for (int part = 0; part < 8; ++part) {
    const auto [part_scale, part_least] = PartOfQ4K(parts, part);
    const float s = scale * part_scale, m = least * part_least;
    for (int i = 0; i < 32; ++i) {
      const int both = Byte(values + ((part / 2) * 32 + i));
      out[part * 32 + i] = s * static_cast<float>(part % 2 == 0 ? both & 15 : both >> 4) - m;
    }
  }
}

// As Q4_K, with 32 bytes of upper bits before the low halves: a bit of each byte for a part.
void UnpackQ5K(const std::byte* block, float* out) {
  const float scale = Half(block), least = Half(block + 2);
  const std::byte *parts = block + 4, *upper = block + 16, *values = block + 48;
  for (int part = 0; part < 8; ++part) {
    const auto [part_scale, part_least] = PartOfQ4K(parts, part);
    const float s = scale * part_scale, m = least * part_least;
    for (int i = 0; i < 32; ++i) {
      const int both = Byte(values + ((part / 2) * 32 + i)), fifth = Byte(upper + i) >> part & 1;
      out[part * 32 + i] = s * static_cast<float>((part % 2 == 0 ? both & 15 : both >> 4) | fifth << 4) - m;
    }
  }
}

// 128 bytes of low halves, 64 of upper two bits, 16 scales of 8 bits, a scale; values from -32.
void UnpackQ6K(const std::byte* block, float* out) {
  const std::byte *low = block, *high = block + 128, *scales = block + 192;
  const float scale = Half(block + 208);
  for (int i = 0; i < kSuperBlock; ++i) {
    const int half = i / 128, quarter = i % 128 / 32, at = i % 32;
    const int low_byte = Byte(low + (half * 64 + quarter % 2 * 32 + at));
    const int low_bits = quarter < 2 ? low_byte & 15 : low_byte >> 4;
    const int high_bits = Byte(high + (half * 32 + at)) >> (2 * quarter) & 3;
    const auto part = static_cast<int8_t>(Byte(scales + i / 16));
    out[i] = scale * static_cast<float>(part) * static_cast<float>((low_bits | high_bits << 4) - 32);
  }
}

constexpr GgmlType kTypes[] = {
    {0, "F32", 1, 4, nullptr},
    {1, "F16", 1, 2, nullptr},
    {2, "Q4_0", kBlock, 18, UnpackQ4_0},
    {3, "Q4_1", kBlock, 20, UnpackQ4_1},
    {6, "Q5_0", kBlock, 22, UnpackQ5_0},
    {7, "Q5_1", kBlock, 24, UnpackQ5_1},
    {8, "Q8_0", kBlock, 34, UnpackQ8_0},
    {10, "Q2_K", kSuperBlock, 84, UnpackQ2K},
    {11, "Q3_K", kSuperBlock, 110, UnpackQ3K},
    {12, "Q4_K", kSuperBlock, 144, UnpackQ4K},
    {13, "Q5_K", kSuperBlock, 176, UnpackQ5K},
    {14, "Q6_K", kSuperBlock, 210, UnpackQ6K},
    {30, "BF16", 1, 2, nullptr},
};

}  // namespace

const GgmlType* FindGgmlType(uint32_t number) {
  for (const GgmlType& type : kTypes)
    if (type.number == number) return &type;
  return nullptr;
}

const GgmlType* FindGgmlType(std::string_view name) {
  for (const GgmlType& type : kTypes)
    if (type.name == name) return &type;
  return nullptr;
}

std::string GgmlTypeNames() {
  std::string names;
  for (const GgmlType& type : kTypes) names += fmt::format("{}{}", names.empty() ? "" : ", ", type.name);
  return names;
}

}  // namespace hullft::worker
