#include "index/builder.h"

#include <sys/stat.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "common/comm/in_process.h"
#include "common/comm/wire.h"
#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/parallel.h"
#include "index/build_embed.h"
#include "index/build_read.h"
#include "index/build_team.h"
#include "index/content_digest.h"
#include "index/given_embeddings.h"
#include "index/inputs.h"
#include "index/manifest.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

constexpr int kMaxPartitions = 4096;

fs::path WithSuffix(fs::path path, const char* suffix) {
  return path += suffix;
}

// What every rank needs to know before the input is read; made by rank 0.
struct Plan {
  struct File {
    std::string path, name;
    bool is_text = false;
    template <class A>
    void Wire(A& a) {
      a(path, name, is_text);
    }
  };
  std::vector<File> inputs;
  std::vector<InputBlock> blocks;
  int32_t dim = 0;
  std::string encoder_digest;
  int64_t rows_wanted = -1;
  std::string settings;  // the working folder's settings.json
  std::string read;      // what an earlier run of this build has read; "": nothing
  template <class A>
  void Wire(A& a) {
    a(inputs, blocks, dim, encoder_digest, rows_wanted, settings, read);
  }
};
constexpr uint16_t kPlanType = 1, kModelsType = 2;

// What must be the same on all ranks.
struct RankModels {
  std::vector<std::pair<std::string, std::string>> parts;  // name, value
  template <class A>
  void Wire(A& a) {
    a(parts);
  }
};

class Builder {
 public:
  Builder(BuildTeam& team, const BuildSettings& settings, const LoadFunction& load)
      : team_(team),
        settings_(settings),
        load_(load),
        threads_(settings.threads > 0 ? settings.threads : UsableCores()),
        output_(fs::path(settings.output).lexically_normal()),
        building_(WithSuffix(output_, ".building")),
        staging_(building_ / "staging") {}

  CorpusInfo Run() {
    try {
      Prepare();
      const ReadOutcome read = Read();
      Embed(read);
      return info_;
    } catch (const Error& error) {
      if (!team_.leads() || !mine_ || error.code() == Code::kUsage) throw;
      if (HoldsWork()) {
        throw Error(
            error.code(), error.message(),
            fmt::format("{}{}the finished part is kept in {}: the same command goes on there, --force starts over",
                        error.hint(), error.hint().empty() ? "" : "; ", building_.string()),
            error.where());
      }
      std::error_code ignored;  // ignored: the next build removes what this cannot
      fs::remove_all(building_, ignored);
      throw;
    }
  }

 private:
  // Rank 0 opens given embeddings, lists the inputs, and makes or takes up the working folder; the others follow.
  void Prepare() {
    const std::string text = team_.Step(
        [&] {
          if (team_.leads()) Lock();
          functions_ = load_();
          HULLFT_CHECK(functions_.embed.embed || !settings_.embeddings.empty());
          return comm::wire::Encode(kModelsType, Models());
        },
        [&](const BuildTeam::Reports& reports) {
          CompareModels(reports);
          return comm::wire::Encode(kPlanType, MakePlan());
        });
    plan_ = comm::wire::Decode<Plan>(kPlanType, text, {0, team_.world().hosts()[0]});
    functions_.embed.dim = plan_.dim;
    functions_.embed.digest = plan_.encoder_digest;
    inputs_.clear();
    for (const Plan::File& f : plan_.inputs)
      inputs_.push_back({f.path, static_cast<int64_t>(inputs_.size()), f.is_text, f.name});
  }

  // Refuses an output that exists, and keeps a second build away.
  void Lock() {
    const bool finished = fs::exists(output_ / "corpus.json");
    if (fs::exists(output_) && !(finished && settings_.force)) {
      throw Error(
          Code::kUsage,
          fmt::format("{} {}", output_.string(), finished ? "holds a finished corpus" : "exists and is not a corpus"),
          finished ? "choose another --output, or --force to build it anew" : "choose another --output, or remove it");
    }
    if (output_.has_parent_path()) MakeFolders(output_.parent_path());
    lock_.emplace(WithSuffix(output_, ".lock"));
  }

  RankModels Models() const {
    return {
        {{"version", HULLFT_VERSION},
         {"encoder", functions_.embed.digest},
         {"width", std::to_string(functions_.embed.dim)},
         {"tokenizer", functions_.tokenize.digest},
         {"settings", fmt::format("{} {} {} {} {} {}", settings_.output, settings_.partitions, settings_.chunk_bytes,
                                  settings_.max_line_bytes, settings_.batch, settings_.embeddings)},
         {"type of stored embeddings", std::string(EmbeddingTypeName(settings_.embedding_type))},
         {"index", settings_.index}}};
  }

