// A model folder of GPT-2's shape with random weights, for benchmarks: no download, any size.
#pragma once

#include <cstdint>
#include <filesystem>

namespace hullft::worker {

// GPT-2 small: 124.4 million parameters.
struct Gpt2Shape {
  int64_t layers = 12, width = 768, heads = 12, vocabulary = 50257, positions = 1024;
  // Multiply-adds of matrix products a token, forward only; attention not counted.
  int64_t ProductsPerToken() const { return layers * 12 * width * width + vocabulary * width; }
};

// Writes config.json and model.safetensors (float32, GPT-2's initialisation: normal, deviation 0.02) into `folder`,
// which must exist. The same seed gives the same bytes.
void WriteRandomGpt2(const std::filesystem::path& folder, const Gpt2Shape& shape, uint64_t seed);

}  // namespace hullft::worker
