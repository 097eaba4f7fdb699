#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "common/error.h"
#include "common/npy.h"
#include "common/options.h"
#include "common/parallel.h"
#include "common/vector_check.h"
#include "coordinator/commands/commands.h"
#include "coordinator/commands/explain.h"
#include "coordinator/measures_json.h"
#include "coordinator/select/gram_columns.h"
#include "coordinator/selection_flags.h"

namespace hullft::coordinator {
namespace {

struct Settings : SelectionFlags {
  std::string embeddings, targets;
  int threads = 0;
  bool json = false;
  ExplainSettings one;
};

std::string ShapeText(const NpyFile& file) {
  std::string text;
  for (const int64_t n : file.shape()) text += (text.empty() ? "" : " x ") + std::to_string(n);
  return text.empty() ? "a single number" : text;
}

// The two arrays as one pool per target.
struct Inputs {
  Inputs(const Settings& settings) : pools(settings.embeddings), targets(settings.targets) {
    const auto& p = pools.shape();
    const auto& t = targets.shape();
    if (p.size() != 2 && p.size() != 3) {
      throw DataError("{} is {}; it must be K x d (one pool for all targets) or Q x K x d (a pool per target)",
                      settings.embeddings, ShapeText(pools));
    }
    if (t.size() != 2)
      throw DataError("{} is {}; it must be Q x d, one row a target", settings.targets, ShapeText(targets));
    if (p.back() != t[1]) {
      throw DataError("{} is {} and {} is {}: the widths differ; embed both with one encoder", settings.embeddings,
                      ShapeText(pools), settings.targets, ShapeText(targets));
    }
    if (p.size() == 3 && p[0] != t[0]) {
      throw DataError("{} holds {} pools, {} holds {} targets: their numbers differ", settings.embeddings, p[0],
                      settings.targets, t[0]);
    }
    count = t[0], k = p[p.size() - 2], d = t[1], shared = p.size() == 2;
    if (d < 1) throw DataError("{} is {}: its vectors have no numbers", settings.embeddings, ShapeText(pools));
    if (k > INT32_MAX || d > INT32_MAX)
      throw DataError("{} is {}: too large a pool", settings.embeddings, ShapeText(pools));
    constexpr int64_t kColumnBytes = 256 << 20;
    if (shared && k > 0) columns.emplace(k, std::min(k, kColumnBytes / (8 * k)));
  }
  select::Pool Of(int64_t q) {
    const size_t size = static_cast<size_t>(k) * d;
    return {pools.values().subspan(shared ? 0 : q * size, size), targets.values().subspan(q * d, d),
            static_cast<int>(k), static_cast<int>(d), columns ? &*columns : nullptr};
  }
  NpyFile pools, targets;
  int64_t count = 0, k = 0, d = 0;
  bool shared = true;
  std::optional<select::SharedColumns> columns;  // of the pool that all targets share
};

// Before anything is chosen: what is wrong with a file is said once, with its place in the file.
void Check(const Inputs& inputs, const Settings& settings) {
  const auto target = [](int64_t row) { return fmt::format("target {}", row); };
  const auto pool_row = [&](int64_t row) {
    return inputs.shared ? fmt::format("pool row {}", row)
                         : fmt::format("target {}, pool row {}", row / inputs.k, row % inputs.k);
  };
  WarnUnlessUnit(CheckVectors(inputs.targets.values(), inputs.d, settings.targets, target), settings.targets, target);
  WarnUnlessUnit(CheckVectors(inputs.pools.values(), inputs.d, settings.embeddings, pool_row), settings.embeddings,
                 pool_row);
}

// Numbers are written with as many digits as reading them back exactly takes.
std::string Line(int64_t target, const Settings& settings, const select::Selection& s) {
  nlohmann::ordered_json line = {{"target", target},
                                 {"method", settings.method},
                                 {"n", settings.select.n},
                                 {"support", s.support},
                                 {"weights", s.weights},
                                 {"counts", s.counts},
                                 {"expanded", s.expanded},
                                 {"iterations", s.iterations},
                                 {"stop", s.stop},
                                 {"objective", s.objective},
                                 {"gap", s.gap},
                                 {"residual_norm", s.residual_norm},
                                 {"rounded_residual_norm", s.rounded_residual_norm}};
  line.update(MeasuresJson(s.measures));
  return line.dump() + "\n";
}

bool ParseSettings(const Arguments& args, Settings* s) {
  OptionTable table(
      "hullft select",
      "Chooses a multiset of N pool rows for each target: float32 .npy arrays in, one JSON line a target out "
      "(support, weights, counts, expanded, iterations, objective, gap, residual_norm). Rows are numbered in "
      "the order of the file. With --explain: one target, or one query of a corpus, as a table and plots.");
  table.Add("embeddings", &s->embeddings, "pool.npy: K x d (one pool for all targets) or Q x K x d");
  table.Add("targets", &s->targets, "targets.npy: Q x d");
  s->BindSelection(&table);
  table.Add("threads", &s->threads, "targets worked on at once; 0 = every core this process may use")
      .Range(0, 4096)
      .NotPartOfResult();
  table.Add("json", &s->json, "with --explain: as JSON; without, the output is JSON in any case").NotPartOfResult();
  s->one.Bind(&table);
  table.Example("hullft select --embeddings pool.npy --targets targets.npy --n 20");
  if (table.Parse(args)) return false;
  if (const std::string faults = s->FinishSelection(); !faults.empty()) throw Error(Code::kUsage, faults);
  const bool arrays = !s->embeddings.empty() && !s->targets.empty();
  if (!arrays && s->one.corpus.empty() && !s->one.explain)
    throw Error(Code::kUsage, "hullft select: missing --embeddings or --targets",
                "hullft select --help lists the options");
  if (const std::string faults = s->one.Faults(arrays); !faults.empty())
    throw Error(Code::kUsage, "hullft select: " + faults, "hullft select --help lists the options");
  return true;
}

void ExplainOne(const Settings& settings, int threads) {
  if (!settings.one.corpus.empty())
    return PrintExplanation(ExplainFromCorpus(settings.one, settings, threads), settings.one, settings.json);
  Inputs inputs(settings);
  Check(inputs, settings);
  if (settings.one.query >= inputs.count)
    throw Error(Code::kUsage,
                fmt::format("--query {}: {} holds {} targets", settings.one.query, settings.targets, inputs.count),
                "targets are numbered from 0");
  const std::string source = fmt::format("{} rows of {}", inputs.k, settings.embeddings);
  PrintExplanation(ExplainFromPool(inputs.Of(settings.one.query), settings.one, settings, source, settings.targets),
                   settings.one, settings.json);
}

}  // namespace

int SelectCommand(const Arguments& args) {
  Settings settings;
  if (!ParseSettings(args, &settings)) return 0;
  const int threads = settings.threads > 0 ? settings.threads : UsableCores();
  if (settings.one.explain) {
    ExplainOne(settings, threads);
    return 0;
  }
  Inputs inputs(settings);
  Check(inputs, settings);
  // All targets before the first line: a bad one leaves no partial output behind.
  std::vector<std::string> lines(inputs.count);
  ParallelFor(inputs.count, threads, [&](int64_t q) {
    try {
      lines[q] = Line(q, settings, select::Select(inputs.Of(q), settings.select, std::to_string(q)));
    } catch (const Error& error) {
      if (error.code() != Code::kData) throw;
      throw Error(Code::kData,
                  fmt::format("target {} ({}, {}): {}", q, settings.embeddings, settings.targets, error.message()),
                  error.hint(), error.where());
    }
  });
  for (const std::string& line : lines) {
    if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size()) throw IoError("write to", "standard output");
  }
  return 0;
}

}  // namespace hullft::coordinator
