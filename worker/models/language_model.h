// Decoder language models over ATen: Llama family and GPT-2 (more register in language_model.cc).
//
// Letters: T tokens of one sequence, V vocabulary, D width. Batch is always 1, never padded.
// Parameters are float32 leaf tensors with requires_grad; a tied head is one parameter. All of them are views into one
// flat tensor in a fixed order (embeddings, layers, final norm, head), so that copying, resetting and Adam are one pass
// over one array; the gaps between parameters (alignment) are 0 and must stay so. Every forward reads the weights
// through parameters() afresh: nothing derived from them is cached. Not thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "worker/models/product.h"

namespace hullft::worker {

struct Parameter {
  std::string name;    // the checkpoint's name, e.g. "model.layers.0.mlp.up_proj.weight"
  at::Tensor value;    // float32, contiguous, requires_grad
  int64_t offset = 0;  // of its first element in LanguageModel::flat(), a multiple of 16 (64 bytes)
  int64_t count = 0;   // elements
};

class LanguageModel {
 public:
  virtual ~LanguageModel() = default;
  // ids: int64 [T], T <= max_positions(). dropout: probability, applied where the architecture has it (GPT-2:
  // embeddings, attention, residual branches; Llama: attention); 0 is deterministic. Hidden states after the final
  // norm, [T, D].
  virtual at::Tensor Hidden(const at::Tensor& ids, double dropout) = 0;
  // The output projection, [V, D] (the embedding itself when tied).
  virtual at::Tensor HeadWeight() = 0;

  // Logits [T, V].
  at::Tensor Logits(const at::Tensor& ids) { return at::matmul(Hidden(ids, 0.0), HeadWeight().t()); }

  std::vector<Parameter>& parameters() { return parameters_; }
  // float32 [n], the storage behind parameters(): as loaded, or the last one given to UseFlat.
  const at::Tensor& flat() const { return flat_; }
  // Makes every parameter a view into `flat` (float32, contiguous, flat().numel() elements, same device), for example a
  // working copy. Parameter::value keeps its identity (and its grad); only its data moves. No copy is made.
  void UseFlat(const at::Tensor& flat);
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
  // Throws kData unless ids is int64 [T] with 1 <= T <= max_positions().
  void CheckIds(const at::Tensor& ids) const;

  Precision precision_ = Precision::kFloat32;
  at::Tensor flat_;
  std::vector<Parameter> parameters_;
  int64_t vocab_size_ = 0, max_positions_ = 0, bos_token_id_ = -1, eos_token_id_ = -1;
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
