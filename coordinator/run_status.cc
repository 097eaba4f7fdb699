#include "coordinator/run_status.h"

#include <fmt/format.h>

#include <array>
#include <chrono>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/json_read.h"

namespace hullft::coordinator {
namespace {
using Json = nlohmann::ordered_json;

constexpr std::array<const char*, 4> kStages = {"received", "scoring before", "tuning", "scoring after"};

Json WorkerJson(const WorkerView& worker) {
  Json json = {
      {"rank", worker.rank}, {"busy", worker.busy}, {"in_flight", worker.in_flight}, {"silent", worker.silent}};
  if (worker.event) {
    json["stage"] = kStages.at(static_cast<size_t>(worker.event->stage));
    json["step"] = worker.event->step;
    json["steps"] = worker.event->steps;
  }
  return json;
}

// A file that somebody else made may say anything; what is shown divides, multiplies and draws bars of these.
template <class T>
void ReadCount(const Json& json, const char* name, T* count) {
  constexpr int64_t kMost = int64_t{1} << 40;
  ReadField(json, name, *count);
  if (*count < 0 || int64_t{*count} > kMost) throw DataError("field {} is {}, not a count", name, *count);
}

void ReadNumber(const Json& json, const char* name, double least, double most, double* number) {
  ReadField(json, name, *number);
  if (!(*number >= least && *number <= most))
    throw DataError("field {} is {}, not from {} to {}", name, *number, least, most);
}

WorkerView ParseWorker(const Json& json) {
  WorkerView worker;
  ReadCount(json, "rank", &worker.rank);
  ReadNumber(json, "busy", 0, 1e6, &worker.busy);
  ReadCount(json, "in_flight", &worker.in_flight);
  ReadField(json, "silent", worker.silent);
  if (!json.contains("stage")) return worker;
  StageEvent event;
  const std::string name = json.at("stage").get<std::string>();
  for (size_t s = 0; s < kStages.size(); ++s) {
    if (name == kStages[s]) event.stage = static_cast<Stage>(s);
  }
  ReadCount(json, "step", &event.step);
  ReadCount(json, "steps", &event.steps);
  worker.event = event;
  return worker;
}

// A label's value: backslash, quote and line feed are escaped.
std::string LabelText(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? std::string("\\n") : std::string(1, c);
  }
  return out;
}

}  // namespace

double UnixSeconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string StatusJson(const RunStatus& status) {
  const RunView& view = status.view;
  Json json = {{"state", status.state},   {"host", status.host},         {"updated", status.updated},
               {"total", view.total},     {"done", view.done},           {"done_before", view.done_before},
               {"failed", view.failed},   {"seconds", view.seconds},     {"in_rounds", view.in_rounds},
               {"ready", view.ready},     {"in_flight", view.in_flight}, {"late", view.late},
               {"workers", Json::array()}};
  for (const WorkerView& worker : view.workers) json["workers"].push_back(WorkerJson(worker));
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

RunStatus ParseStatus(const std::string& json_text, const std::filesystem::path& path) {
  const Json json = ParseOrderedJson(json_text, path.string());
  try {
    RunStatus status;
    ReadField(json, "state", status.state);
    ReadField(json, "host", status.host);
    ReadNumber(json, "updated", 0, 1e11, &status.updated);
    RunView& view = status.view;
    ReadCount(json, "total", &view.total);
    ReadCount(json, "done", &view.done);
    ReadCount(json, "done_before", &view.done_before);
    ReadCount(json, "failed", &view.failed);
    ReadNumber(json, "seconds", 0, 1e11, &view.seconds);
    ReadCount(json, "in_rounds", &view.in_rounds);
    ReadCount(json, "ready", &view.ready);
    ReadCount(json, "in_flight", &view.in_flight);
    ReadCount(json, "late", &view.late);
    for (const Json& worker : json.at("workers")) view.workers.push_back(ParseWorker(worker));
    return status;
  } catch (const nlohmann::json::exception& error) {
    throw DataError("{}: {}", path.string(), error.what());
  } catch (const Error& error) {
    throw DataError("{}: {}", path.string(), error.message());
  }
}

std::string PrometheusText(const RunStatus& status, const std::string& run) {
  const std::string label = "run=\"" + LabelText(run) + "\"";
  std::string text;
  const auto head = [&](const char* name, const char* type, const char* help) {
    text += fmt::format("# HELP hullft_{0} {2}\n# TYPE hullft_{0} {1}\n", name, type, help);
  };
  const auto one = [&](const char* name, const char* type, const char* help, double value) {
    head(name, type, help);
    text += fmt::format("hullft_{}{{{}}} {}\n", name, label, value);
  };
  const RunView& view = status.view;
  one("queries", "gauge", "Queries of the run.", static_cast<double>(view.total));
  one("queries_done", "gauge", "Queries with a durable row, failed ones too.", static_cast<double>(view.done));
  one("queries_failed", "gauge", "Queries that failed since the last start.", static_cast<double>(view.failed));
  one("queries_per_second", "gauge", "Of this start, on average.", Rate(view));
  one("queries_ready", "gauge", "Selected and waiting for a worker.", static_cast<double>(view.ready));
  one("queries_in_flight", "gauge", "Handed out to workers.", static_cast<double>(view.in_flight));
  one("tasks_late_total", "counter", "Results that came after another worker's.", static_cast<double>(view.late));
  one("running", "gauge", "1 while the run goes on.", status.state == "running" ? 1 : 0);
  one("updated_seconds", "gauge", "Unix time of these numbers.", status.updated);
  head("worker_busy_ratio", "gauge", "Share of its time that a worker had a task.");
  for (const WorkerView& worker : view.workers)
    text += fmt::format("hullft_worker_busy_ratio{{{},rank=\"{}\"}} {}\n", label, worker.rank, worker.busy);
  return text;
}

}  // namespace hullft::coordinator
