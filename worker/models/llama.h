// The Llama family: RMSNorm, rotary positions, grouped-query attention, gated MLP; tied or untied head.
#pragma once

#include <filesystem>
#include <memory>

#include "worker/models/config.h"
#include "worker/models/language_model.h"

namespace hullft::worker {

// config: its config.json. Errors as LoadLanguageModel.
std::unique_ptr<LanguageModel> LoadLlama(ConfigReader& config, const std::filesystem::path& folder,
                                         const FlatSource& source);

}  // namespace hullft::worker
