#include "index/staging.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <tuple>
#include <utility>

#include "common/error.h"
#include "common/hash.h"
#include "common/progress.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

struct Header {  // before each sequence's text, metadata and tokens
  uint64_t id;
  int64_t row;
  uint32_t text_bytes, metadata_bytes;
  uint64_t token_bytes;
};

constexpr size_t kMostBuffer = 256 << 10, kAllBuffers = 64 << 20, kReleaseBytes = 64 << 20;

constexpr size_t kSortBytes = 2 * 24 + 16 + 8;  // of a sequence: a vector that grows, what is kept, its offset

// The sequence at offset, as it was staged.
StagedSequence Parse(std::string_view bytes, uint64_t offset) {
  Header header{};
  HULLFT_CHECK(offset + sizeof header <= bytes.size(), "a staged file is cut off: start over with --force");
  std::memcpy(&header, bytes.data() + offset, sizeof header);
  const std::string_view rest = bytes.substr(offset + sizeof header);
  const uint64_t texts = uint64_t{header.text_bytes} + header.metadata_bytes;
  HULLFT_CHECK(texts <= rest.size() && header.token_bytes <= rest.size() - texts,
               "a staged file is cut off: start over with --force");
  return {{header.id},
          header.row,
          rest.substr(0, header.text_bytes),
          rest.substr(header.text_bytes, header.metadata_bytes),
          rest.substr(texts, header.token_bytes)};
}

uint64_t StagedBytes(const StagedSequence& s) {
  return sizeof(Header) + s.text.size() + s.metadata.size() + s.tokens.size();
}

}  // namespace

int PartitionOf(std::string_view text, int partitions) {
  return static_cast<int>(Hash64(text) % static_cast<uint64_t>(partitions));
}

fs::path StagedFile(const fs::path& folder, int partition) {
  return folder / fmt::format("part-{:05}.staged", partition);
}

void AppendStaged(const StagedSequence& s, std::string* to) {
  HULLFT_CHECK(s.text.size() + s.metadata.size() < std::numeric_limits<uint32_t>::max());
  const Header header{s.id.value, s.row, static_cast<uint32_t>(s.text.size()), static_cast<uint32_t>(s.metadata.size()),
                      s.tokens.size()};
  to->append(reinterpret_cast<const char*>(&header), sizeof header).append(s.text).append(s.metadata).append(s.tokens);
}

void ReadStaged(std::string_view bytes, const std::function<void(const StagedSequence&)>& take) {
  for (uint64_t offset = 0; offset < bytes.size();) {
    const StagedSequence s = Parse(bytes, offset);
    take(s);
    offset += StagedBytes(s);
  }
}

StageWriter::StageWriter(fs::path folder, int partitions, int rank, int ranks)
    : folder_(std::move(folder)), rank_(rank), ranks_(ranks), buffers_(static_cast<size_t>(partitions)) {
  MakeFolders(folder_);
  for (int p = rank_; p < partitions; p += ranks_) {
    fs::remove(StagedFile(folder_, p));
    const AppendFile create(StagedFile(folder_, p));
  }
}

void StageWriter::Add(const StagedSequence& s) {
  const int partition = PartitionOf(s.text, static_cast<int>(buffers_.size()));
  HULLFT_CHECK(partition % ranks_ == rank_, "a sequence came to a rank that does not stage its partition");
  std::string& buffer = buffers_[static_cast<size_t>(partition)];
  AppendStaged(s, &buffer);
  const size_t own = buffers_.size() / static_cast<size_t>(ranks_) + 1;  // partitions
  if (buffer.size() >= std::min(kMostBuffer, kAllBuffers / own)) Flush(partition);
}

void StageWriter::Flush(int partition) {
  std::string& buffer = buffers_[static_cast<size_t>(partition)];
  AppendFile(StagedFile(folder_, partition))
      .Append(buffer);  // opened each time: there may be more partitions than files allowed
  buffer.clear();
}

void StageWriter::Finish() {
  for (int p = rank_; p < static_cast<int>(buffers_.size()); p += ranks_) {
    Flush(p);
    FsyncFile(StagedFile(folder_, p));
  }
}

