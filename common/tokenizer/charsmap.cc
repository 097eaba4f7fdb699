#include "common/tokenizer/charsmap.h"

#include <utf8proc.h>

#include <cstring>

#include "common/error.h"
#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {
namespace {

constexpr size_t kLongestGrapheme = 5;  // bytes; the reference looks up no longer one

int Base64Value(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  if (c == '+') return 62;
  return c == '/' ? 63 : -1;
}

// Nothing for what is not base64 with its padding.
std::optional<std::string> FromBase64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  const size_t padding = text.ends_with("==") ? 2 : text.ends_with("=") ? 1 : 0;
  std::string out;
  uint32_t bits = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_padding = i >= text.size() - padding;
    const int value = is_padding ? 0 : Base64Value(text[i]);
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    if (i % 4 == 3) {
      for (const int shift : {16, 8, 0}) out.push_back(static_cast<char>(bits >> shift & 0xFF));
      bits = 0;
    }
  }
  out.resize(out.size() - padding);
  return out;
}

// Where the grapheme that begins at text[at] ends.
size_t GraphemeEnd(std::string_view text, size_t at) {
  Character c = DecodeAt(text, at);
  utf8proc_int32_t state = 0;
  for (at += c.bytes; at < text.size(); at += c.bytes) {
    const Character next = DecodeAt(text, at);
    if (utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(c.code),
                                         static_cast<utf8proc_int32_t>(next.code), &state))
      break;
    c = next;
  }
  return at;
}

}  // namespace

Charsmap::Charsmap(std::string_view base64, Place place) : place_(std::move(place)) {
  const auto fault = [&](const char* what) { return DataError("{}: {} {}", place_.file, place_.field, what); };
  const std::optional<std::string> bytes = FromBase64(base64);
  if (!bytes) throw fault("is not base64");
  uint32_t trie_bytes = 0;
  if (bytes->size() < sizeof trie_bytes) throw fault("is too short");
  std::memcpy(&trie_bytes, bytes->data(), sizeof trie_bytes);
  if (trie_bytes % sizeof(uint32_t) != 0 || trie_bytes == 0 || trie_bytes > bytes->size() - sizeof trie_bytes)
    throw fault("says a length of its trie that does not fit");
  units_.resize(trie_bytes / sizeof(uint32_t));
  std::memcpy(units_.data(), bytes->data() + sizeof trie_bytes, trie_bytes);
  replacements_ = bytes->substr(sizeof trie_bytes + trie_bytes);
  if (FindInvalidUtf8(replacements_) != std::string_view::npos) throw fault("has replacements that are not UTF-8");
  for (int code = 0; code < 0x80; ++code) {
    const char c = static_cast<char>(code);
    ascii_.push_back(Find(std::string_view(&c, 1)));
  }
}

uint32_t Charsmap::Unit(uint32_t at) const {
  if (at >= units_.size()) throw DataError("{}: {} has a trie that leads out of itself", place_.file, place_.field);
  return units_[at];
}

// The units of darts-clone: bits 0-7 the label and bit 31, which no label has; bit 8: a value lies at the children's
// base; bit 9 and bits 10-30: the way there.
std::optional<std::string_view> Charsmap::Find(std::string_view text) const {
  const auto offset = [](uint32_t unit) { return (unit >> 10) << ((unit & (1u << 9)) >> 6); };
  constexpr uint32_t kLabel = 1u << 31 | 0xFF, kValue = ~(1u << 31), kHasValue = 1u << 8;
  uint32_t at = offset(Unit(0));
  for (const char c : text) {
    const uint32_t byte = static_cast<unsigned char>(c);
    if (byte == 0) return std::nullopt;
    at ^= byte;
    const uint32_t unit = Unit(at);
    if ((unit & kLabel) != byte) return std::nullopt;
    at ^= offset(unit);
    if ((unit & kHasValue) == 0) continue;
    const uint32_t begin = Unit(at) & kValue;
    const std::string_view all = replacements_;
    if (begin > all.size() || (begin < all.size() && (static_cast<unsigned char>(all[begin]) & 0xC0) == 0x80))
      throw DataError("{}: {} has a value that is no replacement", place_.file, place_.field);
    return all.substr(begin, all.find('\0', begin) - begin);
  }
  return std::nullopt;
}

void Charsmap::AppendCharacters(std::string_view text, std::string* out) const {
  for (size_t at = 0; at < text.size();) {
    const std::string_view character = text.substr(at, DecodeAt(text, at).bytes);
    out->append(Find(character).value_or(character));
    at += character.size();
  }
}

std::string Charsmap::Normalize(std::string_view text) const {
  std::string out;
  out.reserve(text.size());
  const auto is_ascii = [&](size_t i) { return i >= text.size() || static_cast<unsigned char>(text[i]) < 0x80; };
  for (size_t at = 0; at < text.size();) {
    if (is_ascii(at) && is_ascii(at + 1) && text[at] != '\r') {  // a grapheme of its own
      out.append(ascii_[static_cast<size_t>(text[at])].value_or(text.substr(at, 1)));
      ++at;
      continue;
    }
    const std::string_view grapheme = text.substr(at, GraphemeEnd(text, at) - at);
    const auto whole = grapheme.size() <= kLongestGrapheme ? Find(grapheme) : std::nullopt;
    if (whole) {
      out.append(*whole);
    } else {
      AppendCharacters(grapheme, &out);
    }
    at += grapheme.size();
  }
  return out;
}

}  // namespace hullft::tokenizer
