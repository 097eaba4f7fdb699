// Reading a row. A report reads a hundred thousand of them, so this is simdjson's work, not nlohmann's.
#include <simdjson.h>

#include <type_traits>

#include "common/error.h"
#include "coordinator/row.h"

namespace hullft::coordinator {
namespace {
using simdjson::dom::element;
using simdjson::dom::object;

[[noreturn]] void Fault(const char* field, const char* what) {
  throw DataError("field '{}' {}", field, what);
}

template <class T>
void Read(const element& value, const char* field, T* target) {
  if constexpr (std::is_same_v<T, std::string>) {
    std::string_view text;
    if (value.get(text)) Fault(field, "is not a text");
    *target = text;
  } else if constexpr (std::is_same_v<T, int>) {
    int64_t wide = 0;
    Read(value, field, &wide);
    *target = static_cast<int>(wide);
    if (*target != wide) Fault(field, "is out of range");
  } else if constexpr (std::is_same_v<T, double> || std::is_same_v<T, int64_t> || std::is_same_v<T, uint64_t>) {
    if (value.get(*target)) Fault(field, value.is_null() ? "is null: the number was not finite" : "is not a number");
  } else {
    simdjson::dom::array array;
    if (value.get(array)) Fault(field, "is not a list");
    target->reserve(array.size());
    for (const element entry : array) Read(entry, field, &target->emplace_back());
  }
}

std::optional<element> Find(const object& json, const char* field) {
  element value;
  if (json.at_key(field).get(value)) return std::nullopt;
  return value;
}

template <class T>
void Get(const object& json, const char* field, T* target) {
  const std::optional<element> value = Find(json, field);
  if (!value) Fault(field, "is missing");
  Read(*value, field, target);
}

// For fields that rows of older versions do not have. Whether it was there.
template <class T>
bool GetIfThere(const object& json, const char* field, T* target) {
  const std::optional<element> value = Find(json, field);
  if (value) Read(*value, field, target);
  return value.has_value();
}

// What reports add up: no sum of such overflows.
void GetCount(const object& json, const char* field, int64_t* target) {
  constexpr int64_t kMost = int64_t{1} << 40;
  Get(json, field, target);
  if (*target < 0 || *target > kMost) Fault(field, "is out of range");
}

object GetObject(const object& json, const char* field) {
  const std::optional<element> value = Find(json, field);
  object inner;
  if (!value || value->get(inner)) Fault(field, value ? "is not an object" : "is missing");
  return inner;
}

Bpb ReadBpb(const object& json) {
  Bpb bpb;
  Get(json, "bpb", &bpb.rolling);
  Get(json, "bpb_first_window", &bpb.first_window);
  Get(json, "log_likelihood", &bpb.log_likelihood);
  Get(json, "log_likelihood_first_window", &bpb.log_likelihood_first_window);
  return bpb;
}

std::vector<RowMark> ReadMarks(const element& value) {
  simdjson::dom::array array;
  if (value.get(array)) Fault("score_at", "is not a list");
  std::vector<RowMark> marks;
  for (const element entry : array) {
    object json;
    if (entry.get(json)) Fault("score_at", "holds something else than objects");
    RowMark& mark = marks.emplace_back();
    Get(json, "n", &mark.n);
    Get(json, "steps", &mark.steps);
    Get(json, "gradients", &mark.gradients);
    mark.bpb = ReadBpb(json);
  }
  return marks;
}

StageTimes ReadTimes(const object& json) {
  StageTimes ms;
  Get(json, "embed", &ms.embed);
  Get(json, "search", &ms.search);
  Get(json, "select", &ms.select);
  Get(json, "fetch", &ms.fetch);
  Get(json, "score_before", &ms.score_before);
  Get(json, "tune", &ms.tune);
  Get(json, "score_after", &ms.score_after);
  for (const auto& [field, flag] :
       {std::pair("score_before_cached", &ms.score_before_cached), std::pair("pool_shared", &ms.pool_shared)}) {
    const auto value = Find(json, field);
    if (value && value->get(*flag)) Fault(field, "is neither true nor false");
  }
  GetIfThere(json, "ended", &ms.ended);
  GetIfThere(json, "tune_at", &ms.tune_at);
  return ms;
}

std::optional<select::Measures> ReadMeasures(const object& json) {
  if (!Find(json, "effective_sequences")) return std::nullopt;
  select::Measures measures;
  Get(json, "support_size", &measures.support);
  Get(json, "distinct", &measures.distinct);
  Get(json, "effective_sequences", &measures.effective);
  Get(json, "largest_multiplicity", &measures.largest);
  Get(json, "redundancy", &measures.redundancy);
  Get(json, "rounding_loss", &measures.rounding_loss);
  const auto gap = Find(json, "rounding_gap");
  if (gap && !gap->is_null()) Read(*gap, "rounding_gap", &measures.rounding_gap.emplace());
  return measures;
}

void ReadGuard(const object& json, Row* row) {
  GetIfThere(json, "guard", &row->guard);  // rows written before there was one: off
  if (row->guard == "off") return;
  Get(json, "leak_threshold", &row->leak_threshold);
  GetCount(json, "leak_marked", &row->leak_marked);
  GetCount(json, "leak_dropped", &row->leak_dropped);
  GetCount(json, "leak_trained", &row->leak_trained);
}

void ReadSelection(const object& json, Row* row) {
  Get(json, "ids", &row->ids);
  Get(json, "counts", &row->counts);
  Get(json, "weights", &row->weights);
  if (row->ids.size() != row->counts.size() || row->ids.size() != row->weights.size())
    throw DataError("ids, counts and weights differ in length");
  Get(json, "objective", &row->objective);
  Get(json, "gap", &row->gap);
  Get(json, "residual_norm", &row->residual_norm);
  Get(json, "rounded_residual_norm", &row->rounded_residual_norm);
  Get(json, "iterations", &row->iterations);
  Get(json, "stop", &row->stop);
  row->measures = ReadMeasures(json);
  Get(json, "pool", &row->pool);
  std::string mode = "knn";  // rows written before there was another
  GetIfThere(json, "pool_mode", &mode);
  if (mode != "knn" && mode != "global") throw DataError("pool_mode is '{}', neither 'knn' nor 'global'", mode);
  row->global = mode == "global";
  if (const auto objective = Find(json, "pool_objective"))
    Read(*objective, "pool_objective", &row->pool_objective.emplace());
  Get(json, "coverage", &row->coverage);
  ReadGuard(json, row);
}

void ReadResult(const object& json, Row* row) {
  GetIfThere(json, "text_hash", &row->text_hash);
  ReadSelection(json, row);
  row->before = ReadBpb(GetObject(json, "before"));
  row->after = ReadBpb(GetObject(json, "after"));
  if (const auto marks = Find(json, "score_at")) row->marks = ReadMarks(*marks);
  Get(json, "bytes", &row->bytes);
  Get(json, "tokens", &row->tokens);
  Get(json, "windows", &row->windows);
  Get(json, "window", &row->window);
  Get(json, "prefix_token", &row->prefix_token);
  Get(json, "steps", &row->steps);
  Get(json, "gradients", &row->gradients);
  Get(json, "tokens_trained", &row->tokens_trained);
  if (Find(json, "adapter")) {
    const object adapter = GetObject(json, "adapter");
    Get(adapter, "kind", &row->adapter.kind);
    Get(adapter, "rank", &row->adapter.rank);
    Get(adapter, "alpha", &row->adapter.alpha);
    Get(adapter, "targets", &row->adapter.targets);
  }
  row->ms = ReadTimes(GetObject(json, "ms"));
}

}  // namespace

Row ParseRow(std::string_view line) {
  simdjson::dom::parser parser;
  element value;
  if (const auto error = parser.parse(line.data(), line.size()).get(value))
    throw DataError("{}", simdjson::error_message(error));
  object json;
  if (value.get(json)) throw DataError("not an object");
  Row row;
  Get(json, "key", &row.key);
  Get(json, "query", &row.query);
  Get(json, "subset", &row.subset);
  GetIfThere(json, "run", &row.run);
  std::string status;
  Get(json, "status", &status);
  if (status != "ok" && status != "failed") throw DataError("status is '{}', neither 'ok' nor 'failed'", status);
  row.ok = status == "ok";
  if (row.ok) {
    ReadResult(json, &row);
  } else {
    Get(json, "reason", &row.reason);
  }
  Get(json, "worker", &row.worker);
  Get(json, "host", &row.host);
  Get(json, "attempts", &row.attempts);
  return row;
}

}  // namespace hullft::coordinator
