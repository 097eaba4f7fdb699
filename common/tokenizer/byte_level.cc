#include "common/tokenizer/byte_level.h"

#include <array>

#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {
namespace {

constexpr bool StandsForItself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<char[2], 256> utf8;        // of each byte's stand-in
  std::array<unsigned char, 256> size;  // 1 or 2
  std::array<int, 0x144> byte;          // of each stand-in, -1 for none
};

constexpr Alphabet MakeAlphabet() {
  Alphabet alphabet{};
  for (int& byte : alphabet.byte) byte = -1;
  int next = 0x100;
  for (int byte = 0; byte < 256; ++byte) {
    const int code = StandsForItself(byte) ? byte : next++;
    alphabet.byte[code] = byte;
    alphabet.size[byte] = code < 0x80 ? 1 : 2;
    alphabet.utf8[byte][0] = static_cast<char>(code < 0x80 ? code : 0xC0 | code >> 6);
    alphabet.utf8[byte][1] = static_cast<char>(0x80 | (code & 0x3F));
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = MakeAlphabet();

// The length of the contraction 's 't 're 've 'm 'll 'd at text[at], or 0.
size_t Contraction(std::string_view text, size_t at) {
  if (text[at] != '\'' || at + 1 >= text.size()) return 0;
  const char first = text[at + 1];
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return 2;
  const char second = at + 2 < text.size() ? text[at + 2] : '\0';
  if ((first == 'r' && second == 'e') || (first == 'v' && second == 'e') || (first == 'l' && second == 'l')) return 3;
  return 0;
}

constexpr uint8_t kKinds = kLetter | kNumber | kSpace;

// The end of the run of characters of one kind (kLetter, kNumber, kSpace, or 0 for none of them) from at.
size_t RunEnd(std::string_view text, size_t at, uint8_t kind) {
  while (at < text.size()) {
    const Character c = DecodeAt(text, at);
    if ((CharacterClass(c.code) & kKinds) != kind) break;
    at += c.bytes;
  }
  return at;
}

}  // namespace

void AppendByteLevel(std::string_view bytes, std::string* out) {
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out->append(kAlphabet.utf8[byte], kAlphabet.size[byte]);
  }
}

std::optional<unsigned char> ByteOfStandIn(char32_t code) {
  if (code >= kAlphabet.byte.size() || kAlphabet.byte[code] < 0) return std::nullopt;
  return static_cast<unsigned char>(kAlphabet.byte[code]);
}

size_t Gpt2PieceEnd(std::string_view text, size_t at) {
  if (const size_t length = Contraction(text, at)) return at + length;
  const Character first = DecodeAt(text, at);
  const uint8_t kind = CharacterClass(first.code) & kKinds;
  if (kind != kSpace) return RunEnd(text, at + first.bytes, kind);
  const size_t second = at + first.bytes;
  if (first.code == ' ' && second < text.size()) {
    const Character next = DecodeAt(text, second);
    const uint8_t next_kind = CharacterClass(next.code) & kKinds;
    if (next_kind != kSpace) return RunEnd(text, second + next.bytes, next_kind);
  }
  const size_t end = RunEnd(text, at, kSpace);
  if (end == text.size()) return end;
  // \s+(?!\S): all but the last space, which may lead the next piece; \s+ when there is only one.
  const size_t without_last = end - DecodeLast(text.substr(at, end - at)).bytes;
  return without_last > at ? without_last : end;
}

}  // namespace hullft::tokenizer
