#include "common/tokenizer/pattern.h"

#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {

Pattern::Pattern(const nlohmann::json& json, const Place& place) {
  Fields fields(json, place);
  if (fields.Has("Regex")) {
    regex_ = std::make_shared<Regex>(fields.String("Regex"), place.Inside("Regex"));
  } else {
    literal_ = fields.String("String");
    if (literal_.empty()) fields.Fail("String", "must not be empty");
  }
  fields.Done();
}

std::optional<Regex::Match> Pattern::Find(std::string_view text, size_t from) const {
  if (regex_) return regex_->Find(text, from);
  const size_t at = text.find(literal_, from);
  if (at == std::string_view::npos) return std::nullopt;
  return Regex::Match{at, at + literal_.size()};
}

size_t Pattern::NextCharacter(std::string_view text, size_t at) {
  return at < text.size() ? at + DecodeAt(text, at).bytes : at + 1;
}

std::string Pattern::Replace(std::string_view text, std::string_view replacement) const {
  std::string out;
  if (text.empty()) return out;  // the reference finds not even an empty match in it
  out.reserve(text.size());
  ForEach(text, [&](size_t begin, size_t end, bool is_match) {
    out.append(is_match ? replacement : text.substr(begin, end - begin));
  });
  return out;
}

}  // namespace hullft::tokenizer
