// The "decoder" of a tokenizer.json: token contents back to text. Internal to common/tokenizer.
//
// Implemented: ByteLevel, WordPiece, Metaspace, Replace, ByteFallback, Fuse, Strip, Sequence. Thread safety: immutable.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/tokenizer/json_fields.h"

namespace hullft::tokenizer {

class Decoder {
 public:
  virtual ~Decoder() = default;
  // Rewrites the tokens; joined they are the text.
  virtual std::vector<std::string> Apply(std::vector<std::string> tokens) const = 0;
};

// json: the component, not null. kData error for what is not implemented.
std::unique_ptr<Decoder> MakeDecoder(const nlohmann::json& json, const Place& place);

}  // namespace hullft::tokenizer
