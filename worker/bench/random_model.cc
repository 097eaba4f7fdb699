#include "worker/bench/random_model.h"

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "common/files.h"
#include "common/parallel.h"

namespace hullft::worker {
namespace {

using nlohmann::json;

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  float mean, deviation;
  int64_t count() const { return shape.size() == 2 ? shape[0] * shape[1] : shape[0]; }
};

std::vector<Tensor> Tensors(const Gpt2Shape& s) {
  constexpr float kDeviation = 0.02F;
  std::vector<Tensor> tensors;
  const auto affine = [&](const std::string& name, std::vector<int64_t> shape, float deviation) {
    const int64_t outputs = shape.back();
    tensors.push_back({name + ".weight", std::move(shape), 0, deviation});
    tensors.push_back({name + ".bias", {outputs}, 0, 0});
  };
  const auto norm = [&](const std::string& name) {
    tensors.push_back({name + ".weight", {s.width}, 1, 0});
    tensors.push_back({name + ".bias", {s.width}, 0, 0});
  };
  tensors.push_back({"transformer.wte.weight", {s.vocabulary, s.width}, 0, kDeviation});
  tensors.push_back({"transformer.wpe.weight", {s.positions, s.width}, 0, kDeviation});
  const float residual = kDeviation / std::sqrt(2 * static_cast<float>(s.layers));
  for (int64_t i = 0; i < s.layers; ++i) {
    const std::string prefix = "transformer.h." + std::to_string(i) + ".";
    norm(prefix + "ln_1");
    affine(prefix + "attn.c_attn", {s.width, 3 * s.width}, kDeviation);
    affine(prefix + "attn.c_proj", {s.width, s.width}, residual);
    norm(prefix + "ln_2");
    affine(prefix + "mlp.c_fc", {s.width, 4 * s.width}, kDeviation);
    affine(prefix + "mlp.c_proj", {4 * s.width, s.width}, residual);
  }
  norm("transformer.ln_f");
  return tensors;
}

// SplitMix64 (Steele, Lea, Flood 2014): a number from a counter, so that tensors can be filled in any order.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31U);
}

// The sum of four uniform numbers: near enough to a normal one.
float Normal(uint64_t counter) {
  const uint64_t bits = Mix(counter);
  float sum = 0;
  for (unsigned i = 0; i < 4; ++i) sum += static_cast<float>((bits >> (16U * i)) & 0xffffU) / 65536.0F;
  return (sum - 2.0F) * 1.7320508F;
}

}  // namespace

void WriteRandomGpt2(const std::filesystem::path& folder, const Gpt2Shape& shape, uint64_t seed) {
  const json config = {{"model_type", "gpt2"},
                       {"n_embd", shape.width},
                       {"n_head", shape.heads},
                       {"n_layer", shape.layers},
                       {"n_positions", shape.positions},
                       {"vocab_size", shape.vocabulary},
                       {"bos_token_id", 0},
                       {"eos_token_id", 0}};
  WriteFileAtomic(folder / "config.json", config.dump(2) + "\n");
  const std::vector<Tensor> tensors = Tensors(shape);
  json header = json::object();
  uint64_t bytes = 0;
  std::vector<uint64_t> offsets;
  for (const Tensor& tensor : tensors) {
    offsets.push_back(bytes);
    bytes += static_cast<uint64_t>(tensor.count()) * sizeof(float);
    header[tensor.name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offsets.back(), bytes}}};
  }
  std::string head = header.dump();
  head.resize((head.size() + 7) / 8 * 8, ' ');
  const uint64_t head_size = head.size();
  std::string file(sizeof(head_size) + head.size() + bytes, '\0');
  std::memcpy(file.data(), &head_size, sizeof(head_size));  // little endian, as this machine is
  std::memcpy(file.data() + sizeof(head_size), head.data(), head.size());
  char* const data = file.data() + sizeof(head_size) + head.size();
  ParallelFor(static_cast<int64_t>(tensors.size()), UsableCores(), [&](int64_t i) {
    const Tensor& tensor = tensors[static_cast<size_t>(i)];
    const uint64_t first = offsets[static_cast<size_t>(i)] / sizeof(float);
    for (int64_t k = 0; k < tensor.count(); ++k) {
      const float noise =
          tensor.deviation == 0 ? 0 : tensor.deviation * Normal(Mix(seed) + first + static_cast<uint64_t>(k));
      const float value = tensor.mean + noise;
      std::memcpy(data + (first + static_cast<uint64_t>(k)) * sizeof(float), &value, sizeof(float));
    }
  });
  WriteFileAtomic(folder / "model.safetensors", file);
}

}  // namespace hullft::worker
