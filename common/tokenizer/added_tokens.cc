#include "common/tokenizer/added_tokens.h"

#include <algorithm>
#include <limits>

#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {
namespace {

bool EndsWithWord(std::string_view text) {
  return !text.empty() && IsA(DecodeLast(text).code, kWord);
}
bool StartsWithWord(std::string_view text) {
  return !text.empty() && IsA(DecodeAt(text, 0).code, kWord);
}

size_t SpacesAtEnd(std::string_view text) {
  size_t end = text.size();
  while (end > 0) {
    const Character c = DecodeLast(text.substr(0, end));
    if (!IsA(c.code, kSpace)) break;
    end -= c.bytes;
  }
  return text.size() - end;
}

size_t SpacesAtStart(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const Character c = DecodeAt(text, at);
    if (!IsA(c.code, kSpace)) break;
    at += c.bytes;
  }
  return at;
}

}  // namespace

std::vector<AddedToken> ReadAddedTokens(const nlohmann::json& json, const Place& place) {
  std::vector<AddedToken> tokens;
  for (size_t i = 0; i < json.size(); ++i) {
    Fields fields(json[i], place.At(i));
    AddedToken token;
    const int64_t id = fields.Integer("id");
    if (id < 0 || id > std::numeric_limits<int32_t>::max()) fields.Fail("id", "is not a token id");
    token.id = static_cast<int32_t>(id);
    token.content = fields.String("content");
    token.single_word = fields.Bool("single_word");
    token.lstrip = fields.Bool("lstrip");
    token.rstrip = fields.Bool("rstrip");
    token.normalized = fields.Bool("normalized");
    token.special = fields.Bool("special");
    fields.Done();
    tokens.push_back(std::move(token));
  }
  return tokens;
}

void TokenFinder::Add(const AddedToken& token, std::string_view content) {
  if (content.empty()) return;
  size_t node = 0;
  for (const char c : content) {
    const auto& children = nodes_[node].children;
    const auto found =
        std::find_if(children.begin(), children.end(), [c](const auto& child) { return child.first == c; });
    if (found != children.end()) {
      node = static_cast<size_t>(found->second);
      continue;
    }
    nodes_[node].children.emplace_back(c, static_cast<int32_t>(nodes_.size()));
    node = nodes_.size();
    nodes_.emplace_back();
  }
  if (nodes_[node].token >= 0) return;  // the first of equal contents counts
  nodes_[node].token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
  starts_[static_cast<unsigned char>(content[0])] = true;
}

int32_t TokenFinder::LongestAt(std::string_view text, size_t at, size_t* length) const {
  int32_t best = -1;
  size_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto& children = nodes_[node].children;
    const auto found =
        std::find_if(children.begin(), children.end(), [c = text[i]](const auto& child) { return child.first == c; });
    if (found == children.end()) break;
    node = static_cast<size_t>(found->second);
    if (nodes_[node].token < 0) continue;
    best = nodes_[node].token;
    *length = i + 1 - at;
  }
  return best;
}

void TokenFinder::Cut(std::string_view text, std::vector<Part>* parts) const {
  parts->clear();
  size_t done = 0;  // all before it is in parts
  for (size_t at = 0; at < text.size();) {
    size_t length = 0;
    const int32_t index = starts_[static_cast<unsigned char>(text[at])] ? LongestAt(text, at, &length) : -1;
    if (index < 0) {
      ++at;
      continue;
    }
    const AddedToken& token = tokens_[static_cast<size_t>(index)];
    size_t begin = at, end = at + length;
    at = end;
    if (token.single_word && (EndsWithWord(text.substr(0, begin)) || StartsWithWord(text.substr(end)))) continue;
    if (token.lstrip) begin = std::max(begin - SpacesAtEnd(text.substr(0, begin)), done);
    if (token.rstrip) end += SpacesAtStart(text.substr(end));
    if (done < begin) parts->push_back({done, begin, -1});
    parts->push_back({begin, end, token.id});
    done = end;
  }
  if (done < text.size()) parts->push_back({done, text.size(), -1});
}

}  // namespace hullft::tokenizer