Error SameId(SequenceId id) {
  return Error(Code::kData, fmt::format("two records have the id {}", id.value),
               "ids must be unique over all files; without --keep-ids records are numbered anew");
}

StagedPartition::StagedPartition(const fs::path& folder, int partition, int partitions,
                                 std::span<const BlockBase> bases, const StagedOptions& options)
    : file_(StagedFile(folder, partition)), bases_(bases) {
  std::vector<Entry> entries = Entries(partition, options.memory_budget);
  if (options.known != nullptr) LeaveOutKnown(partition, partitions, *options.known, &entries);
  std::vector<std::pair<uint64_t, uint64_t>> kept;  // id, offset
  for (size_t i = 0; i < entries.size();) {
    size_t end = i;
    std::vector<uint64_t> distinct;  // of this hash: nearly always one
    for (; end < entries.size() && entries[end].hash == entries[i].hash; ++end) {
      if (end > i && entries[end].id == entries[end - 1].id) throw SameId({entries[end].id});
      const std::string_view text = At(entries[end].offset).text;
      if (std::any_of(distinct.begin(), distinct.end(), [&](uint64_t other) { return At(other).text == text; })) {
        ++duplicates_;
      } else {
        distinct.push_back(entries[end].offset);
        kept.emplace_back(entries[end].id, entries[end].offset);
      }
    }
    i = end;
  }
  std::sort(kept.begin(), kept.end());
  offsets_.reserve(kept.size());
  for (const auto& [id, offset] : kept) {
    if (!offsets_.empty() && At(offsets_.back()).id.value == id) throw SameId({id});
    offsets_.push_back(offset);
  }
}

// By hash, then id.
std::vector<StagedPartition::Entry> StagedPartition::Entries(int partition, int64_t memory_budget) const {
  std::vector<Entry> entries;
  size_t released = 0;
  for (uint64_t offset = 0; offset < file_.bytes().size();) {
    const StagedSequence s = At(offset);
    entries.push_back({Hash64(s.text), s.id.value, offset});
    if (memory_budget > 0 && entries.size() * kSortBytes > static_cast<size_t>(memory_budget)) {
      throw Error(
          Code::kUsage,
          fmt::format("partition {} has more than {} sequences: sorting them takes more than --memory-budget {}",
                      partition, entries.size() - 1, FormatBytes(static_cast<double>(memory_budget))),
          "start over with more --partitions, or give a larger --memory-budget");
    }
    offset += StagedBytes(s);
    if (offset > released + kReleaseBytes) file_.Release(std::exchange(released, static_cast<size_t>(offset)), offset);
  }
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return std::tie(a.hash, a.id) < std::tie(b.hash, b.id); });
  return entries;
}

void StagedPartition::LeaveOutKnown(int partition, int partitions, const KnownTexts& known,
                                    std::vector<Entry>* entries) {
  constexpr uint64_t kKnown = ~uint64_t{0};  // as an offset
  known.ForEach(partition, partitions, [&](uint64_t hash, std::string_view text) {
    for (auto at = std::ranges::lower_bound(*entries, hash, {}, &Entry::hash); at != entries->end() && at->hash == hash;
         ++at) {
      if (at->offset != kKnown && At(at->offset).text == text) at->offset = kKnown;
    }
  });
  duplicates_ += static_cast<int64_t>(std::erase_if(*entries, [](const Entry& e) { return e.offset == kKnown; }));
}

StagedSequence StagedPartition::At(uint64_t offset) const {
  const auto bytes = file_.bytes();
  StagedSequence s = Parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, offset);
  const auto block = static_cast<size_t>(static_cast<uint64_t>(s.row) >> kRecordBits);
  HULLFT_CHECK(block < bases_.size(), "a staged file names a block that was not read: start over with --force");
  s.id.value += bases_[block].first_id.value;
  s.row = bases_[block].first_row + (s.row & (kMaxRecords - 1));
  return s;
}

}  // namespace hullft::index
