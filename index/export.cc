#include "index/export.h"

#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/files.h"
#include "common/npy.h"
#include "common/progress.h"
#include "index/id_merge.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

constexpr size_t kTogether = 2048;  // sequences read at a time

// A file under another name until Stand; removed otherwise.
class PartialFile {
 public:
  explicit PartialFile(const fs::path& path) : path_(path), partial_(path.string() + ".partial") {
    if (fs::exists(path_)) throw Error(Code::kUsage, path_.string() + " exists", "choose another name, or remove it");
    if (path_.has_parent_path()) MakeFolders(path_.parent_path());
    fs::remove(partial_);
    file_.emplace(partial_);
  }
  ~PartialFile() {
    std::error_code ignored;  // ignored: the next export removes what this cannot
    if (file_) fs::remove(partial_, ignored);
  }
  void Append(std::string_view bytes) { file_->Append(bytes); }
  void Sync() { file_->Sync(); }
  void Stand() {
    file_.reset();
    fs::rename(partial_, path_);
    FsyncFolder(path_.has_parent_path() ? path_.parent_path() : ".");
  }

 private:
  const fs::path path_, partial_;
  std::optional<AppendFile> file_;
};

using Places = std::vector<IdMerge::Place>;

// What places of one partition hold, in the order of `wanted`.
struct Fetched {
  std::vector<SequenceId> ids;
  std::vector<std::string> texts;
  std::vector<float> vectors;  // row-major [ids][d]
};

void Write(const std::vector<std::unique_ptr<Partition>>& parts, const Places& places, PartialFile* jsonl,
           PartialFile* npy) {
  const auto d = static_cast<size_t>(parts.front()->dim());
  std::vector<Fetched> fetched(parts.size());
  for (const IdMerge::Place& place : places) fetched[place.list].ids.push_back(place.id);
  for (size_t p = 0; p < parts.size(); ++p) {
    Fetched& of = fetched[p];
    of.texts = parts[p]->ReadTexts(of.ids);
    of.vectors.resize(of.ids.size() * d);
    parts[p]->ReadEmbeddings(of.ids, of.vectors);
  }
  std::string lines, rows;
  std::vector<size_t> next(parts.size(), 0);
  for (const IdMerge::Place& place : places) {
    const size_t i = next[place.list]++;
    const Fetched& of = fetched[place.list];
    const std::string meta = parts[place.list]->ReadMetadata(place.id);
    lines += fmt::format("{{\"id\": {}, \"text\": {}", place.id.value, nlohmann::json(of.texts[i]).dump());
    if (!meta.empty()) lines += ", \"meta\": " + meta;
    lines += "}\n";
    rows.append(reinterpret_cast<const char*>(of.vectors.data() + i * d), d * sizeof(float));
  }
  jsonl->Append(lines);
  npy->Append(rows);
}

}  // namespace

CorpusInfo ExportCorpus(const ExportSettings& settings) {
  CorpusInfo info = ReadCorpusInfo(settings.corpus);
  std::vector<std::unique_ptr<Partition>> parts;
  std::vector<std::span<const SequenceId>> ids;
  for (int p = 0; p < info.partitions; ++p) {
    parts.push_back(Partition::Open(settings.corpus, p));
    ids.push_back(parts.back()->ids());
  }
  PartialFile jsonl(settings.jsonl), npy(settings.npy);
  const int64_t shape[] = {info.sequences, info.dim};
  npy.Append(NpyHeader(shape));
  Progress progress("exporting", "sequences", info.sequences, 0, !settings.quiet);
  IdMerge merge(std::move(ids));
  Places places;
  while (const auto place = merge.Next()) {
    places.push_back(*place);
    progress.Add();
    if (places.size() < kTogether) continue;
    Write(parts, places, &jsonl, &npy);
    places.clear();
  }
  Write(parts, places, &jsonl, &npy);
  jsonl.Sync();
  npy.Sync();
  jsonl.Stand();
  npy.Stand();
  return info;
}

}  // namespace hullft::index
