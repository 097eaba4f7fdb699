// Text encoders: text -> one unit-length float32 vector (method: mean over the attention mask, then L2 norm; both
// denominators clamped at 1e-9). The families of models/encoder_families.h, from a Hugging Face or
// sentence-transformers folder, which may choose another pooling and a prompt (pooling.h).
//
// Each text is run alone and unpadded, on one thread of the CPU (different texts on different threads) or on a GPU one
// after the other, so a text's vector is the same bit for bit in any batch and at any number of threads. Between kinds
// of devices it is the same up to rounding. Thread safety: Embed may be called from one thread at a time.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace hullft::worker {

// What becomes of a text of more than max_length tokens.
enum class LongTexts {
  kCut,      // its end is left out, as in the reference
  kAverage,  // it is cut into parts; the mean of their vectors before the last normalization, weighted by their tokens
};
// "cut" or "average"; throws kUsage for another name.
LongTexts LongTextsFromName(const std::string& name);

struct EncoderOptions {
  std::string model_dir;  // config.json, model.safetensors, tokenizer.json
  int max_length =
      0;            // tokens with special ones; 0: the model's own limit (sentence_bert_config.json, else config.json)
  int threads = 0;  // 0: hullft::UsableCores()
  LongTexts long_texts = LongTexts::kCut;
  std::string prompt = {};  // a name in config_sentence_transformers.json; empty: the folder's default, if it has one
};

class Encoder {
 public:
  static std::unique_ptr<Encoder> Load(const EncoderOptions& options);
  ~Encoder();

  // device: as worker/device.h names it, "cpu" at first. Throws as ParseDevice. A GPU multiplies in float32, which is a
  // setting of the whole process (InitDevice).
  void MoveTo(const std::string& device);

  int dim() const;
  int max_length() const;
  // Hash of weights, configuration, tokenizer, max_length and, where they are not the usual ones, pooling, prompt and
  // long_texts: two encoders with one digest give the same vectors.
  const std::string& digest() const;
  // The digest without the prompt: vectors of two encoders with one space may be compared.
  const std::string& space() const;

  // out: row-major [texts.size()][dim()]. Throws kNumeric, naming the row, when a vector is not finite.
  void Embed(std::span<const std::string_view> texts, std::span<float> out) const;

 private:
  Encoder();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hullft::worker
