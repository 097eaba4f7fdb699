// What a tokenizer.json says, read and checked. Internal to common/tokenizer; tokenizer.cc runs it.
// Thread safety: immutable once read.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/tokenizer/added_tokens.h"
#include "common/tokenizer/decoder.h"
#include "common/tokenizer/model.h"
#include "common/tokenizer/normalizer.h"
#include "common/tokenizer/post_processor.h"
#include "common/tokenizer/pre_tokenizer.h"

namespace hullft::tokenizer {

struct Pipeline {
  std::unique_ptr<Normalizer> normalizer;       // null: none
  std::unique_ptr<PreTokenizer> pre_tokenizer;  // null: none
  std::unique_ptr<Model> model;
  std::unique_ptr<Decoder> decoder;  // null: tokens are joined by spaces
  SpecialFrame frame;
  TokenFinder raw_finder, normalized_finder;      // of added tokens: in the text as it is, in the normalized text
  std::map<int32_t, std::string> added_contents;  // by id
  std::map<std::string, int32_t, std::less<>> added_ids;
  std::string digest;  // HashHex of the file
};

// path: the tokenizer.json itself, or a GGUF file. Errors: kIo, or kData that names file and field, or for broken JSON
// its line and column.
Pipeline ReadPipeline(const std::filesystem::path& path);

}  // namespace hullft::tokenizer
