#include "index/sequence_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>

#include <array>
#include <cstdarg>
#include <cstring>

#include "common/error.h"
#include "common/files.h"
#include "common/parallel.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

enum Family { kText, kTokens, kEmbeddings, kMetadata, kFamilies };
constexpr std::array<const char*, kFamilies> kNames = {"text", "tokens", "embeddings", "metadata"};
constexpr uint64_t kTableBytes = 256 << 20;  // a table file is closed above this size
constexpr int64_t kOwnCacheBytes = 16 << 20;

void Check(const rocksdb::Status& status, const char* action, const fs::path& folder) {
  if (status.ok()) return;
  const std::string message = fmt::format("cannot {} the store {}: {}", action, folder.string(), status.ToString());
  if (status.IsNoSpace()) throw Error(Code::kIo, message, "free some space there, or choose another folder");
  if (status.IsCorruption())
    throw Error(Code::kData, message, "the store is damaged: hullft index verify names the files");
  throw Error(Code::kIo, message);
}

// RocksDB would keep a file LOG in the folder.
class NoLog : public rocksdb::Logger {
 public:
  void Logv(const char*, va_list) override {}
};

std::array<char, 8> Key(SequenceId id) {
  std::array<char, 8> key;
  for (int i = 0; i < 8; ++i) key[static_cast<size_t>(i)] = static_cast<char>(id.value >> (56 - 8 * i));
  return key;
}

SequenceId IdOf(const rocksdb::Slice& key) {
  uint64_t value = 0;
  for (size_t i = 0; i < key.size(); ++i) value = value << 8 | static_cast<unsigned char>(key[i]);
  return {value};
}

rocksdb::Options BaseOptions() {
  rocksdb::Options options;
  options.info_log = std::make_shared<NoLog>();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.max_open_files = -1;
  options.skip_stats_update_on_db_open = true;             // they serve compactions
  options.skip_checking_sst_file_sizes_on_db_open = true;  // the manifest's are checked when a partition is opened
  options.disable_auto_compactions = true;
  return options;
}

// Text and metadata shrink well; tokens somewhat; unit vectors not at all. A look-up reads one block: keep them small.
rocksdb::ColumnFamilyOptions FamilyOptions(int family, const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions options;
  constexpr std::array kCompression = {rocksdb::kZSTD, rocksdb::kZSTD, rocksdb::kNoCompression, rocksdb::kZSTD};
  options.compression = kCompression[static_cast<size_t>(family)];
  options.disable_auto_compactions = true;
  rocksdb::BlockBasedTableOptions table;
  table.block_size = 16 << 10;
  table.format_version = 5;
  table.checksum = rocksdb::kXXH3;
  table.block_cache = cache;
  // Opening a table reads the top of its index; the rest comes into the cache, and out of it, as data does.
  table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
  table.cache_index_and_filter_blocks = true;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

std::vector<rocksdb::ColumnFamilyDescriptor> Families(const std::shared_ptr<rocksdb::Cache>& cache) {
  std::vector<rocksdb::ColumnFamilyDescriptor> families = {{rocksdb::kDefaultColumnFamilyName, {}}};
  for (int f = 0; f < kFamilies; ++f) families.emplace_back(kNames[static_cast<size_t>(f)], FamilyOptions(f, cache));
  return families;
}

// An open database and its column families, closed in the right order.
struct Database {
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;  // the default family first
  ~Database() {
    for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  }
  rocksdb::ColumnFamilyHandle* family(int f) const { return handles[static_cast<size_t>(f) + 1]; }
};

}  // namespace

struct StoreWriter::Impl {
  // The table files of one column family.
  struct Table {
    std::unique_ptr<rocksdb::SstFileWriter> writer;
    std::vector<std::string> files;
  };

  void Put(int f, SequenceId id, std::string_view value) {
    Table& table = tables[static_cast<size_t>(f)];
    if (table.writer && table.writer->FileSize() > kTableBytes) Close(f);
    if (!table.writer) {
      const rocksdb::Options options(rocksdb::DBOptions(BaseOptions()), FamilyOptions(f, nullptr));
      table.writer = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(), options);
      table.files.push_back(
          (incoming / fmt::format("{}-{:05}.sst", kNames[static_cast<size_t>(f)], table.files.size())).string());
      Check(table.writer->Open(table.files.back()), "write", folder);
    }
    const auto key = Key(id);
    Check(table.writer->Put(rocksdb::Slice(key.data(), key.size()), rocksdb::Slice(value.data(), value.size())),
          "write", folder);
  }

  void Close(int f) {
    Table& table = tables[static_cast<size_t>(f)];
    if (!table.writer) return;
    Check(table.writer->Finish(), "write", folder);
    table.writer.reset();
  }

  fs::path folder, incoming;
  std::optional<EmbeddingType> type;
  std::array<Table, kFamilies> tables;  // one thread writes to each
};

