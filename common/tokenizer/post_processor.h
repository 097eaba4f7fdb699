// The "post_processor" of a tokenizer.json, for single texts: the special tokens before and behind the text.
// Internal to common/tokenizer. Thread safety: values.
//
// Implemented: ByteLevel (offsets only, so nothing here), TemplateProcessing, BertProcessing, RobertaProcessing,
// Sequence.
#pragma once

#include <cstdint>
#include <vector>

#include "common/tokenizer/json_fields.h"

namespace hullft::tokenizer {

struct SpecialFrame {
  std::vector<int32_t> front, back;
};

// json: the component or null. kData error for what is not implemented.
SpecialFrame ReadPostProcessor(const nlohmann::json& json, const Place& place);

}  // namespace hullft::tokenizer
