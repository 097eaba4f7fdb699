// Regular expressions as the reference reads them (Oniguruma with Ruby's syntax), rewritten for PCRE2. Internal to
// common/tokenizer. Thread safety: free functions.
//
// What both write alike stays as it is. Other meanings are spelled out: \s \S \w \W \d \D \h \H \b \B \v \R \u,
// properties, classes in classes, "{,n}", "{n}+", "{n}?" and (?m). What is not understood is refused by name, because
// PCRE2 might take it for something else.
#pragma once

#include <string>
#include <string_view>

#include "common/tokenizer/json_fields.h"

namespace hullft::tokenizer {

// The pattern for PCRE2 with PCRE2_UTF, PCRE2_UCP and PCRE2_MULTILINE. kData error that names the place and the part of
// the pattern.
std::string PcreOfOniguruma(std::string_view pattern, const Place& place);

}  // namespace hullft::tokenizer
