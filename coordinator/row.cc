#include "coordinator/row.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "common/error.h"
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

Bpb BpbFromJson(const Json& json) {
  Bpb bpb;
  json.at("bpb").get_to(bpb.rolling);
  json.at("bpb_first_window").get_to(bpb.first_window);
  json.at("log_likelihood").get_to(bpb.log_likelihood);
  json.at("log_likelihood_first_window").get_to(bpb.log_likelihood_first_window);
  return bpb;
}

Json TimesJson(const StageTimes& ms) {
  Json json = {{"embed", ms.embed},
               {"search", ms.search},
               {"select", ms.select},
               {"fetch", ms.fetch},
               {"score_before", ms.score_before},
               {"tune", ms.tune},
               {"score_after", ms.score_after}};
  if (ms.score_before_cached) json["score_before_cached"] = true;
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

std::vector<RowMark> MarksFromJson(const Json& json) {
  std::vector<RowMark> marks;
  for (const Json& entry : json) {
    marks.push_back({entry.at("n").get<int>(), entry.at("steps").get<int64_t>(), entry.at("gradients").get<int64_t>(),
                     BpbFromJson(entry)});
  }
  return marks;
}

StageTimes TimesFromJson(const Json& json) {
  StageTimes ms;
  json.at("embed").get_to(ms.embed);
  json.at("search").get_to(ms.search);
  json.at("select").get_to(ms.select);
  json.at("fetch").get_to(ms.fetch);
  json.at("score_before").get_to(ms.score_before);
  json.at("tune").get_to(ms.tune);
  json.at("score_after").get_to(ms.score_after);
  ms.score_before_cached = json.value("score_before_cached", false);
  if (json.contains("tune_at")) json.at("tune_at").get_to(ms.tune_at);
  return ms;
}

std::optional<select::Measures> MeasuresFromJson(const Json& json) {
  if (!json.contains("effective_sequences")) return std::nullopt;
  select::Measures measures;
  json.at("support_size").get_to(measures.support);
  json.at("distinct").get_to(measures.distinct);
  json.at("effective_sequences").get_to(measures.effective);
  json.at("largest_multiplicity").get_to(measures.largest);
  json.at("redundancy").get_to(measures.redundancy);
  json.at("rounding_loss").get_to(measures.rounding_loss);
  if (json.contains("rounding_gap") && !json["rounding_gap"].is_null())
    measures.rounding_gap = json["rounding_gap"].get<double>();
  return measures;
}

void ReadResult(const Json& json, Row* row) {
  json.at("ids").get_to(row->ids);
  json.at("counts").get_to(row->counts);
  json.at("weights").get_to(row->weights);
  json.at("objective").get_to(row->objective);
  json.at("gap").get_to(row->gap);
  json.at("residual_norm").get_to(row->residual_norm);
  json.at("rounded_residual_norm").get_to(row->rounded_residual_norm);
  json.at("iterations").get_to(row->iterations);
  json.at("stop").get_to(row->stop);
  row->measures = MeasuresFromJson(json);
  json.at("pool").get_to(row->pool);
  const std::string mode = json.value("pool_mode", "knn");  // rows written before there was another
  if (mode != "knn" && mode != "global") throw DataError("pool_mode is '{}', neither 'knn' nor 'global'", mode);
  row->global = mode == "global";
  if (json.contains("pool_objective")) row->pool_objective = json.at("pool_objective").get<double>();
  json.at("coverage").get_to(row->coverage);
  row->guard = json.value("guard", "off");  // rows written before there was one
  if (row->guard != "off") {
    json.at("leak_threshold").get_to(row->leak_threshold);
    json.at("leak_marked").get_to(row->leak_marked);
    json.at("leak_dropped").get_to(row->leak_dropped);
    json.at("leak_trained").get_to(row->leak_trained);
  }
  row->before = BpbFromJson(json.at("before"));
  row->after = BpbFromJson(json.at("after"));
  if (json.contains("score_at")) row->marks = MarksFromJson(json.at("score_at"));
  json.at("bytes").get_to(row->bytes);
  json.at("tokens").get_to(row->tokens);
  json.at("windows").get_to(row->windows);
  json.at("window").get_to(row->window);
  json.at("prefix_token").get_to(row->prefix_token);
  json.at("steps").get_to(row->steps);
  json.at("gradients").get_to(row->gradients);
  json.at("tokens_trained").get_to(row->tokens_trained);
  if (json.contains("adapter")) {
    const Json& adapter = json.at("adapter");
    adapter.at("kind").get_to(row->adapter.kind);
    adapter.at("rank").get_to(row->adapter.rank);
    adapter.at("alpha").get_to(row->adapter.alpha);
    adapter.at("targets").get_to(row->adapter.targets);
  }
  row->ms = TimesFromJson(json.at("ms"));
}

}  // namespace

std::string ToJsonLine(const Row& row) {
  Json json = {{"key", row.key}, {"query", row.query}, {"subset", row.subset}, {"status", row.ok ? "ok" : "failed"}};
  if (row.ok) {
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

Row ParseRow(std::string_view line) {
  try {
    const Json json = Json::parse(line);
    Row row;
    json.at("key").get_to(row.key);
    json.at("query").get_to(row.query);
    json.at("subset").get_to(row.subset);
    const std::string status = json.at("status").get<std::string>();
    if (status != "ok" && status != "failed") throw DataError("status is '{}', neither 'ok' nor 'failed'", status);
    row.ok = status == "ok";
    if (row.ok) {
      ReadResult(json, &row);
    } else {
      json.at("reason").get_to(row.reason);
    }
    json.at("worker").get_to(row.worker);
    json.at("host").get_to(row.host);
    json.at("attempts").get_to(row.attempts);
    if (row.ids.size() != row.counts.size() || row.ids.size() != row.weights.size()) {
      throw DataError("ids, counts and weights differ in length");
    }
    return row;
  } catch (const nlohmann::json::exception& error) {
    throw DataError("{}", error.what());
  }
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
