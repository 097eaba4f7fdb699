// Text encoders: text -> one unit-length float32 vector (method: mean over the attention mask, then L2 norm; both
// denominators clamped at 1e-9). BERT and RoBERTa families, from a Hugging Face or sentence-transformers folder.
//
// Each text is run alone and unpadded on one thread, different texts on different threads, so a text's vector is the same
// bit for bit in any batch and at any number of threads. Thread safety: Embed may be called from one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace hullft::worker {

struct EncoderOptions {
  std::string model_dir;  // config.json, model.safetensors, tokenizer.json
  int max_length = 0;     // tokens with special ones; 0: the model's own limit (sentence_bert_config.json, else config.json)
  int threads = 0;        // 0: hullft::UsableCores()
};

class Encoder {
 public:
  static std::unique_ptr<Encoder> Load(const EncoderOptions& options);
  ~Encoder();

  int dim() const;
  int max_length() const;
  // Hash of weights, configuration, tokenizer and max_length: two encoders with one digest give the same vectors.
  const std::string& digest() const;

  // out: row-major [texts.size()][dim()]. Throws kNumeric, naming the row, when a vector is not finite.
  void Embed(std::span<const std::string_view> texts, std::span<float> out) const;

 private:
  Encoder();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hullft::worker
