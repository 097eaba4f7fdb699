// BERT and RoBERTa encoders: token ids -> hidden states and their mean. For inference only: unlike a LanguageModel, the
// weights are fixed once loaded, so the projections of query, key and value are kept as one.
//
// Letters: T tokens, D width. One sequence at a time, unpadded. Thread-safe once loaded; each call runs on the calling
// thread and on as many cores as at::set_num_threads allows it; the bits depend on the ids alone when that is 1.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "worker/models/activation.h"
#include "worker/models/config.h"

namespace hullft::worker {

class BertModel {
 public:
  // Reads config.json and the safetensors of a folder. Errors as LoadLanguageModel.
  explicit BertModel(const std::filesystem::path& folder);

  int64_t width() const { return width_; }
  // The longest sequence, special tokens included.
  int64_t max_tokens() const { return max_tokens_; }
  int64_t vocab_size() const { return vocab_size_; }
  // Hash of weights and configuration.
  const std::string& digest() const { return digest_; }

  // The last hidden states, float32 [T, D]. Throws kData when T is 0 or too large, or an id is out of the vocabulary.
  at::Tensor Hidden(std::span<const int32_t> ids) const;
  // The mean of the last hidden states, divided by its L2 norm (clamped at 1e-9): out has D values.
  void Embed(std::span<const int32_t> ids, std::span<float> out) const;

 private:
  struct Affine {
    at::Tensor weight, bias;  // [out, in], [out]; for a norm [D], [D]
  };
  struct Layer {
    Affine qkv, out, attention_norm, up, down, mlp_norm;
  };
  BertModel(ConfigReader config, const std::filesystem::path& folder);
  void LoadWeights(const std::filesystem::path& folder, const std::string& prefix, int64_t layers, int64_t positions,
                   int64_t types);
  at::Tensor Positions(const at::Tensor& ids) const;
  at::Tensor Attention(const Layer& layer, const at::Tensor& x) const;
  at::Tensor Norm(const at::Tensor& x, const Affine& a) const;

  int64_t width_, heads_, mlp_width_, vocab_size_, max_tokens_ = 0;
  int64_t padding_id_ = -1;  // RoBERTa: positions count from padding_id + 1, and a padding token keeps padding_id
  double norm_epsilon_;
  Activation activation_;
  std::string digest_;
  at::Tensor tokens_, positions_, type_;  // [V, D], [P, D], [D]: every token is of type 0
  Affine norm_;
  std::vector<Layer> layers_;
};

}  // namespace hullft::worker
