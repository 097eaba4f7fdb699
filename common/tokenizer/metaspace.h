// Metaspace, SentencePiece's way to write spaces as a visible character (U+2581): a pre-tokenizer and a decoder.
// Internal to common/tokenizer. Thread safety: values.
#pragma once

#include <string>
#include <string_view>

#include "common/tokenizer/json_fields.h"

namespace hullft::tokenizer {

struct Metaspace {
  enum class Prepend { kAlways, kFirst, kNever };

  std::string replacement;  // one character
  Prepend prepend = Prepend::kAlways;
  bool split = true;  // cut before every replacement

  // Reads the fields that the pre-tokenizer and the decoder share.
  static Metaspace Read(Fields& fields);

  // Appends piece with its spaces replaced, with a replacement before it where it lacks one (kFirst: only of the piece
  // that begins the text), and calls emit() after each word.
  template <class Emit>
  void Cut(std::string_view piece, bool begins_text, std::string* out, const Emit& emit) const {
    const bool prefix = prepend == Prepend::kAlways || (prepend == Prepend::kFirst && begins_text);
    if (prefix && piece.front() != ' ' && !piece.starts_with(replacement)) out->append(replacement);
    for (size_t at = 0; at < piece.size();) {
      const bool is_space = piece[at] == ' ';
      if (is_space || piece.substr(at).starts_with(replacement)) {
        if (split && at > 0) emit();
        out->append(replacement);
        at += is_space ? 1 : replacement.size();
      } else {
        out->push_back(piece[at++]);
      }
    }
    emit();
  }

  // A token's text; the first token of a text loses the replacements that encoding put there.
  std::string Decode(std::string_view token, bool is_first) const;
};

}  // namespace hullft::tokenizer