StoreWriter::StoreWriter(const fs::path& folder, std::optional<EmbeddingType> type) : impl_(std::make_unique<Impl>()) {
  impl_->type = type;
  impl_->folder = folder;
  impl_->incoming = folder.string() + ".incoming";
  MakeFolders(folder);
  MakeFolders(impl_->incoming);
}

StoreWriter::~StoreWriter() = default;

void StoreWriter::Add(std::span<const SequenceView> sequences, int threads) {
  ParallelFor(kFamilies, threads, [&](int64_t family) {
    std::string bytes;
    for (const SequenceView& s : sequences) {
      if (family == kText) impl_->Put(kText, s.id, s.text);
      if (family == kMetadata) impl_->Put(kMetadata, s.id, s.metadata);
      if (family == kTokens)
        impl_->Put(kTokens, s.id, {reinterpret_cast<const char*>(s.tokens.data()), s.tokens.size_bytes()});
      if (family != kEmbeddings || !impl_->type) continue;
      bytes.clear();
      Narrow(s.embedding, *impl_->type, &bytes);
      impl_->Put(kEmbeddings, s.id, bytes);
    }
  });
}

void StoreWriter::Finish() {
  for (int f = 0; f < kFamilies; ++f) impl_->Close(f);
  {
    rocksdb::Options options = BaseOptions();
    options.create_if_missing = true;
    options.create_missing_column_families = true;
    Database database;
    rocksdb::DB* db = nullptr;
    Check(rocksdb::DB::Open(options, impl_->folder.string(), Families(nullptr), &database.handles, &db), "create",
          impl_->folder);
    database.db.reset(db);
    std::vector<rocksdb::IngestExternalFileArg> arguments;
    for (int f = 0; f < kFamilies; ++f) {
      if (impl_->tables[static_cast<size_t>(f)].files.empty()) continue;
      rocksdb::IngestExternalFileArg argument;
      argument.column_family = database.family(f);
      argument.external_files = impl_->tables[static_cast<size_t>(f)].files;
      argument.options.move_files = true;
      argument.options.write_global_seqno = false;
      arguments.push_back(std::move(argument));
    }
    if (!arguments.empty()) Check(db->IngestExternalFiles(arguments), "fill", impl_->folder);
  }
  fs::remove_all(impl_->incoming);
  fs::remove(impl_->folder / "LOCK");
}

struct StoreReader::Impl {
  // Calls take(i, value) for every id; the value is valid during the call.
  void Get(int f, std::span<const SequenceId> ids,
           const std::function<void(size_t, const rocksdb::Slice&)>& take) const {
    std::vector<std::array<char, 8>> bytes;
    for (const SequenceId id : ids) bytes.push_back(Key(id));
    std::vector<rocksdb::Slice> keys;
    for (const auto& key : bytes) keys.emplace_back(key.data(), key.size());
    std::vector<rocksdb::PinnableSlice> values(ids.size());
    std::vector<rocksdb::Status> statuses(ids.size());
    database.db->MultiGet(rocksdb::ReadOptions(), database.family(f), keys.size(), keys.data(), values.data(),
                          statuses.data());
    for (size_t i = 0; i < ids.size(); ++i) {
      if (statuses[i].IsNotFound()) throw DataError("{} holds no sequence with id {}", folder.string(), ids[i].value);
      Check(statuses[i], "read", folder);
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
  Database database;
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
  Check(rocksdb::DB::OpenForReadOnly(BaseOptions(), folder.string(), Families(cache->cache_), &impl_->database.handles,
                                     &db),
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
  for (; at->Valid(); at->Next()) visit(IdOf(at->key()), at->value().ToStringView());
  Check(at->status(), "read", impl_->folder);
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
      Check(it.status(), "read", impl_->folder);
      if (!it.Valid() || it.key() != key) {
        throw DataError("{}: column family {} lacks id {}", impl_->folder.string(), kNames[static_cast<size_t>(f)],
                        IdOf(key).value);
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
    visit({IdOf(key), at[kText]->value().ToStringView(), at[kMetadata]->value().ToStringView(), tokens, embedding});
    for (int f = kTokens; f < kFamilies; ++f) {
      if (f != kEmbeddings || embeddings) at[static_cast<size_t>(f)]->Next();
    }
  }
  for (int f = 0; f < kFamilies; ++f) {
    const auto& it = *at[static_cast<size_t>(f)];
    Check(it.status(), "read", impl_->folder);
    if (it.Valid() && (f != kEmbeddings || want_embeddings))
      throw DataError("{}: column family {} holds more ids than the others", impl_->folder.string(),
                      kNames[static_cast<size_t>(f)]);
  }
}

}  // namespace hullft::index
