// Decoder language models over ATen, of the families of families.h.
//
// Letters: T tokens of one sequence, V vocabulary, D width, B sequences of one length: there is no padding.
// Parameters are float32 leaf tensors with requires_grad; a tied head is one parameter. All of them are views into one
// flat tensor in a fixed order (embeddings, layers, final norm, head). Every forward reads the weights through
// parameters() afresh: nothing derived from them is cached. Not thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/adapter_options.h"
#include "worker/models/flat_parameters.h"
#include "worker/models/low_rank.h"
#include "worker/models/product.h"

namespace hullft::worker {

class LanguageModel : public FlatParameters {
 public:
  virtual ~LanguageModel() = default;
  // ids: int64 [T], or [B, T] for B sequences side by side; T <= max_positions(). dropout: probability, applied where
  // the architecture has it (attention; GPT-2 and others: embeddings and residual branches too); 0 is deterministic.
  // Hidden states after the final norm, as wide as the head's rows: [T, D] or [B T, D].
  virtual at::Tensor Hidden(const at::Tensor& ids, double dropout) = 0;
  // What a forward pass over so many tokens reads besides ids and parameters, made now where it is not there.
  virtual std::vector<at::Tensor> Tables(int64_t /*length*/) { return {}; }
  // The output projection, [V, D] (the embedding itself when tied).
  virtual at::Tensor HeadWeight() = 0;

  // Logits [T, V].
  at::Tensor Logits(const at::Tensor& ids) {
    const at::Tensor logits = at::matmul(Hidden(ids, 0.0), HeadWeight().t());
    return logit_cap_ > 0 ? (logits / logit_cap_).tanh() * logit_cap_ : logits;
  }
  // c where logits are c tanh(hidden head^T / c); 0: they are the product.
  double logit_cap() const { return logit_cap_; }

  // The projections that may have adapters, and what every forward pass adds to them: adapters by the index of their
  // weight in parameters(); empty: nothing.
  const std::vector<AdapterPlace>& adapter_places() const { return adapter_places_; }
  void UseAdapters(std::vector<std::vector<Adapter>> by_weight) { adapters_ = std::move(by_weight); }
  // Of the matrix products with weights, in both directions; the attention's own stay float32. At first kFloat32.
  void set_precision(Precision precision) { precision_ = precision; }
  Precision precision() const { return precision_; }
  int64_t vocab_size() const { return vocab_size_; }
  int64_t max_positions() const { return max_positions_; }
  int64_t bos_token_id() const { return bos_token_id_; }  // -1 when config.json has none
  int64_t eos_token_id() const { return eos_token_id_; }

 protected:
  // The weight with this index in parameters(), as it is now.
  const at::Tensor& P(int index) const { return parameters_[static_cast<size_t>(index)].value; }
  // Throws kData unless ids is int64 [T] or [B, T] with 1 <= T <= max_positions().
  void CheckIds(const at::Tensor& ids) const;

  bool adapted() const { return !adapters_.empty(); }
  // y, a projection of x by the weight with this index, with what its adapters add. y is the caller's own.
  at::Tensor Adapt(at::Tensor y, const at::Tensor& x, int weight) const;

  Precision precision_ = Precision::kFloat32;
  std::vector<AdapterPlace> adapter_places_;
  double logit_cap_ = 0;
  int64_t vocab_size_ = 0, max_positions_ = 0, bos_token_id_ = -1, eos_token_id_ = -1;

 private:
  std::vector<std::vector<Adapter>> adapters_;
};

// Where a model's flat array lives and who fills it.
struct FlatSource {
  at::Device device = at::kCPU;
  // Gives float32 [elements], contiguous, on the device; called once. Empty: Torch allocates.
  std::function<at::Tensor(int64_t elements)> memory;
  // What memory() gives holds the weights already, in the model's layout: no checkpoint is read, config.json suffices.
  bool filled = false;
};

// Reads config.json and the safetensors of a Hugging Face folder. Weights of float32, float16 or bfloat16 become
// float32. Throws kData naming file and field for: an unsupported architecture or configuration value, missing or
// unused tensors (all listed), wrong shapes, damaged files.
std::unique_ptr<LanguageModel> LoadLanguageModel(const std::filesystem::path& folder, const FlatSource& source = {});

}  // namespace hullft::worker
