#include "index/sequence_store.h"

#include <rocksdb/cache.h>

#include <array>
#include <cstring>

#include "common/error.h"
#include "index/store_database.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
constexpr int64_t kOwnCacheBytes = 16 << 20;
}  // namespace

struct StoreReader::Impl {
  // Calls take(i, value) for every id; the value is valid during the call.
  void Get(int f, std::span<const SequenceId> ids,
           const std::function<void(size_t, const rocksdb::Slice&)>& take) const {
    std::vector<std::array<char, 8>> bytes;
    for (const SequenceId id : ids) bytes.push_back(StoreKey(id));
    std::vector<rocksdb::Slice> keys;
    for (const auto& key : bytes) keys.emplace_back(key.data(), key.size());
    std::vector<rocksdb::PinnableSlice> values(ids.size());
    std::vector<rocksdb::Status> statuses(ids.size());
    database.db->MultiGet(rocksdb::ReadOptions(), database.family(f), keys.size(), keys.data(), values.data(),
                          statuses.data());
    for (size_t i = 0; i < ids.size(); ++i) {
      if (statuses[i].IsNotFound()) throw DataError("{} holds no sequence with id {}", folder.string(), ids[i].value);
      CheckStore(statuses[i], "read", folder);
      take(i, values[i]);
    }
  }
  // At the first of a column family; for one pass over all of it.
  std::unique_ptr<rocksdb::Iterator> ReadAll(int f) const {
    rocksdb::ReadOptions options;
    options.verify_checksums = true;
    options.fill_cache = false;
    options.readahead_size = 2 << 20;
    std::unique_ptr<rocksdb::Iterator> at(database.db->NewIterator(options, database.family(f)));
    at->SeekToFirst();
    return at;
  }
  fs::path folder;
  EmbeddingType type = EmbeddingType::kF32;
  StoreDatabase database;
};

BlockCache::BlockCache(int64_t bytes) : cache_(rocksdb::NewLRUCache(static_cast<size_t>(bytes))) {}

int64_t BlockCache::used_bytes() const {
  return static_cast<int64_t>(cache_->GetUsage());
}

StoreReader::StoreReader(const fs::path& folder, EmbeddingType type, std::shared_ptr<BlockCache> cache)
    : impl_(std::make_unique<Impl>()) {
  if (cache == nullptr) cache = std::make_shared<BlockCache>(kOwnCacheBytes);
  impl_->folder = folder;
  impl_->type = type;
  rocksdb::DB* db = nullptr;
  CheckStore(rocksdb::DB::OpenForReadOnly(StoreOptions(), folder.string(), StoreFamilies(cache->cache_),
                                          &impl_->database.handles, &db),
             "open", folder);
  impl_->database.db.reset(db);
}

StoreReader::~StoreReader() = default;

std::string StoreReader::Metadata(SequenceId id) const {
  std::string metadata;
  impl_->Get(kMetadata, {&id, 1}, [&](size_t, const rocksdb::Slice& value) { metadata = value.ToString(); });
  return metadata;
}

std::vector<std::string> StoreReader::Texts(std::span<const SequenceId> ids) const {
  std::vector<std::string> texts(ids.size());
  impl_->Get(kText, ids, [&](size_t i, const rocksdb::Slice& value) { texts[i] = value.ToString(); });
  return texts;
}

std::vector<std::vector<int32_t>> StoreReader::Tokens(std::span<const SequenceId> ids) const {
  std::vector<std::vector<int32_t>> tokens(ids.size());
  impl_->Get(kTokens, ids, [&](size_t i, const rocksdb::Slice& value) {
    tokens[i].resize(value.size() / sizeof(int32_t));
    if (!tokens[i].empty()) std::memcpy(tokens[i].data(), value.data(), tokens[i].size() * sizeof(int32_t));
  });
  return tokens;
}

void StoreReader::Embeddings(std::span<const SequenceId> ids, std::span<float> out) const {
  if (ids.empty()) return;
  const size_t d = out.size() / ids.size();
  HULLFT_CHECK(out.size() == ids.size() * d);
  impl_->Get(kEmbeddings, ids, [&](size_t i, const rocksdb::Slice& value) {
    Widen(value.ToStringView(), impl_->type, out.subspan(i * d, d));
  });
}

StoreReader::Bytes StoreReader::bytes() const {
  const auto of = [&](int family) {
    rocksdb::ColumnFamilyMetaData metadata;
    impl_->database.db->GetColumnFamilyMetaData(impl_->database.family(family), &metadata);
    return static_cast<int64_t>(metadata.size);
  };
  return {of(kText), of(kTokens), of(kEmbeddings), of(kMetadata)};
}

void StoreReader::ForEachText(const std::function<void(SequenceId, std::string_view)>& visit) const {
  const auto at = impl_->ReadAll(kText);
  for (; at->Valid(); at->Next()) visit(IdOfStoreKey(at->key()), at->value().ToStringView());
  CheckStore(at->status(), "read", impl_->folder);
}

void StoreReader::ForEach(const std::function<void(const SequenceView&)>& visit, bool want_embeddings) const {
  std::array<std::unique_ptr<rocksdb::Iterator>, kFamilies> at;
  for (int f = 0; f < kFamilies; ++f) at[static_cast<size_t>(f)] = impl_->ReadAll(f);
  std::vector<int32_t> tokens;
  std::vector<float> embedding;
  const bool embeddings = want_embeddings && at[kEmbeddings]->Valid();
  for (; at[kText]->Valid(); at[kText]->Next()) {
    const rocksdb::Slice key = at[kText]->key();
    for (int f = kTokens; f < kFamilies; ++f) {
      if (f == kEmbeddings && !embeddings) continue;
      auto& it = *at[static_cast<size_t>(f)];
      CheckStore(it.status(), "read", impl_->folder);
      if (!it.Valid() || it.key() != key) {
        throw DataError("{}: column family {} lacks id {}", impl_->folder.string(),
                        kFamilyNames[static_cast<size_t>(f)], IdOfStoreKey(key).value);
      }
    }
    const auto copy = [&]<class T>(int f, std::vector<T>* to) {  // values need not be aligned
      const rocksdb::Slice value = at[static_cast<size_t>(f)]->value();
      to->resize(value.size() / sizeof(T));
      if (!to->empty()) std::memcpy(to->data(), value.data(), to->size() * sizeof(T));
    };
    copy(kTokens, &tokens);
    const std::string_view stored = embeddings ? at[kEmbeddings]->value().ToStringView() : std::string_view();
    embedding.resize(stored.size() / BytesOf(impl_->type));
    Widen(stored, impl_->type, embedding);
    visit({IdOfStoreKey(key), at[kText]->value().ToStringView(), at[kMetadata]->value().ToStringView(), tokens,
           embedding});
    for (int f = kTokens; f < kFamilies; ++f) {
      if (f != kEmbeddings || embeddings) at[static_cast<size_t>(f)]->Next();
    }
  }
  for (int f = 0; f < kFamilies; ++f) {
    const auto& it = *at[static_cast<size_t>(f)];
    CheckStore(it.status(), "read", impl_->folder);
    if (it.Valid() && (f != kEmbeddings || want_embeddings))
      throw DataError("{}: column family {} holds more ids than the others", impl_->folder.string(),
                      kFamilyNames[static_cast<size_t>(f)]);
  }
}

}  // namespace hullft::index
