#include "index/build_plan.h"

#include <algorithm>

#include "common/comm/wire.h"
#include "common/error.h"
#include "common/hash.h"
#include "index/build_folder.h"
#include "index/corpus_blocks.h"
#include "index/given_embeddings.h"

namespace hullft::index {
namespace {
namespace fs = std::filesystem;
using nlohmann::json;

void CheckFits(const BuildSettings& settings, const BuildFunctions& functions, const CorpusInfo& base) {
  if (functions.embed.digest.empty()) {
    throw Error(Code::kUsage,
                fmt::format("nothing says which encoder made {}; that of {} is {}", settings.embeddings,
                            base.folder.string(), base.encoder_digest),
                "give --encoder, or --encoder-digest where it is not at hand");
  }
  CorpusInfo added;
  added.dim = functions.embed.dim;
  added.encoder_digest = functions.embed.digest;
  added.tokenizer_digest = functions.tokenize.digest;
  added.embedding_type = settings.embedding_type;
  CheckAlike(base, added, "what is to be added");
  if (settings.index != base.index && settings.index != "Flat") {
    throw Error(
        Code::kUsage, fmt::format("--index {}: {} has the index {}", settings.index, base.folder.string(), base.index),
        fmt::format("a generation has the corpus's index or Flat; hullft index merge --index {} makes all of it anew",
                    settings.index));
  }
}

// Width and encoder come from embeddings that are given, where nothing else says them.
void CheckGiven(const BuildSettings& settings, int threads, EmbedFunction* embed, BuildSources* sources, Plan* plan) {
  if (settings.embeddings.empty()) return;
  const auto given = OpenEmbeddings(settings.embeddings, settings.row_order, embed->dim);
  given->Check(settings.embeddings, threads);
  sources->given_hash = HashFileHex(settings.embeddings);
  if (!settings.row_order.empty()) sources->given_hash += " " + HashFileHex(settings.row_order);
  embed->dim = given->dim();
  plan->rows_wanted = given->rows();
}

}  // namespace

std::vector<InputFile> Plan::Inputs() const {
  std::vector<InputFile> inputs;
  for (const File& f : files) inputs.push_back({f.path, static_cast<int64_t>(inputs.size()), f.is_text, f.name});
  return inputs;
}

BuildSources OpenSources(BuildSettings* settings) {
  BuildSources sources;
  if (!settings->corpora.empty()) sources.corpora = ReadAlikeCorpora(settings->corpora);
  if (settings->grow) sources.base = ReadCorpusManifest(fs::path(settings->output).lexically_normal());
  if (!settings->grow && sources.corpora.empty()) return sources;
  const CorpusInfo& like = settings->grow ? sources.base->info : sources.corpora.front();
  settings->embedding_type = like.embedding_type;
  if (settings->index.empty()) settings->index = like.index;
  if (settings->partitions == 0) settings->partitions = like.generations.back().partitions;
  return sources;
}

BuildFunctions FunctionsOf(const CorpusInfo& corpus) {
  return {{{}, corpus.dim, corpus.encoder_digest, corpus.encoder_use}, {{}, corpus.tokenizer_digest}};
}

RankModels ModelsOf(const BuildSettings& settings, const BuildFunctions& functions, const BuildSources& sources) {
  std::string corpora = sources.base ? sources.base->info.digest : "";
  for (const CorpusInfo& corpus : sources.corpora) corpora += " " + corpus.digest;
  return {{{"version", HULLFT_VERSION},
           {"encoder", functions.embed.digest},
           {"width", std::to_string(functions.embed.dim)},
           {"tokenizer", functions.tokenize.digest},
           {"content of corpora", corpora},
           {"settings", fmt::format("{} {} {} {} {} {} {} {} {}", settings.output, settings.partitions,
                                    settings.chunk_bytes, settings.max_line_bytes, settings.batch, settings.embeddings,
                                    settings.row_order, settings.keep_ids, settings.grow)},
           {"type of stored embeddings", std::string(EmbeddingTypeName(settings.embedding_type))},
           {"index", settings.index}}};
}

void CompareModels(comm::Communicator& world, const BuildTeam::Reports& models) {
  const auto of_rank = [&](size_t r) {
    return comm::wire::Decode<RankModels>(kModelsType, models[r], {static_cast<int>(r), world.hosts()[r]});
  };
  const RankModels own = of_rank(0);
  for (size_t r = 1; r < models.size(); ++r) {
    const RankModels other = of_rank(r);
    HULLFT_CHECK(other.parts.size() == own.parts.size());
    for (size_t i = 0; i < own.parts.size(); ++i) {
      if (other.parts[i] == own.parts[i]) continue;
      throw Error(Code::kUsage,
                  fmt::format("rank {} on {} has another {} ({}) than rank 0 on {} ({})", r, world.hosts()[r],
                              own.parts[i].first, other.parts[i].second, world.hosts()[0], own.parts[i].second),
                  "start the same hullft with the same options, models and files on every host");
    }
  }
}

Plan MakePlan(const BuildSettings& settings, int threads, BuildFunctions* functions, BuildSources* sources) {
  Plan plan;
  EmbedFunction& embed = functions->embed;
  CheckGiven(settings, threads, &embed, sources, &plan);
  IndexType::Parse(settings.index, embed.dim);  // does it fit the width?
  sources->inputs = ListInputs(settings.inputs);
  if (sources->base) {
    const CorpusInfo& base = sources->base->info;
    CheckFits(settings, *functions, base);
    plan.first_partition = base.partitions;
    plan.first_file = NextFileNumber(base);
    if (plan.first_file + static_cast<int64_t>(sources->inputs.size()) > 1 << 24)
      throw DataError("{} would have more than 2^24 input files", base.folder.string());
    if (base.partitions + settings.partitions > kMostPartitions)
      throw DataError("{} would have more than {} partitions: merge its generations", base.folder.string(),
                      kMostPartitions);
  }
  if (embed.digest.empty()) embed.digest = sources->given_hash;
  const auto text = std::ranges::find(sources->inputs, true, &InputFile::is_text);
  if (settings.keep_ids && text != sources->inputs.end())
    throw DataError("--keep-ids: {} is a file of text, which brings no ids", text->path.string());
  for (const InputFile& input : sources->inputs) plan.files.push_back({input.path.string(), input.name, input.is_text});
  if (settings.keep_ids) plan.file_offsets.assign(plan.files.size(), 0);
  if (!sources->corpora.empty()) plan.file_offsets = FileOffsets(sources->corpora);
  plan.blocks = sources->corpora.empty() ? CutIntoBlocks(sources->inputs, settings.block_bytes)
                                         : CutIntoBlocks(std::span<const CorpusInfo>(sources->corpora));
  plan.dim = embed.dim;
  plan.encoder_digest = embed.digest;
  return plan;
}

json IdentityOf(const BuildSettings& settings, const BuildFunctions& functions, const BuildSources& sources) {
  std::vector<fs::path> inputs, given;
  for (const InputFile& input : sources.inputs) inputs.push_back(input.path);
  for (const std::string& file : {settings.embeddings, settings.row_order})
    if (!file.empty()) given.emplace_back(file);
  json corpora = json::array();
  for (const CorpusInfo& corpus : sources.corpora) corpora.push_back({corpus.folder.string(), corpus.digest});
  return {{"format", kFormatVersion},
          {"staging", 2},
          {"inputs", StampsOf(inputs)},
          {"corpora", corpora},
          {"partitions", settings.partitions},
          {"chunk_bytes", settings.chunk_bytes},
          {"max_line_bytes", settings.max_line_bytes},
          {"keep_ids", settings.keep_ids},
          {"embeddings", sources.given_hash},
          {"given", StampsOf(given)},
          {"embedding_type", EmbeddingTypeName(settings.embedding_type)},
          {"index", settings.index},
          {"target_recall", settings.target_recall},
          {"recall_k", settings.recall_k},
          {"encoder_digest", functions.embed.digest},
          {"dim", functions.embed.dim},
          {"tokenizer_digest", functions.tokenize.digest}};
}

}  // namespace hullft::index
