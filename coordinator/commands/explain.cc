#include "coordinator/commands/explain.h"

#include <fmt/ranges.h>

#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "common/comm/in_process.h"
#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/npy.h"
#include "common/tokenizer/tokenizer.h"
#include "common/vector_check.h"
#include "coordinator/queries.h"
#include "coordinator/query_encoder.h"
#include "coordinator/round.h"
#include "coordinator/select/kernels.h"
#include "worker/runtime.h"

namespace hullft::coordinator {
namespace {

Query ReadQuery(const ExplainSettings& settings) {
  if (!settings.query_text.empty()) {
    Query query;
    query.text = settings.query_text;
    query.text_hash = HashHex(query.text);
    return query;
  }
  QueryFile file = ReadQueries(settings.queries, {}, settings.query + 1, "", 0);
  if (static_cast<int64_t>(file.queries.size()) <= settings.query)
    throw Error(Code::kUsage,
                fmt::format("--query {}: {} holds {} queries", settings.query, settings.queries, file.records),
                "queries are numbered from 0");
  return std::move(file.queries.back());
}

std::vector<float> Embed(const std::string& text, const ExplainSettings& settings, const index::CorpusInfo& corpus) {
  if (!IsValidUtf8(text)) throw Error(Code::kUsage, "the query's text is not valid UTF-8", "quote it for the shell");
  worker::InitTorchRuntime(1);
  const auto encoder = LoadQueryEncoder(settings.encoder, settings.prompt, corpus, 0);
  std::vector<float> target(static_cast<size_t>(encoder->dim()));
  const std::string_view texts[] = {text};
  encoder->Embed(texts, target);
  return target;
}

std::vector<float> StoredTarget(const std::string& path, int64_t row, int dim) {
  const NpyFile file(path);
  if (file.shape().size() != 2 || file.shape()[1] != dim)
    throw DataError("{} is not Q x {}, the width of the corpus", path, dim);
  if (row >= file.shape()[0]) throw DataError("{} has {} rows, there is no row {}", path, file.shape()[0], row);
  const auto values =
      file.values().subspan(static_cast<size_t>(row) * static_cast<size_t>(dim), static_cast<size_t>(dim));
  const auto place = [row](int64_t) { return fmt::format("row {}", row); };
  WarnUnlessUnit(CheckVectors(values, dim, path, place), path, place);
  return {values.begin(), values.end()};
}

// What both kinds of pool have in common.
Explanation Explain(const select::Pool& pool, const SelectionFlags& flags, const std::string& key) {
  Explanation e;
  e.method = flags.method;
  e.n = flags.select.n;
  e.pool = pool.k;
  select::SelectOptions options = flags.select;
  options.trace = true;
  e.selection = select::Select(pool, options, key);
  for (size_t i = 0; i < e.selection.support.size(); ++i) {
    ExplainedSequence sequence;
    sequence.id = static_cast<uint64_t>(e.selection.support[i]);
    sequence.weight = e.selection.weights[i];
    sequence.count = e.selection.counts[i];
    e.sequences.push_back(std::move(sequence));
  }
  return e;
}

}  // namespace

void ExplainSettings::Bind(OptionTable* table) {
  table->Group("One query, explained");
  table->Add("explain", &explain, "for one query, print what was chosen, how near it comes and how it got there");
  table->Add("svg", &svg, "with --explain: write the convergence as an SVG file").NotPartOfResult();
  table->Add("corpus", &corpus, "folder made by hullft index build: choose from it, and show texts").NotPartOfResult();
  table->Add("queries", &queries, "JSONL of documents; --query says which").NotPartOfResult();
  table->Add("query", &query, "record of --queries, or row of --targets, from 0").Range(0, 1e15);
  table->Add("query-text", &query_text, "the query itself, instead of --queries");
  table->Add("encoder", &encoder, "encoder the corpus was built with").NotPartOfResult();
  table->Add("prompt", &prompt, kQueryPromptHelp);
  table->Add("query-embeddings", &query_embeddings, ".npy with a row per query, instead of --encoder")
      .NotPartOfResult();
  table->Add("k", &k, "K, nearest sequences of the corpus to choose from").Range(1, 1e6);
  table->Add("margin", &margin, "candidates beyond K that are re-scored exactly").Range(0, 1e6);
  table->Add("guard", &guard, "with --corpus: candidates that share a long run with the query, as in hullft run")
      .OneOf({"off", "mark", "drop"});
  table->Add("leak-threshold", &leak_threshold, "share of 13-grams above which the guard acts").Range(0, 1);
  table->Add("model", &model, "with --guard: the language model, for its tokenizer").NotPartOfResult();
  table->Add("columns", &columns, "characters of a printed line").Range(60, 10000).NotPartOfResult();
}

std::string ExplainSettings::Faults(bool arrays) const {
  std::vector<std::string> faults;
  if (!explain) {
    if (!corpus.empty()) faults.push_back("--corpus needs --explain; hullft run selects for every query of a file");
    if (!svg.empty()) faults.push_back("--svg needs --explain");
  } else if (corpus.empty() && !arrays) {
    faults.push_back("--explain needs --corpus, or --embeddings and --targets");
  } else if (!corpus.empty() && arrays) {
    faults.push_back("--corpus and --embeddings exclude each other");
  } else if (!corpus.empty()) {
    if (queries.empty() == query_text.empty()) faults.push_back("give --queries (and --query), or --query-text");
    if (encoder.empty() == query_embeddings.empty()) faults.push_back("give --encoder or --query-embeddings");
    if (!prompt.empty() && encoder.empty()) faults.push_back("--prompt is the encoder's: it needs --encoder");
    if (!query_text.empty() && !query_embeddings.empty()) faults.push_back("--query-text needs --encoder");
    if (guard != "off" && model.empty()) faults.push_back("--guard " + guard + " needs --model, for its tokenizer");
  } else if (guard != "off") {
    faults.push_back("--guard " + guard + " needs --corpus: arrays have no texts");
  }
  return fmt::format("{}", fmt::join(faults, "; "));
}

Explanation ExplainFromCorpus(const ExplainSettings& settings, const SelectionFlags& flags, int threads) {
  const index::CorpusInfo corpus = index::ReadCorpusInfo(settings.corpus);
  const Query query = ReadQuery(settings);
  RoundWork work{0, {{0, query.number, query.text_hash, {}, {}, {}}}, {}};
  if (settings.guard != "off") {
    const auto tokenizer = Tokenizer::Load(settings.model);
    if (tokenizer->digest() != corpus.tokenizer_digest)
      throw DataError("{} was tokenized with another tokenizer than that of {}", settings.corpus, settings.model);
    work.queries[0].text = query.text;
    work.queries[0].tokens = tokenizer->Encode(query.text, false);
  }
  work.targets = settings.encoder.empty() ? StoredTarget(settings.query_embeddings, query.number, corpus.dim)
                                          : Embed(query.text, settings, corpus);
  std::vector<std::unique_ptr<index::Partition>> partitions;
  for (int p = 0; p < corpus.partitions; ++p) partitions.push_back(index::Partition::Open(corpus.folder, p));
  comm::InProcessWorld world(1);
  RoundSettings round;
  round.k = settings.k;
  round.margin = settings.margin;
  round.guard = GuardModeFromName(settings.guard);
  round.leak_threshold = settings.leak_threshold;
  round.threads = threads;
  const QueryPool pool = std::move(Round(world.rank(0), {0}, 0, partitions, round).Pools(work).at(0));

  Explanation e =
      Explain({pool.rows, work.targets, static_cast<int>(pool.ids.size()), corpus.dim}, flags, query.text_hash);
  e.query =
      settings.query_text.empty() ? fmt::format("query {} of {}", query.number, settings.queries) : "the given text";
  e.query_text = query.text;
  e.source = fmt::format("{} sequences in {}", corpus.sequences, settings.corpus);
  e.guard = settings.guard;
  e.leak_threshold = settings.leak_threshold;
  e.leak_marked = pool.marked;
  e.leak_dropped = pool.dropped;
  for (ExplainedSequence& sequence : e.sequences) {
    const auto row = static_cast<size_t>(sequence.id);
    sequence.id = pool.ids[row];
    sequence.score = pool.scores[row];
    sequence.leaks = !pool.leaks.empty() && pool.leaks[row] != 0;
    for (const auto& partition : partitions) {
      if (partition->Contains({sequence.id})) sequence.text = partition->ReadText({sequence.id});
    }
  }
  return e;
}

Explanation ExplainFromPool(const select::Pool& pool, const ExplainSettings& settings, const SelectionFlags& flags,
                            const std::string& source, const std::string& targets) {
  Explanation e = Explain(pool, flags, std::to_string(settings.query));
  e.query = fmt::format("target {} of {}", settings.query, targets);
  e.source = source;
  const std::vector<double> target(pool.target.begin(), pool.target.end());
  const auto d = static_cast<size_t>(pool.d);
  for (ExplainedSequence& sequence : e.sequences)
    select::BestKernels().row_dots(&pool.rows[sequence.id * d], 1, pool.d, target.data(), &sequence.score);
  return e;
}

void PrintExplanation(const Explanation& explanation, const ExplainSettings& settings, bool json) {
  if (!settings.svg.empty()) WriteFileAtomic(settings.svg, ExplanationSvg(explanation));
  const std::string text = json ? ExplanationJson(explanation) : ExplanationText(explanation, settings.columns);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) throw IoError("write to", "standard output");
}

}  // namespace hullft::coordinator
