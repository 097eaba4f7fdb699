// The "normalizer" of a tokenizer.json: text to text, before it is cut. Internal to common/tokenizer.
//
// Implemented: BertNormalizer, NFC, NFD, NFKC, NFKD, Lowercase, StripAccents, Strip, Prepend, Replace, ByteLevel,
// Precompiled, Sequence. Thread safety: immutable.
#pragma once

#include <memory>
#include <string>

#include "common/tokenizer/json_fields.h"

namespace hullft::tokenizer {

class Normalizer {
 public:
  virtual ~Normalizer() = default;
  // text: valid UTF-8, and so is the result.
  virtual std::string Apply(std::string text) const = 0;
  // Apply to a text and to its head: the characters that come from its first one. When no head is left, what is left of
  // the text does not begin it, as in the reference.
  virtual void ApplyWithHead(std::string* text, std::string* head) const;
};

// json: the component, not null. kData error for what is not implemented.
std::unique_ptr<Normalizer> MakeNormalizer(const nlohmann::json& json, const Place& place);

}  // namespace hullft::tokenizer
