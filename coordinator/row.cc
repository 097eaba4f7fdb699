#include "coordinator/row.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "coordinator/measures_json.h"

namespace hullft::coordinator {
namespace {
using Json = nlohmann::ordered_json;

Json BpbJson(const Bpb& bpb) {
  return {{"bpb", bpb.rolling},
          {"bpb_first_window", bpb.first_window},
          {"log_likelihood", bpb.log_likelihood},
          {"log_likelihood_first_window", bpb.log_likelihood_first_window}};
}

Json TimesJson(const StageTimes& ms) {
  Json json = {{"embed", ms.embed},
               {"search", ms.search},
               {"select", ms.select},
               {"fetch", ms.fetch},
               {"score_before", ms.score_before},
               {"tune", ms.tune},
               {"score_after", ms.score_after}};
  if (ms.ended > 0) json["ended"] = ms.ended;
  if (ms.score_before_cached) json["score_before_cached"] = true;
  if (ms.pool_shared) json["pool_shared"] = true;
  if (!ms.tune_at.empty()) json["tune_at"] = ms.tune_at;
  return json;
}

Json MarksJson(const std::vector<RowMark>& marks) {
  Json json = Json::array();
  for (const RowMark& mark : marks) {
    json.push_back({{"n", mark.n}, {"steps", mark.steps}, {"gradients", mark.gradients}});
    json.back().update(BpbJson(mark.bpb));
  }
  return json;
}

}  // namespace

std::string ToJsonLine(const Row& row) {
  Json json = {{"key", row.key}, {"query", row.query}, {"subset", row.subset}, {"status", row.ok ? "ok" : "failed"}};
  if (!row.run.empty()) json["run"] = row.run;
  if (row.ok) {
    if (!row.text_hash.empty()) json["text_hash"] = row.text_hash;
    json.update({{"ids", row.ids},
                 {"counts", row.counts},
                 {"weights", row.weights},
                 {"objective", row.objective},
                 {"gap", row.gap},
                 {"residual_norm", row.residual_norm},
                 {"rounded_residual_norm", row.rounded_residual_norm},
                 {"iterations", row.iterations},
                 {"stop", row.stop},
                 {"pool", row.pool},
                 {"pool_mode", row.global ? "global" : "knn"},
                 {"coverage", row.coverage},
                 {"guard", row.guard},
                 {"before", BpbJson(row.before)},
                 {"after", BpbJson(row.after)},
                 {"bytes", row.bytes},
                 {"tokens", row.tokens},
                 {"windows", row.windows},
                 {"window", row.window},
                 {"prefix_token", row.prefix_token},
                 {"steps", row.steps},
                 {"gradients", row.gradients},
                 {"tokens_trained", row.tokens_trained},
                 {"ms", TimesJson(row.ms)}});
    if (row.measures) json.update(MeasuresJson(*row.measures));
    if (row.guard != "off") {
      json.update({{"leak_threshold", row.leak_threshold},
                   {"leak_marked", row.leak_marked},
                   {"leak_dropped", row.leak_dropped},
                   {"leak_trained", row.leak_trained}});
    }
    if (row.adapter.lora()) {
      json["adapter"] = {{"kind", row.adapter.kind},
                         {"rank", row.adapter.rank},
                         {"alpha", row.adapter.alpha},
                         {"targets", row.adapter.targets}};
    }
    if (!row.marks.empty()) json["score_at"] = MarksJson(row.marks);
    if (row.pool_objective) {
      json.update({{"pool_objective", *row.pool_objective}, {"pool_regret", *row.pool_objective - row.objective}});
    }
  } else {
    json["reason"] = row.reason;
  }
  json.update({{"worker", row.worker}, {"host", row.host}, {"attempts", row.attempts}});
  // A message from a foreign library may hold bytes that are not UTF-8; the journal must not fail on them.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<Row> LatestRows(const std::vector<Row>& rows) {
  std::unordered_map<std::string, const Row*> latest;
  for (const Row& row : rows) {
    const Row*& held = latest[row.key];
    if (held == nullptr || row.ok || !held->ok) held = &row;
  }
  std::vector<Row> result;
  result.reserve(latest.size());
  for (const auto& [key, row] : latest) result.push_back(*row);
  std::sort(result.begin(), result.end(),
            [](const Row& a, const Row& b) { return a.query != b.query ? a.query < b.query : a.key < b.key; });
  return result;
}

}  // namespace hullft::coordinator
