#include "worker/models/families.h"

#include <fmt/format.h>

#include "worker/models/family_readers.h"
#include "worker/models/row_of_type.h"

namespace hullft::worker {

void ReadTokens(ConfigReader& config, DecoderShape* shape) {
  shape->vocabulary = config.Size("vocab_size");
  shape->bos = config.TokenId("bos_token_id");
  shape->eos = config.TokenId("eos_token_id");
}

void RepeatLayers(ConfigReader& config, const std::string& field, const LayerKind& kind, DecoderShape* shape) {
  shape->layers.assign(static_cast<size_t>(config.Size(field)), kind);
}

namespace {

constexpr Family kFamilies[] = {
    {"gpt2", "GPT-2", "gpt2, gpt2_inner_gelu_scale, gpt2_untied", ReadGpt2},
    {"gpt_neo", "GPT-Neo", "gpt_neo", ReadGptNeo},
    {"gpt_neox", "GPT-NeoX, Pythia", "gpt_neox, gpt_neox_sequential_rot1", ReadGptNeoX},
    {"opt", "OPT", "opt, opt_350m", ReadOpt},
    {"llama", "Llama 2, 3, 3.1, 3.2, SmolLM, SmolLM2, TinyLlama",
     "llama3_rope, llama_biases, llama_dynamic_rope, llama_gqa_tied, llama_linear_rope, llama_mha, "
     "llama_mqa_headdim16, llama_yarn_rope",
     ReadLlama},
    {"mistral", "Mistral", "mistral_sliding8", ReadMistral},
    {"qwen2", "Qwen 2, 2.5", "qwen2_tied", ReadQwen2},
    {"qwen3", "Qwen 3", "qwen3", ReadQwen3},
    {"phi3", "Phi-3, Phi-3.5, Phi-4-mini", "phi3, phi3_longrope, phi3_longrope_short", ReadPhi3},
    {"olmo2", "OLMo 2", "olmo2", ReadOlmo2},
    {"gemma", "Gemma (2B, 7B)", "gemma", ReadGemma1},
    {"gemma2", "Gemma 2", "gemma2", ReadGemma2},
    {"gemma3_text", "Gemma 3 (270M, 1B)", "gemma3_text", ReadGemma3},
    {"gemma3", "Gemma 3 (4B, 12B, 27B), its text", "gemma3", ReadGemma3Text},
};

}  // namespace

std::span<const Family> Families() {
  return kFamilies;
}

std::string ToText(const Tolerance& tolerance) {
  return fmt::format("logits {:g}, loss {:g}, gradients {:g} of their norm", tolerance.logits, tolerance.loss,
                     tolerance.gradients);
}

const Family& FamilyOf(ConfigReader& config) {
  return RowOfType(std::span<const Family>(kFamilies), config, "language models");
}

DecoderShape ReadShape(ConfigReader& config) {
  return FamilyOf(config).read(config);
}

}  // namespace hullft::worker
