// Regular expressions over UTF-8 (PCRE2 with its JIT), with the meaning that Oniguruma gives them in the reference.
// Internal to common/tokenizer. Thread safety: a compiled Regex is immutable; Find may be called from any thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/tokenizer/json_fields.h"

namespace hullft::tokenizer {

class Regex {
 public:
  // place: where the pattern stands, for the kData error when it does not compile.
  Regex(const std::string& pattern, const Place& place);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  struct Match {
    size_t begin, end;
  };
  // The leftmost match that begins at or after `from`; lookbehind sees what stands before. text must be valid UTF-8.
  std::optional<Match> Find(std::string_view text, size_t from) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// PCRE2's \s takes U+180E for a space, Oniguruma's does not (nor does Unicode since 6.3): spells \s and \S out. PCRE2's
// quantifier braces, classes and lookarounds mean the same.
std::string SpellOutSpaces(const std::string& pattern);

}  // namespace hullft::tokenizer
