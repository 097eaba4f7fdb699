// GPT-2: learned positions, LayerNorm before each branch, one fused projection for query, key and value whose weights
// lie transposed ([in, out], "Conv1D"); tied or untied head.
#pragma once

#include <filesystem>
#include <memory>

#include "worker/models/config.h"
#include "worker/models/language_model.h"

namespace hullft::worker {

// config: its config.json. Errors as LoadLanguageModel.
std::unique_ptr<LanguageModel> LoadGpt2(ConfigReader& config, const std::filesystem::path& folder,
                                        const FlatSource& source);

}  // namespace hullft::worker
