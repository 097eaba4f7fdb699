#include "common/tokenizer/metaspace.h"

#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {

Metaspace Metaspace::Read(Fields& fields) {
  Metaspace result;
  result.replacement = fields.String("replacement");
  if (result.replacement.empty() || DecodeAt(result.replacement, 0).bytes != result.replacement.size())
    fields.Fail("replacement", "must be one character");
  fields.Ignore("str_rep");  // older files repeat the replacement
  const std::string scheme = fields.OptionalString("prepend_scheme").value_or("always");
  if (scheme == "always") {
    result.prepend = Prepend::kAlways;
  } else if (scheme == "first") {
    result.prepend = Prepend::kFirst;
  } else if (scheme == "never") {
    result.prepend = Prepend::kNever;
  } else {
    fields.Fail("prepend_scheme", "is '" + scheme + "'; known are always, first, never");
  }
  if (!fields.Bool("add_prefix_space", true) && result.prepend != Prepend::kNever)  // as the reference has it
    fields.Fail("add_prefix_space", "is false, but prepend_scheme is " + scheme);
  result.split = fields.Bool("split", true);
  return result;
}

std::string Metaspace::Decode(std::string_view token, bool is_first) const {
  std::string out;
  for (size_t at = 0; at < token.size();) {
    if (token.substr(at).starts_with(replacement)) {
      if (!is_first || prepend == Prepend::kNever) out.push_back(' ');
      at += replacement.size();
    } else {
      out.push_back(token[at++]);
    }
  }
  return out;
}

}  // namespace hullft::tokenizer
