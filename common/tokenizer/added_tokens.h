// Added tokens: contents that are found in the text before anything else cuts it. Internal to common/tokenizer.
// Thread safety: immutable once filled.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/tokenizer/json_fields.h"

namespace hullft::tokenizer {

struct AddedToken {
  int32_t id = 0;
  std::string content;
  bool single_word = false;  // matches only between characters that are not of a word
  bool lstrip = false;       // swallows the spaces before it
  bool rstrip = false;       // swallows the spaces behind it
  bool normalized = false;   // is looked for in the normalized text, itself normalized
  bool special = false;
};

// The "added_tokens" list of a tokenizer.json, in its order.
std::vector<AddedToken> ReadAddedTokens(const nlohmann::json& json, const Place& place);

// Finds the tokens in a text: leftmost first, the longest of those.
class TokenFinder {
 public:
  TokenFinder() { starts_.fill(false); }
  // content: what to look for (that of the token, or its normalized form); an empty one is never found.
  void Add(const AddedToken& token, std::string_view content);

  // A part of the text: a token's, or (id -1) what lies between tokens. Never empty parts between tokens.
  struct Part {
    size_t begin, end;
    int32_t id;
  };
  // Cuts all of text into parts, in order.
  void Cut(std::string_view text, std::vector<Part>* parts) const;

 private:
  struct Node {  // of a trie over bytes
    std::vector<std::pair<char, int32_t>> children;
    int32_t token = -1;  // index into tokens_
  };
  // The longest token that begins at text[at]: its index and length, or -1.
  int32_t LongestAt(std::string_view text, size_t at, size_t* length) const;

  std::vector<Node> nodes_{1};
  std::vector<AddedToken> tokens_;
  std::array<bool, 256> starts_;  // whether a token begins with this byte
};

}  // namespace hullft::tokenizer