  void CompareModels(const BuildTeam::Reports& reports) const {
    const RankModels own = Models();
    for (size_t r = 1; r < reports.size(); ++r) {
      const std::string host = team_.world().hosts()[r];
      const auto models = comm::wire::Decode<RankModels>(kModelsType, reports[r], {static_cast<int>(r), host});
      HULLFT_CHECK(models.parts.size() == own.parts.size());
      for (size_t i = 0; i < own.parts.size(); ++i) {
        if (models.parts[i] == own.parts[i]) continue;
        throw Error(Code::kUsage,
                    fmt::format("rank {} on {} has another {} ({}) than rank 0 on {} ({})", r, host, own.parts[i].first,
                                models.parts[i].second, team_.world().hosts()[0], own.parts[i].second),
                    "start the same hullft with the same options, models and files on every host");
      }
    }
  }

  Plan MakePlan() {
    Plan plan;
    EmbedFunction& embed = functions_.embed;
    if (!settings_.embeddings.empty()) {
      const GivenEmbeddings given(settings_.embeddings, embed.dim);
      given.Check(threads_);
      given_hash_ = HashFileHex(settings_.embeddings);
      embed.dim = given.dim();
      if (embed.digest.empty()) embed.digest = given_hash_;
      plan.rows_wanted = given.rows();
    }
    IndexType::Parse(settings_.index, embed.dim);  // does it fit the width?
    inputs_ = ListInputs(settings_.inputs);
    TakeFolder();
    if (team_.size() > settings_.partitions) {
      spdlog::warn("{} ranks build {} partition{}: {} of them own none and help {} only", team_.size(),
                   settings_.partitions, settings_.partitions == 1 ? "" : "s", team_.size() - settings_.partitions,
                   settings_.embeddings.empty() ? "reading and embedding" : "reading");
    }
    for (const InputFile& input : inputs_) plan.inputs.push_back({input.path.string(), input.name, input.is_text});
    plan.blocks = CutIntoBlocks(inputs_, settings_.block_bytes);
    plan.dim = embed.dim;
    plan.encoder_digest = embed.digest;
    plan.settings = ReadFile(building_ / "settings.json");
    if (fs::exists(staging_ / "read.json")) plan.read = ReadFile(staging_ / "read.json");
    return plan;
  }

  // Makes or takes up the working folder.
  void TakeFolder() {
    const json wanted = Identity();
    const fs::path file = building_ / "settings.json";
    if (settings_.force) fs::remove_all(building_);
    if (!fs::exists(file)) {
      fs::remove_all(building_);
      MakeFolders(staging_);
      mine_ = true;
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
    mine_ = true;
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
            {"embeddings", given_hash_},
            {"embedding_type", EmbeddingTypeName(settings_.embedding_type)},
            {"index", settings_.index},
            {"target_recall", settings_.target_recall},
            {"recall_k", settings_.recall_k},
            {"encoder_digest", functions_.embed.digest},
            {"dim", functions_.embed.dim},
            {"tokenizer_digest", functions_.tokenize.digest}};
  }

  // Cheap beside embedding: an interrupted one starts over.
  ReadOutcome Read() {
    if (!plan_.read.empty()) return OutcomeFromText(plan_.read);
    ReadPlan plan;
    plan.inputs = inputs_;
    plan.blocks = plan_.blocks;
    plan.staging = staging_;
    plan.rejects = settings_.rejects.empty() ? WithSuffix(output_, ".rejects.jsonl") : fs::path(settings_.rejects);
    plan.rows_wanted = plan_.rows_wanted;
    return ReadInputs(team_, settings_, plan, [&] { CheckFolder(); });
  }

  // Every rank must see rank 0's working folder.
  void CheckFolder() const {
    const fs::path file = building_ / "settings.json";
    if (fs::exists(file) && ReadFile(file) == plan_.settings) return;
    throw Error(Code::kIo, building_.string() + " is not the folder that rank 0 has made under that name",
                "--output must be on a file system that all hosts share");
  }

  void Embed(const ReadOutcome& read) {
    team_.StartProgress("tokenizing and embedding", "sequences", read.records);
    EmbedPlan plan{settings_, functions_.embed, functions_.tokenize, nullptr, threads_, building_, read.bases};
    std::optional<GivenEmbeddings> given;
    EmbedPartitions(
        team_, plan,
        [&] {
          CheckFolder();
          if (!settings_.embeddings.empty()) plan.given = &given.emplace(settings_.embeddings, functions_.embed.dim);
        },
        [&](const std::vector<FinishedPartition>& parts) { Finish(read, parts); });
    team_.EndProgress();
  }

