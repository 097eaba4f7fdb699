#include "index/builder.h"

#include <sys/stat.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/npy.h"
#include "common/parallel.h"
#include "common/progress.h"
#include "index/content_digest.h"
#include "index/inputs.h"
#include "index/manifest.h"
#include "index/partition_writer.h"
#include "index/staging.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kMaxPartitions = 4096;
constexpr double kUnitTolerance = 1e-3;  // of a given vector's norm, before a warning

fs::path WithSuffix(fs::path path, const char* suffix) {
  return path += suffix;
}

// Given embeddings: checked once, read by row.
struct GivenEmbeddings {
  GivenEmbeddings(const std::string& path, int dim_wanted) : file(path) {
    if (file.shape().size() != 2 || file.shape()[1] < 1) {
      throw DataError("{}: embeddings must have the shape [records][width], it has {} dimensions", path,
                      file.shape().size());
    }
    if (dim_wanted != 0 && file.shape()[1] != dim_wanted) {
      throw Error(
          Code::kData,
          fmt::format("{}: the embeddings are {} wide, the encoder's are {}", path, file.shape()[1], dim_wanted),
          "give the encoder that made them, or none");
    }
    int64_t unusual = -1;
    for (int64_t r = file.shape()[0] - 1; r >= 0; --r) {
      double square = 0;
      for (const float x : Row(r)) square += static_cast<double>(x) * x;
      if (!std::isfinite(square)) bad = r;
      if (std::abs(std::sqrt(square) - 1) > kUnitTolerance) unusual = r;
    }
    if (bad >= 0) {
      throw Error(Code::kData, fmt::format("{}: row {} (from 0) holds NaN or infinity", path, bad),
                  "make the embeddings again");
    }
    if (unusual >= 0)
      spdlog::warn("{}: row {} does not have length 1: neighbours are ordered by inner product", path, unusual);
  }
  std::span<const float> Row(int64_t r) const {
    const auto d = static_cast<size_t>(file.shape()[1]);
    return file.values().subspan(static_cast<size_t>(r) * d, d);
  }
  NpyFile file;
  int64_t bad = -1;
};

class Builder {
 public:
  Builder(const BuildSettings& settings, EmbedFunction embed, const TokenizeFunction& tokenize)
      : settings_(settings),
        embed_(std::move(embed)),
        tokenize_(tokenize),
        threads_(settings.threads > 0 ? settings.threads : UsableCores()),
        output_(fs::path(settings.output).lexically_normal()),
        building_(WithSuffix(output_, ".building")),
        staging_(building_ / "staging") {}

  CorpusInfo Run() {
    try {
      Prepare();
      const json read = ReadStage();
      std::vector<PartitionManifest> parts = PartitionStages(read);
      return Finish(read, parts);
    } catch (const Error& error) {
      if (error.code() == Code::kUsage) throw;
      if (expensive_) {
        throw Error(
            error.code(), error.message(),
            fmt::format("{}{}the finished part is kept in {}: the same command goes on there, --force starts over",
                        error.hint(), error.hint().empty() ? "" : "; ", building_.string()),
            error.where());
      }
      std::error_code ignored;
      fs::remove_all(building_, ignored);
      throw;
    }
  }

 private:
  // Opens given embeddings, lists the inputs, and makes or takes up the working folder.
  void Prepare() {
    if (!settings_.embeddings.empty()) {
      given_.emplace(settings_.embeddings, embed_.dim);
      embed_.dim = static_cast<int>(given_->file.shape()[1]);
      if (embed_.digest.empty()) embed_.digest = HashFileHex(settings_.embeddings);
    }
    inputs_ = ListInputs(settings_.inputs);
    const json wanted = Identity();
    const fs::path file = building_ / "settings.json";
    if (settings_.force) fs::remove_all(building_);
    if (!fs::exists(file)) {
      fs::remove_all(building_);
      MakeFolders(staging_);
      WriteFileAtomic(file, wanted.dump(1) + "\n");
      return;
    }
    const json found = json::parse(ReadFile(file), nullptr, false);
    std::string differences;
    for (const auto& [key, value] : wanted.items()) {
      if (!found.is_object() || !found.contains(key) || found[key] != value)
        differences += (differences.empty() ? "" : ", ") + key;
    }
    if (!differences.empty()) {
      throw Error(
          Code::kUsage,
          fmt::format("{} holds an unfinished build with other settings ({} changed)", building_.string(), differences),
          "give the same settings to go on, or --force to start over");
    }
    spdlog::info("going on with the unfinished build in {}", building_.string());
  }

