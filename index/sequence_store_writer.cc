#include <rocksdb/sst_file_writer.h>

#include <array>

#include "common/error.h"
#include "common/files.h"
#include "common/parallel.h"
#include "index/sequence_store.h"
#include "index/store_database.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
constexpr uint64_t kTableBytes = 256 << 20;  // a table file is closed above this size
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
      const rocksdb::Options options(rocksdb::DBOptions(StoreOptions()), FamilyOptions(f, nullptr));
      table.writer = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(), options);
      table.files.push_back(
          (incoming / fmt::format("{}-{:05}.sst", kFamilyNames[static_cast<size_t>(f)], table.files.size())).string());
      CheckStore(table.writer->Open(table.files.back()), "write", folder);
    }
    const auto key = StoreKey(id);
    CheckStore(table.writer->Put(rocksdb::Slice(key.data(), key.size()), rocksdb::Slice(value.data(), value.size())),
               "write", folder);
  }

  void Close(int f) {
    Table& table = tables[static_cast<size_t>(f)];
    if (!table.writer) return;
    CheckStore(table.writer->Finish(), "write", folder);
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
    rocksdb::Options options = StoreOptions();
    options.create_if_missing = true;
    options.create_missing_column_families = true;
    StoreDatabase database;
    rocksdb::DB* db = nullptr;
    CheckStore(rocksdb::DB::Open(options, impl_->folder.string(), StoreFamilies(nullptr), &database.handles, &db),
               "create", impl_->folder);
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
    if (!arguments.empty()) CheckStore(db->IngestExternalFiles(arguments), "fill", impl_->folder);
  }
  fs::remove_all(impl_->incoming);
  fs::remove(impl_->folder / "LOCK");
}

}  // namespace hullft::index