  // On rank 0.
  void Finish(const ReadOutcome& read, const std::vector<FinishedPartition>& parts) {
    CorpusManifest manifest;
    CorpusInfo& info = manifest.info;
    info = {output_,
            settings_.partitions,
            functions_.embed.dim,
            0,
            0,
            0,
            functions_.embed.digest,
            functions_.tokenize.digest,
            "",
            settings_.embedding_type,
            settings_.index,
            {},
            {}};
    ContentDigest content;
    for (const FinishedPartition& part : parts) {
      info.sequences += part.sequences;
      info.text_bytes += part.text_bytes;
      info.tokens += part.tokens;
      manifest.duplicates += part.duplicates;
      content.Add(ContentDigest::FromHex(part.digest));
      info.parts.push_back({part.number, part.sequences, part.text_bytes, part.tokens, part.disk_bytes, part.digest});
      const fs::path file = PartitionFolder(building_, part.number) / "manifest.json";
      manifest.files.push_back(
          {file.lexically_relative(building_).generic_string(), part.manifest_bytes, part.manifest_hash});
    }
    info.digest = CorpusDigest(content, info);
    manifest.records = read.records;
    manifest.rejects = read.rejects;
    manifest.settings = {{"inputs", settings_.inputs},
                         {"chunk_bytes", settings_.chunk_bytes},
                         {"max_line_bytes", settings_.max_line_bytes},
                         {"embeddings_given", !settings_.embeddings.empty()}};
    info.recall = MeasuredRecall();
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
    info_ = info;
  }

  // Over the finished partitions; nothing for Flat.
  Recall MeasuredRecall() const {
    const IndexType type = IndexType::Parse(settings_.index, functions_.embed.dim);
    if (type.kind == IndexKind::kFlat) return {};
    std::vector<std::unique_ptr<Partition>> partitions;
    for (int p = 0; p < settings_.partitions; ++p) partitions.push_back(Partition::Open(building_, p));
    const Recall recall = MeasureRecall(
        partitions, type, {.k = settings_.recall_k, .target = settings_.target_recall, .threads = threads_});
    const double reached = recall.Of(recall.effort);
    if (reached < recall.target) {
      spdlog::warn("recall@{} of {} ends at {:.4f}, below --target-recall {}", recall.k, type.name, reached,
                   recall.target);
    }
    return recall;
  }

  // True when finished embeddings would be lost with the working folder.
  bool HoldsWork() const {
    std::error_code ignored;  // ignored: what cannot be looked at holds nothing that could be used
    for (int p = 0; p < settings_.partitions; ++p) {
      if (fs::exists(PartitionFolder(building_, p) / "manifest.json", ignored)) return true;
      const fs::path log = LogFile(building_, p);
      if (settings_.embeddings.empty() && fs::exists(log, ignored) && fs::file_size(log, ignored) > 0) return true;
    }
    return false;
  }

  // Held while the object lives; the file goes with it.
  struct LockFile {
    explicit LockFile(fs::path p) : path(std::move(p)), held(path) {}
    ~LockFile() {
      std::error_code ignored;  // ignored: a lock file that stays locks nobody out
      fs::remove(path, ignored);
    }
    fs::path path;
    FileLock held;
  };

  BuildTeam& team_;
  const BuildSettings& settings_;
  const LoadFunction& load_;
  const int threads_;
  const fs::path output_, building_, staging_;
  std::optional<LockFile> lock_;  // on rank 0
  BuildFunctions functions_;
  std::vector<InputFile> inputs_;
  std::string given_hash_;  // of given embeddings, on rank 0
  Plan plan_;
  bool mine_ = false;  // the working folder is this build's
  CorpusInfo info_;
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
  fault(block_bytes < 1, fmt::format("block_bytes {} is below 1", block_bytes));
  fault(batch < 1, fmt::format("--batch {} is below 1", batch));
  fault(!(target_recall > 0 && target_recall <= 1), fmt::format("--target-recall {} is outside 0 to 1", target_recall));
  fault(recall_k < 1, fmt::format("--recall-k {} is below 1", recall_k));
  fault(memory_budget < 0, fmt::format("--memory-budget {} is below 0", memory_budget));
  IndexType::Parse(index, 0);
  if (!faults.empty()) throw Error(Code::kUsage, faults, "hullft index build --help describes the settings");
}

CorpusInfo BuildCorpus(comm::Communicator& world, const BuildSettings& settings, const LoadFunction& load) {
  settings.Validate();
  BuildTeam team(world, settings.stop, settings.quiet);
  return Builder(team, settings, load).Run();
}

CorpusInfo BuildCorpus(const BuildSettings& settings, EmbedFunction embed, const TokenizeFunction& tokenize) {
  comm::InProcessWorld world(1);
  return BuildCorpus(world.rank(0), settings, [&] { return BuildFunctions{std::move(embed), tokenize}; });
}

}  // namespace hullft::index
