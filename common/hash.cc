#include "common/hash.h"

#include <xxhash.h>

#include <algorithm>

#include "common/error.h"
#include "common/files.h"

namespace hullft {
namespace {
std::string ToHex(XXH128_hash_t hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}
}  // namespace

uint64_t Hash64(std::string_view bytes) {
  return XXH3_64bits(bytes.data(), bytes.size());
}

std::string HashHex(std::string_view bytes) {
  return ToHex(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string HashFileHex(const std::filesystem::path& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  Hasher hasher;
  constexpr size_t kPiece = 16 << 20;  // of a mapped file, so that a large one does not count as memory in use
  for (size_t at = 0; at < bytes.size(); at += kPiece) {
    const size_t end = std::min(at + kPiece, bytes.size());
    hasher.UpdateRaw({reinterpret_cast<const char*>(bytes.data()) + at, end - at});
    file.Release(at, end);
  }
  return hasher.Hex();
}

struct Hasher::State {
  XXH3_state_t* xxh = XXH3_createState();
  ~State() { XXH3_freeState(xxh); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {
  XXH3_128bits_reset(state_->xxh);
}
Hasher::~Hasher() = default;

Hasher& Hasher::UpdateRaw(std::string_view bytes) {
  XXH3_128bits_update(state_->xxh, bytes.data(), bytes.size());
  return *this;
}

Hasher& Hasher::Update(std::string_view field) {
  const uint64_t size = field.size();
  unsigned char frame[8];
  for (int i = 0; i < 8; ++i) frame[i] = static_cast<unsigned char>(size >> (8 * i));
  UpdateRaw({reinterpret_cast<const char*>(frame), sizeof frame});
  return UpdateRaw(field);
}

std::string Hasher::Hex() const {
  return ToHex(XXH3_128bits_digest(state_->xxh));
}

}  // namespace hullft
