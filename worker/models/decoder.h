// A decoder language model of any shape.
#pragma once

#include <filesystem>
#include <memory>

#include "worker/models/decoder_shape.h"
#include "worker/models/language_model.h"

namespace hullft::worker {

// Loads the weights that the shape asks for. Errors as LoadLanguageModel.
std::unique_ptr<LanguageModel> LoadDecoder(DecoderShape shape, const std::filesystem::path& folder,
                                           const FlatSource& source);

}  // namespace hullft::worker
