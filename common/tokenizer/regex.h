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
  // pattern: as the reference reads it. place: where it stands, for the kData error when it does not compile.
  Regex(const std::string& pattern, const Place& place);
  // The same of a pattern that is PCRE2's own.
  static Regex Pcre(std::string pattern, const Place& place);
  ~Regex();
  Regex(Regex&&) noexcept;
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  struct Match {
    size_t begin, end;
  };
  // The leftmost match that begins at or after `from`; lookbehind sees what stands before. text must be valid UTF-8.
  std::optional<Match> Find(std::string_view text, size_t from) const;

 private:
  struct Compiled {};  // tells the constructor of a pattern of PCRE2's own from the other
  Regex(Compiled, std::string pattern, const Place& place);
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hullft::tokenizer
