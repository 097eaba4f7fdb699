#include "index/builder.h"

#include <algorithm>
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
#include "index/build_folder.h"
#include "index/build_manifest.h"
#include "index/build_plan.h"
#include "index/build_read.h"
#include "index/build_team.h"
#include "index/given_embeddings.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;

class Builder {
 public:
  Builder(BuildTeam& team, const BuildSettings& settings, const LoadFunction& load)
      : team_(team),
        settings_(settings),
        load_(load),
        threads_(settings.threads > 0 ? settings.threads : UsableCores()),
        folder_(fs::path(settings.output).lexically_normal()) {}

  CorpusInfo Run() {
    try {
      Prepare();
      if (plan_.nothing_new) return team_.leads() ? sources_.base->info : CorpusInfo();
      Embed(Read());
      return info_;
    } catch (const Error& error) {
      if (!team_.leads() || !folder_.taken()) throw;
      if (folder_.HoldsWork(settings_.partitions, settings_.embeds())) {
        throw Error(
            error.code(), error.message(),
            fmt::format("{}{}the finished part is kept in {}: the same command goes on there, --force starts over",
                        error.hint(), error.hint().empty() ? "" : "; ", folder_.path().string()),
            error.where());
      }
      folder_.Remove();
      throw;
    }
  }

 private:
  // Every rank finds out what it reads and with which models; rank 0 compares, and makes or takes up the working
  // folder.
  void Prepare() {
    const std::string text = team_.Step(
        [&] {
          if (team_.leads()) folder_.Lock(settings_.grow, settings_.force);
          sources_ = OpenSources(&settings_);
          functions_ = sources_.corpora.empty() ? load_() : FunctionsOf(sources_.corpora.front());
          HULLFT_CHECK(functions_.embed.embed || !settings_.embeds());
          return comm::wire::Encode(kModelsType, ModelsOf(settings_, functions_, sources_));
        },
        [&](const BuildTeam::Reports& reports) {
          CompareModels(team_.world(), reports);
          Plan plan = MakePlan(settings_, threads_, &functions_, &sources_);
          TakeFolder(&plan);
          return comm::wire::Encode(kPlanType, plan);
        });
    plan_ = comm::wire::Decode<Plan>(kPlanType, text, {0, team_.world().hosts()[0]});
    functions_.embed.dim = plan_.dim;
    functions_.embed.digest = plan_.encoder_digest;
    sources_.inputs = plan_.Inputs();
  }

  // On rank 0.
  void TakeFolder(Plan* plan) {
    identity_ = IdentityOf(settings_, functions_, sources_);
    made_from_ = HashHex(identity_.dump());
    if (settings_.grow) {
      plan->nothing_new = std::ranges::any_of(sources_.base->info.generations,
                                              [&](const Generation& g) { return g.made_from == made_from_; });
      if (plan->nothing_new) {
        folder_.RemoveLeftOver(identity_);
        spdlog::info("{} has been added to {} before: nothing is done", fmt::join(settings_.inputs, ", "),
                     settings_.output);
        return;
      }
      identity_["grows"] = sources_.base->info.digest;
    }
    folder_.Take(identity_, plan->first_partition, settings_.force);
    WarnOfIdleRanks();
    plan->settings = folder_.settings_text();
    if (fs::exists(folder_.staging() / kReadFile)) plan->read = ReadFile(folder_.staging() / kReadFile);
  }

  void WarnOfIdleRanks() const {
    if (team_.size() <= settings_.partitions) return;
    spdlog::warn("{} ranks build {} partition{}: {} of them own none and help {} only", team_.size(),
                 settings_.partitions, settings_.partitions == 1 ? "" : "s", team_.size() - settings_.partitions,
                 settings_.embeds() ? "reading and embedding" : "reading");
  }

