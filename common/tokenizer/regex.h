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

// The pattern with the reference's meaning of \s, \S, \p{L} and \p{N} spelled out, whatever PCRE2's version: PCRE2's \s
// takes U+180E for a space, and its tables may be of an older Unicode than the reference's. Other properties (\p{Lu},
// \P{L}, \w, \d) are those of PCRE2's own Unicode version, which may differ in letters that Unicode added after 2021.
std::string WithReferenceClasses(const std::string& pattern);

}  // namespace hullft::tokenizer
