#include "index/store_database.h"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/table.h>

#include <cstdarg>

#include "common/error.h"

namespace hullft::index {
namespace {

// RocksDB would keep a file LOG in the folder.
class NoLog : public rocksdb::Logger {
 public:
  void Logv(const char*, va_list) override {}
};

}  // namespace

void CheckStore(const rocksdb::Status& status, const char* action, const std::filesystem::path& folder) {
  if (status.ok()) return;
  const std::string message = fmt::format("cannot {} the store {}: {}", action, folder.string(), status.ToString());
  if (status.IsNoSpace()) throw Error(Code::kIo, message, "free some space there, or choose another folder");
  if (status.IsCorruption())
    throw Error(Code::kData, message, "the store is damaged: hullft index verify names the files");
  throw Error(Code::kIo, message);
}

std::array<char, 8> StoreKey(SequenceId id) {
  std::array<char, 8> key;
  for (int i = 0; i < 8; ++i) key[static_cast<size_t>(i)] = static_cast<char>(id.value >> (56 - 8 * i));
  return key;
}

SequenceId IdOfStoreKey(const rocksdb::Slice& key) {
  uint64_t value = 0;
  for (size_t i = 0; i < key.size(); ++i) value = value << 8 | static_cast<unsigned char>(key[i]);
  return {value};
}

rocksdb::Options StoreOptions() {
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

std::vector<rocksdb::ColumnFamilyDescriptor> StoreFamilies(const std::shared_ptr<rocksdb::Cache>& cache) {
  std::vector<rocksdb::ColumnFamilyDescriptor> families = {{rocksdb::kDefaultColumnFamilyName, {}}};
  for (int f = 0; f < kFamilies; ++f)
    families.emplace_back(kFamilyNames[static_cast<size_t>(f)], FamilyOptions(f, cache));
  return families;
}

}  // namespace hullft::index
