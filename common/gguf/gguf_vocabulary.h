// What the tokenizers of GGUF files have in common: the vocabulary with the kinds of its tokens, and the tokens before
// a text. Internal to common/gguf. Thread safety: free functions.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "common/gguf/gguf.h"

namespace hullft::gguf {

// tokenizer.ggml.token_type
constexpr int64_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4;

// A kData error: "PATH: KEY WHAT".
[[noreturn]] void Fail(const GgufFile& file, const std::string& key, const std::string& what);

// The list of a key, whose items is_type accepts.
const nlohmann::json& List(const GgufFile& file, const std::string& key,
                           bool (nlohmann::json::*is_type)() const noexcept);

struct Vocabulary {
  nlohmann::json tokens;                                           // by id
  const nlohmann::json& types;                                     // by id
  nlohmann::json ids = nlohmann::json::object();                   // by token
  nlohmann::ordered_json added = nlohmann::ordered_json::array();  // the tokens that are cut out of a text first
};

// plain_spaces: runs of spaces among the user-defined tokens are meant as SentencePiece's U+2581, which newer
// converters write as spaces.
Vocabulary ReadVocabulary(const GgufFile& file, bool plain_spaces);

// A token before the text where the file asks for one, or says nothing and its kind has one by default; null: none.
nlohmann::ordered_json PostProcessor(const GgufFile& file, const nlohmann::json& tokens, bool by_default);

// The tokenizers by tokenizer.ggml.model: "gpt2" and "llama".
nlohmann::ordered_json ByteLevelBpe(const GgufFile& file);
nlohmann::ordered_json SentencePieceBpe(const GgufFile& file);

}  // namespace hullft::gguf