  // Everything that decides the content: an unfinished build goes on only when it is equal.
  json Identity() const {
    json files = json::array();
    for (const InputFile& input : inputs_) {
      struct stat info {};
      if (::stat(input.path.c_str(), &info) != 0) throw IoError("stat", input.path.string());
      files.push_back({input.path.string(), info.st_size, info.st_mtim.tv_sec, info.st_mtim.tv_nsec});
    }
    return {{"format", kFormatVersion},
            {"inputs", files},
            {"partitions", settings_.partitions},
            {"chunk_bytes", settings_.chunk_bytes},
            {"max_line_bytes", settings_.max_line_bytes},
            {"embeddings", settings_.embeddings.empty() ? "" : HashFileHex(settings_.embeddings)},
            {"encoder_digest", embed_.digest},
            {"dim", embed_.dim},
            {"tokenizer_digest", tokenize_.digest}};
  }

  // Deals all records to the partitions' staged files. Cheap beside embedding: an interrupted one starts over.
  json ReadStage() {
    const fs::path done = staging_ / "read.json";
    if (fs::exists(done)) return json::parse(ReadFile(done));
    const fs::path list =
        settings_.rejects.empty() ? WithSuffix(output_, ".rejects.jsonl") : fs::path(settings_.rejects);
    Rejects rejects(list, settings_.max_rejects);
    StageWriter writer(staging_, settings_.partitions);
    Progress progress("reading", "records", 0, 0, !settings_.quiet);
    int64_t records = 0;
    for (const InputFile& input : inputs_) {
      ReadInput(input, {settings_.max_line_bytes, settings_.chunk_bytes}, &rejects, [&](const InputRecord& record) {
        writer.Add({record.id, records++, record.text, record.meta});
        progress.Add();
        if (records % 1024 == 0) CheckStop();
      });
    }
    if (records == 0) throw Error(Code::kData, "the input holds no records", "check --input");
    if (given_ && given_->file.shape()[0] != records) {
      throw Error(Code::kData,
                  fmt::format("{} holds {} rows, the input {} good records", settings_.embeddings,
                              given_->file.shape()[0], records),
                  "row i must be the embedding of good record i, over all --input in order");
    }
    writer.Finish();
    if (rejects.count() > 0) spdlog::warn("{} bad records were left out: see {}", rejects.count(), list.string());
    const json result = {{"records", records}, {"rejects", rejects.count()}};
    WriteFileAtomic(done, result.dump());
    return result;
  }

  std::vector<PartitionManifest> PartitionStages(const json& read) {
    const int64_t records = read.at("records");
    Progress progress("tokenizing and embedding", "sequences", records, 0, !settings_.quiet);
    std::vector<PartitionManifest> parts;
    for (int p = 0; p < settings_.partitions; ++p) {
      const fs::path folder = PartitionFolder(building_, p);
      if (fs::exists(folder / "manifest.json")) {
        parts.push_back(ReadPartitionManifest(folder));
        expensive_ = true;
        progress.Add(parts.back().info.sequences + parts.back().duplicates);
        continue;
      }
      const StagedPartition staged(staging_, p);
      progress.Add(staged.duplicates());
      EmbeddingLog log(staging_ / fmt::format("part-{:05}.embedded", p), embed_.dim);
      Embed(staged, &log, &progress);
      PartitionManifest manifest;
      manifest.info.number = p;
      manifest.partitions = settings_.partitions;
      manifest.dim = embed_.dim;
      manifest.encoder_digest = embed_.digest;
      manifest.tokenizer_digest = tokenize_.digest;
      parts.push_back(WritePartition(folder, staged, log, std::move(manifest)));
    }
    return parts;
  }

  // Fills the log from where it ends.
  void Embed(const StagedPartition& staged, EmbeddingLog* log, Progress* progress) {
    progress->Add(log->rows());
    expensive_ = expensive_ || (log->rows() > 0 && !given_);
    const auto d = static_cast<size_t>(embed_.dim);
    while (log->rows() < staged.size()) {
      CheckStop();
      const int64_t first = log->rows();
      const auto n = static_cast<size_t>(std::min<int64_t>(settings_.batch, staged.size() - first));
      std::vector<std::string_view> texts(n);
      std::vector<std::vector<int32_t>> tokens(n);
      std::vector<float> vectors(n * d);
      ParallelFor(static_cast<int64_t>(n), threads_, [&](int64_t i) {
        const StagedSequence s = staged[first + i];
        texts[static_cast<size_t>(i)] = s.text;
        tokens[static_cast<size_t>(i)] = tokenize_.tokenize(s.text);
        if (given_) std::ranges::copy(given_->Row(s.row), vectors.begin() + i * embed_.dim);
      });
      if (!given_) embed_.embed(texts, vectors);
      log->Append(tokens, vectors);
      expensive_ = expensive_ || !given_;
      progress->Add(static_cast<int64_t>(n));
    }
  }

