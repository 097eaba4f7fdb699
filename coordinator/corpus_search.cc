#include "coordinator/corpus_search.h"

#include <fmt/format.h>

namespace hullft::coordinator {
namespace {
using index::CorpusInfo;
using index::IndexKind;
using index::IndexType;

// Efforts between two measured ones find at least what the smaller one does.
std::string RecallText(const index::Recall& recall, int effort, const char* effort_name) {
  const index::RecallPoint* below = nullptr;
  for (const index::RecallPoint& point : recall.curve) {
    if (point.effort <= effort) below = &point;
  }
  if (below == nullptr) return fmt::format("recall@{} was not measured with so little effort", recall.k);
  const std::string measured = fmt::format("measured on {} sequences when the corpus was built", recall.queries);
  if (below->effort == effort) return fmt::format("recall@{} {:.4f}, {}", recall.k, below->recall, measured);
  return fmt::format("recall@{} {:.4f} or more ({} {}), {}", recall.k, below->recall, effort_name, below->effort,
                     measured);
}

}  // namespace

int SearchEffort(const RunSettings& settings, const CorpusInfo& corpus) {
  return settings.search_effort > 0 ? settings.search_effort : corpus.recall.effort;
}

std::string SearchText(const RunSettings& settings, const CorpusInfo& corpus) {
  const IndexType type = IndexType::Parse(corpus.index, corpus.dim);
  if (type.kind == IndexKind::kFlat) return "Flat: every search is exact";
  if (settings.pool == "global") return corpus.index + " is not used: --pool global reads every vector";
  const int effort = SearchEffort(settings, corpus);
  return fmt::format("{}, {} {}: {}", corpus.index, type.EffortName(), effort,
                     RecallText(corpus.recall, effort, type.EffortName()));
}

std::string SearchIdentity(const RunSettings& settings, const CorpusInfo& corpus) {
  const IndexType type = IndexType::Parse(corpus.index, corpus.dim);
  if (type.kind == IndexKind::kFlat || settings.pool == "global") return "";
  return fmt::format("{} in {} partition{}, {} {}", corpus.index, corpus.partitions, corpus.partitions == 1 ? "" : "s",
                     type.EffortName(), SearchEffort(settings, corpus));
}

}  // namespace hullft::coordinator
