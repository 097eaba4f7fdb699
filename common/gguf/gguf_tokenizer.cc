#include "common/gguf/gguf_tokenizer.h"

#include <fmt/format.h>

#include "common/gguf/gguf_vocabulary.h"

namespace hullft {

nlohmann::ordered_json GgufTokenizer(const GgufFile& file) {
  const nlohmann::json& kind = file.Get("tokenizer.ggml.model");
  if (kind == "gpt2") return gguf::ByteLevelBpe(file);
  if (kind == "llama") return gguf::SentencePieceBpe(file);
  gguf::Fail(file, "tokenizer.ggml.model", fmt::format("is {}; \"gpt2\" and \"llama\" are implemented", kind.dump()));
}

}  // namespace hullft
