#include "index/embedding_log.h"

#include <unistd.h>

#include <cstring>
#include <numeric>
#include <string>
#include <utility>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"

namespace hullft::index {
namespace {

constexpr std::chrono::seconds kSyncEvery{1};
constexpr size_t kKept = 64 << 20;               // bytes of the map that a visitor may still look at
constexpr uint64_t kMagic = 0x31676f4c66746c48;  // "HltfLog1"

// Before each batch. The payload: uint32 token counts [rows], int32 tokens, float32 embeddings [rows][dim].
struct Header {
  uint64_t magic, first_row, rows, payload_bytes, payload_hash;
};

std::string_view Payload(std::span<const std::byte> bytes, size_t at, const Header& header) {
  return {reinterpret_cast<const char*>(bytes.data()) + at + sizeof header, header.payload_bytes};
}

// The batch at `at`, or false when none is whole there.
bool ReadHeader(std::span<const std::byte> bytes, size_t at, Header* header) {
  if (at + sizeof *header > bytes.size()) return false;
  std::memcpy(header, bytes.data() + at, sizeof *header);
  return header->magic == kMagic && header->payload_bytes <= bytes.size() - at - sizeof *header;
}

// Whether a payload holds what its counts say: whoever wrote them made the hash too.
bool Fits(std::string_view payload, uint64_t rows, size_t dim) {
  constexpr uint64_t kWord = 4;  // bytes of a count, a token, a float
  if (rows > payload.size() / kWord) return false;
  uint64_t words = rows + rows * dim;
  for (uint64_t r = 0; r < rows; ++r) {
    uint32_t count = 0;
    std::memcpy(&count, payload.data() + r * kWord, kWord);
    words += count;
  }
  return words * kWord == payload.size();
}

void Append(std::string* to, const void* data, size_t bytes) {
  to->append(static_cast<const char*>(data), bytes);
}

}  // namespace

EmbeddingLog::EmbeddingLog(std::filesystem::path path, int dim)
    : path_(std::move(path)), dim_(static_cast<size_t>(dim)) {
  { const AppendFile create(path_); }
  size_t at = 0, size = 0, released = 0;
  {
    const MappedFile map(path_);
    size = map.bytes().size();
    Header header;
    while (ReadHeader(map.bytes(), at, &header)) {
      if (at > released + kKept) map.Release(std::exchange(released, at), at);
      const std::string_view payload = Payload(map.bytes(), at, header);
      if (header.first_row != static_cast<uint64_t>(rows_) || Hash64(payload) != header.payload_hash ||
          !Fits(payload, header.rows, dim_))
        break;
      rows_ += static_cast<int64_t>(header.rows);
      at += sizeof header + header.payload_bytes;
    }
  }
  if (at < size && ::truncate(path_.c_str(), static_cast<off_t>(at)) != 0) throw IoError("truncate", path_.string());
}

void EmbeddingLog::Append(std::span<const std::vector<int32_t>> tokens, std::span<const float> embeddings) {
  HULLFT_CHECK(embeddings.size() == tokens.size() * dim_);
  std::string batch(sizeof(Header), '\0');
  for (const auto& sequence : tokens) {
    const auto count = static_cast<uint32_t>(sequence.size());
    index::Append(&batch, &count, sizeof count);
  }
  for (const auto& sequence : tokens) index::Append(&batch, sequence.data(), sequence.size() * sizeof(int32_t));
  index::Append(&batch, embeddings.data(), embeddings.size_bytes());
  const std::string_view payload = std::string_view(batch).substr(sizeof(Header));
  const Header header{kMagic, static_cast<uint64_t>(rows_), tokens.size(), payload.size(), Hash64(payload)};
  std::memcpy(batch.data(), &header, sizeof header);
  AppendFile file(path_);
  file.Append(batch);
  const auto now = std::chrono::steady_clock::now();
  if (now - synced_ > kSyncEvery) {
    file.Sync();
    synced_ = now;
  }
  rows_ += static_cast<int64_t>(tokens.size());
}

void EmbeddingLog::ForEach(
    const std::function<void(int64_t, std::span<const int32_t>, std::span<const float>)>& visit) const {
  const MappedFile map(path_);
  Header header;
  int64_t row = 0;
  size_t released = 0;
  for (size_t at = 0; ReadHeader(map.bytes(), at, &header); at += sizeof header + header.payload_bytes) {
    if (at > released + kKept) map.Release(std::exchange(released, at - kKept), at - kKept);
    const auto* counts = reinterpret_cast<const uint32_t*>(Payload(map.bytes(), at, header).data());
    const auto* tokens = reinterpret_cast<const int32_t*>(counts + header.rows);
    const auto* embedding =
        reinterpret_cast<const float*>(tokens + std::accumulate(counts, counts + header.rows, uint64_t{0}));
    for (uint64_t r = 0; r < header.rows; ++r) {
      visit(row++, {tokens, counts[r]}, {embedding, dim_});
      tokens += counts[r];
      embedding += dim_;
    }
  }
  HULLFT_CHECK(row == rows_);
}

}  // namespace hullft::index
