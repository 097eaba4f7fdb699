#include "index/content_digest.h"

#include <bit>
#include <charconv>

#include "common/error.h"
#include "common/hash.h"

namespace hullft::index {
namespace {
static_assert(std::endian::native == std::endian::little, "formats on disk are little endian");

template <class T>
std::string_view Bytes(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}
}  // namespace

void ContentDigest::Add(const SequenceView& sequence) {
  const uint64_t id[1] = {sequence.id.value};
  ContentDigest one = FromHex(Hasher()
                                  .Update(Bytes(std::span<const uint64_t>(id)))
                                  .Update(sequence.text)
                                  .Update(sequence.metadata)
                                  .Update(Bytes(sequence.tokens))
                                  .Update(Bytes(sequence.embedding))
                                  .Hex());
  Add(one);
}

void ContentDigest::Add(const ContentDigest& other) {
  low_ += other.low_;
  high_ += other.high_ + (low_ < other.low_ ? 1 : 0);
}

std::string ContentDigest::Hex() const {
  return fmt::format("{:016x}{:016x}", high_, low_);
}

ContentDigest ContentDigest::FromHex(std::string_view hex) {
  ContentDigest digest;
  const char* p = hex.data();
  const bool ok = hex.size() == 32 && std::from_chars(p, p + 16, digest.high_, 16).ptr == p + 16 &&
                  std::from_chars(p + 16, p + 32, digest.low_, 16).ptr == p + 32;
  if (!ok) throw DataError("'{}' is not a content digest", hex);
  return digest;
}

std::string CorpusDigest(const ContentDigest& content, const CorpusInfo& info) {
  return Hasher()
      .Update("hullft corpus 1")
      .Update(content.Hex())
      .Update(std::to_string(info.sequences))
      .Update(std::to_string(info.dim))
      .Update(info.encoder_digest)
      .Update(info.tokenizer_digest)
      .Hex();
}

}  // namespace hullft::index
