// The "pattern" of Split and Replace components: a literal string or a regular expression. Internal to
// common/tokenizer. Thread safety: immutable.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/tokenizer/regex.h"

namespace hullft::tokenizer {

class Pattern {
 public:
  // json: {"String": "..."} or {"Regex": "..."}.
  Pattern(const nlohmann::json& json, const Place& place);

  std::optional<Regex::Match> Find(std::string_view text, size_t from) const;
  // Calls visit(begin, end, is_match) for every match and every gap between them, in order. An empty match right behind
  // another is none, as in the reference.
  template <class Visit>
  void ForEach(std::string_view text, const Visit& visit) const {
    size_t done = 0, from = 0;
    bool has_matched = false;
    while (from <= text.size()) {
      const std::optional<Regex::Match> match = Find(text, from);
      if (!match) break;
      if (match->begin == match->end && has_matched && match->end == done) {
        from = NextCharacter(text, from);
        continue;
      }
      if (done < match->begin) visit(done, match->begin, false);
      visit(match->begin, match->end, true);
      done = from = match->end;
      has_matched = true;
    }
    if (done < text.size()) visit(done, text.size(), false);
  }
  // text with every match replaced.
  std::string Replace(std::string_view text, std::string_view replacement) const;

 private:
  static size_t NextCharacter(std::string_view text, size_t at);
  std::string literal_;
  std::shared_ptr<const Regex> regex_;  // null for a literal
};

}  // namespace hullft::tokenizer