  CorpusInfo Finish(const json& read, const std::vector<PartitionManifest>& parts) {
    CorpusManifest manifest;
    CorpusInfo& info = manifest.info;
    info = {output_, settings_.partitions, embed_.dim, 0, 0, 0, embed_.digest, tokenize_.digest, "", {}};
    ContentDigest content;
    for (const PartitionManifest& part : parts) {
      info.sequences += part.info.sequences;
      info.text_bytes += part.info.text_bytes;
      info.tokens += part.info.tokens;
      manifest.duplicates += part.duplicates;
      content.Add(ContentDigest::FromHex(part.info.digest));
      info.parts.push_back(part.info);
      const fs::path file = PartitionFolder(building_, part.info.number) / "manifest.json";
      manifest.files.push_back({file.lexically_relative(building_).generic_string(),
                                static_cast<int64_t>(fs::file_size(file)), HashFileHex(file)});
    }
    info.digest = CorpusDigest(content, info);
    manifest.records = read.at("records");
    manifest.rejects = read.at("rejects");
    manifest.settings = {{"inputs", settings_.inputs},
                         {"chunk_bytes", settings_.chunk_bytes},
                         {"max_line_bytes", settings_.max_line_bytes},
                         {"embeddings_given", given_.has_value()}};
    fs::remove_all(staging_);
    fs::remove(building_ / "settings.json");
    WriteManifest(building_, manifest);
    if (settings_.force) fs::remove_all(output_);
    std::error_code error;
    fs::rename(building_, output_, error);
    if (error)
      throw Error(Code::kIo,
                  fmt::format("cannot rename {} to {}: {}", building_.string(), output_.string(), error.message()));
    FsyncFolder(output_.has_parent_path() ? output_.parent_path() : ".");
    return info;
  }

  void CheckStop() const {
    if (settings_.stop && settings_.stop()) throw Error(Code::kInterrupted, "stopped before the corpus was finished");
  }

  const BuildSettings& settings_;
  EmbedFunction embed_;
  const TokenizeFunction& tokenize_;
  const int threads_;
  const fs::path output_, building_, staging_;
  std::optional<GivenEmbeddings> given_;
  std::vector<InputFile> inputs_;
  bool expensive_ = false;  // finished embeddings would be lost with the working folder
};

}  // namespace

void BuildSettings::Validate() const {
  std::string faults;
  const auto fault = [&](bool wrong, const std::string& what) {
    if (wrong) faults += (faults.empty() ? "" : "\n  ") + what;
  };
  fault(inputs.empty(), "no --input");
  fault(output.empty(), "no --output");
  fault(partitions < 1 || partitions > kMaxPartitions,
        fmt::format("--partitions {} is outside 1 to {}", partitions, kMaxPartitions));
  fault(chunk_bytes < 16, fmt::format("--chunk-bytes {} is below 16", chunk_bytes));
  fault(max_line_bytes < 2 || max_line_bytes > 1 << 30,
        fmt::format("--max-line-bytes {} is outside 2 to 2^30", max_line_bytes));
  fault(max_rejects < 0, fmt::format("--max-rejects {} is below 0", max_rejects));
  fault(batch < 1, fmt::format("--batch {} is below 1", batch));
  if (!faults.empty()) throw Error(Code::kUsage, faults, "hullft index build --help describes the settings");
}

CorpusInfo BuildCorpus(const BuildSettings& settings, EmbedFunction embed, const TokenizeFunction& tokenize) try {
  settings.Validate();
  HULLFT_CHECK(embed.embed || !settings.embeddings.empty());
  const fs::path output = fs::path(settings.output).lexically_normal();
  const bool finished = fs::exists(output / "corpus.json");
  if (fs::exists(output) && !(finished && settings.force)) {
    throw Error(
        Code::kUsage,
        fmt::format("{} {}", output.string(), finished ? "holds a finished corpus" : "exists and is not a corpus"),
        finished ? "choose another --output, or --force to build it anew" : "choose another --output, or remove it");
  }
  if (output.has_parent_path()) MakeFolders(output.parent_path());
  const fs::path lock_file = WithSuffix(output, ".lock");
  struct Lock {
    explicit Lock(fs::path p) : path(std::move(p)), held(path) {}
    ~Lock() {
      std::error_code ignored;
      fs::remove(path, ignored);
    }
    fs::path path;
    FileLock held;
  } const lock(lock_file);
  return Builder(settings, std::move(embed), tokenize).Run();
} catch (const fs::filesystem_error& error) {
  throw Error(Code::kIo, error.what());
}

}  // namespace hullft::index