  // Once all is staged, an interrupted build does not read again.
  ReadOutcome Read() {
    if (!plan_.read.empty()) return OutcomeFromText(plan_.read);
    ReadPlan plan;
    plan.inputs = sources_.inputs;
    plan.corpora = sources_.corpora;
    plan.file_offsets = plan_.file_offsets;
    plan.first_file = plan_.first_file;
    plan.blocks = plan_.blocks;
    plan.staging = folder_.staging();
    plan.rejects = settings_.rejects.empty() ? folder_.output().string() + ".rejects.jsonl" : settings_.rejects;
    plan.rows_wanted = plan_.rows_wanted;
    return ReadInputs(
        team_, settings_, plan, [&] { CheckFolder(); }, [&] { CheckStamps(identity_.at("inputs")); });
  }

  // Every rank must see rank 0's working folder.
  void CheckFolder() const {
    if (fs::exists(folder_.path()) && folder_.settings_text() == plan_.settings) return;
    throw Error(Code::kIo, folder_.path().string() + " is not the folder that rank 0 has made under that name",
                "--output must be on a file system that all hosts share");
  }

  void Embed(const ReadOutcome& read) {
    team_.StartProgress(settings_.corpora.empty() ? "tokenizing and embedding" : "writing", "sequences", read.records);
    EmbedPlan plan{.settings = settings_,
                   .embed = functions_.embed,
                   .tokenize = functions_.tokenize,
                   .first_partition = plan_.first_partition,
                   .threads = threads_,
                   .building = folder_.path(),
                   .bases = read.bases};
    std::unique_ptr<GivenEmbeddings> given;
    std::optional<KnownTexts> known;
    EmbedPartitions(
        team_, plan,
        [&] {
          CheckFolder();
          if (!settings_.corpora.empty()) given = EmbeddingsOf(sources_.corpora);
          if (!settings_.embeddings.empty())
            given = OpenEmbeddings(settings_.embeddings, settings_.row_order, functions_.embed.dim);
          plan.given = given.get();
          if (settings_.grow) plan.known = &known.emplace(sources_.base->info);
        },
        [&](const std::vector<FinishedPartition>& parts) { Finish(read, parts); });
    team_.EndProgress();
  }

  // On rank 0.
  void Finish(const ReadOutcome& read, const std::vector<FinishedPartition>& parts) {
    CheckStamps(identity_.at("given"));
    CorpusManifest manifest = ManifestOf(
        {settings_, functions_, sources_, folder_, plan_.first_partition, plan_.first_file, made_from_, threads_}, read,
        parts);
    if (settings_.grow) {
      folder_.JoinCorpus(manifest);
    } else {
      folder_.BecomeCorpus(manifest, settings_.force);
    }
    info_ = manifest.info;
  }

  BuildTeam& team_;
  BuildSettings settings_;
  const LoadFunction& load_;
  const int threads_;
  BuildFolder folder_;
  BuildFunctions functions_;
  BuildSources sources_;
  Plan plan_;
  nlohmann::json identity_;  // of what decides the content, on rank 0
  std::string made_from_;    // its hash
  CorpusInfo info_;
};

}  // namespace

void BuildSettings::Validate() const {
  std::string faults;
  const auto fault = [&](bool wrong, const std::string& what) {
    if (wrong) faults += (faults.empty() ? "" : "\n  ") + what;
  };
  const bool like_another = grow || !corpora.empty();
  fault(inputs.empty() && corpora.empty(), "no --input");
  fault(!inputs.empty() && !corpora.empty(), "files and corpora cannot be read in one build");
  fault(grow && (keep_ids || !corpora.empty()), "what is added to a corpus is numbered anew: merge corpora instead");
  fault(output.empty(), "no --output");
  fault(partitions < (like_another ? 0 : 1) || partitions > kMaxPartitions,
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
  fault(embeddings.empty() && !row_order.empty(), "--row-order without embeddings");
  if (!like_another || !index.empty()) IndexType::Parse(index, 0);
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
