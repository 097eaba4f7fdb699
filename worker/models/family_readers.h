// From a config.json to a DecoderShape, a function for each kind of model_type (families.h has the table).
#pragma once

#include <cmath>
#include <string>

#include "worker/models/config.h"
#include "worker/models/decoder_shape.h"

namespace hullft::worker {

// GPT-2 and its relatives: layer norms, biases, a plain feed-forward part.
DecoderShape ReadGpt2(ConfigReader& config);
DecoderShape ReadGptNeo(ConfigReader& config);
DecoderShape ReadGptNeoX(ConfigReader& config);
DecoderShape ReadOpt(ConfigReader& config);

// Llama and its relatives: RMS norms, rotated heads, a gated feed-forward part.
DecoderShape ReadLlama(ConfigReader& config);
DecoderShape ReadMistral(ConfigReader& config);
DecoderShape ReadQwen2(ConfigReader& config);
DecoderShape ReadQwen3(ConfigReader& config);
DecoderShape ReadPhi3(ConfigReader& config);
DecoderShape ReadOlmo2(ConfigReader& config);
DecoderShape ReadGemma1(ConfigReader& config);
DecoderShape ReadGemma2(ConfigReader& config);
DecoderShape ReadGemma3(ConfigReader& config);
DecoderShape ReadGemma3Text(ConfigReader& config);

// What they share.
inline double InverseRoot(int64_t n) {
  return 1 / std::sqrt(static_cast<double>(n));
}
void ReadTokens(ConfigReader& config, DecoderShape* shape);
// As many layers alike as the field says.
void RepeatLayers(ConfigReader& config, const std::string& field, const LayerKind& kind, DecoderShape* shape);

}  // namespace hullft::worker
