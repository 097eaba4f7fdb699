// A text encoder of any shape: token ids -> hidden states. For inference only: unlike a LanguageModel, the weights are
// fixed once loaded, so the projections of query, key and value are kept as one.
//
// Letters: T tokens, D width. One sequence at a time, unpadded. Thread-safe once loaded; on the CPU, where it is at
// first, each call runs on the calling thread and on as many cores as at::set_num_threads allows it; the bits depend on
// the ids alone when that is 1. On a GPU a call gives the current stream its work.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "worker/models/config.h"
#include "worker/models/encoder_shape.h"
#include "worker/models/weights.h"

namespace hullft::worker {

class EncoderModel {
 public:
  // Reads config.json and the safetensors of a folder. Errors as LoadLanguageModel.
  explicit EncoderModel(const std::filesystem::path& folder);

  int64_t width() const { return shape_.width; }
  // The longest sequence, special tokens included.
  int64_t max_tokens() const { return shape_.max_tokens; }
  int64_t vocab_size() const { return shape_.vocabulary; }
  // Hash of weights and configuration.
  const std::string& digest() const { return digest_; }

  // Takes weights and tables to another device.
  void MoveTo(at::Device device);
  at::Device device() const { return tokens_.device(); }

  // The last hidden states there, float32 [T, D]. Throws kData when T is 0 or too large, or an id is out of the
  // vocabulary.
  at::Tensor Hidden(std::span<const int32_t> ids) const;

 private:
  struct Affine {
    at::Tensor weight, bias;  // [out, in], [out]; for a norm [D], [D]; undefined: there is none
  };
  struct Layer {
    Affine qkv, out, attention_norm, up, down, mlp_norm;
  };
  // What the layers of one sequence share.
  struct Pass {
    std::vector<std::pair<at::Tensor, at::Tensor>> turns;  // by rope: cos and sin, [T, 1, E / 2]
    std::map<int64_t, at::Tensor> masks;                   // by reach: what is added to or allowed in attention
  };
  class Loader;
  EncoderModel(ConfigReader config, const std::filesystem::path& folder);
  void LoadWeights(const std::filesystem::path& folder);
  void PrepareTables();
  Pass Begin(int64_t length) const;
  at::Tensor Embeddings(std::span<const int32_t> ids) const;
  at::Tensor Attention(const Layer& layer, const EncoderLayerKind& kind, const at::Tensor& x, const Pass& pass) const;
  at::Tensor Mlp(const Layer& layer, const at::Tensor& x) const;
  at::Tensor Norm(const at::Tensor& x, const Affine& a) const;

  EncoderShape shape_;
  std::string digest_;
  at::Tensor tokens_, positions_, type_;  // [V, D], [P, D], [D]: every token is of type 0
  at::Tensor distances_;                  // [buckets, H]
  Affine norm_, final_norm_;
  std::vector<Layer> layers_;
  std::vector<std::pair<at::Tensor, at::Tensor>> turns_;  // by rope: of the longest sequence
  at::Tensor buckets_;  // int64 [2 max_tokens - 1]: of the distances from -(max_tokens - 1) up
};

}  // namespace hullft::worker
