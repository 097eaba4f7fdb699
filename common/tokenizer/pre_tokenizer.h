// The "pre_tokenizer" of a tokenizer.json: cuts a normalized text into the words that the model sees one by one.
// Internal to common/tokenizer.
//
// Implemented: ByteLevel, Digits, Metaspace, Split, Punctuation, Whitespace, WhitespaceSplit, BertPreTokenizer,
// Sequence. Thread safety: immutable.
#pragma once

#include <memory>

#include "common/tokenizer/json_fields.h"
#include "common/tokenizer/pieces.h"

namespace hullft::tokenizer {

class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  // Cuts every piece further.
  virtual void Apply(Pieces* pieces) const = 0;
};

// json: the component, not null. kData error for what is not implemented.
std::unique_ptr<PreTokenizer> MakePreTokenizer(const nlohmann::json& json, const Place& place);

}  // namespace hullft::tokenizer
