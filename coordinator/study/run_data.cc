#include "coordinator/study/run_data.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/json_read.h"
#include "coordinator/journal.h"

namespace hullft::study {
namespace {
namespace fs = std::filesystem;
using coordinator::Bpb;
using coordinator::Row;

double Score(const Bpb& bpb, Definition definition) {
  return definition == Definition::kRolling ? bpb.rolling : bpb.first_window;
}

// Takes rows in the order written; the newest row of a key counts, and a finished one before a failed one.
class Collector {
 public:
  Collector(Definition definition, RunData* run) : definition_(definition), run_(run) {}

  void Take(const Row& row) {
    Held& held = by_key_.try_emplace(row.key, Held{held_.size(), false}).first->second;
    if (held.place == held_.size()) held_.emplace_back();
    if (held.ok && !row.ok) return;
    held.ok = row.ok;
    Entry& entry = held_[held.place];
    entry = {};
    entry.ok = row.ok;
    entry.query = row.query;
    if (row.ok) {
      TakeResult(row, &entry);
    } else {
      entry.reason = row.reason;
    }
  }

  void Finish() {
    std::ranges::stable_sort(held_, {}, &Entry::query);
    for (Entry& entry : held_) {
      if (!entry.ok) {
        run_->failures.push_back({entry.query, entry.reason});
        continue;
      }
      for (const int count : entry.counts) ++run_->multiplicities[count];
      run_->leak_queries += entry.leaks;
      run_->leak_trained += entry.leak_trained;
      run_->scores_cached += entry.cached;
      run_->samples.push_back(std::move(entry.sample));
    }
  }

 private:
  struct Held {
    size_t place;
    bool ok;
  };
  struct Entry {
    bool ok = false, leaks = false, cached = false;
    int64_t query = 0, leak_trained = 0;
    std::string reason;
    std::vector<int> counts;  // above 0
    Sample sample;
  };

  void TakeResult(const Row& row, Entry* entry) {
    Agree(row);
    Sample& sample = entry->sample;
    sample.query = row.query;
    sample.subset = SubsetIndex(row.subset);
    sample.text = row.text_hash.empty() ? 0 : Hash64(row.text_hash);
    sample.bytes = row.bytes;
    sample.before = Score(row.before, definition_);
    sample.after = Score(row.after, definition_);
    sample.gap = row.gap;
    sample.residual_norm = row.residual_norm;
    sample.rounded_residual_norm = row.rounded_residual_norm;
    std::ranges::copy_if(row.counts, std::back_inserter(entry->counts), [](int count) { return count > 0; });
    sample.distinct = static_cast<int>(entry->counts.size());
    sample.ms = {row.ms.embed, row.ms.search,       row.ms.select,     row.ms.fetch,
                 row.ms.tune,  row.ms.score_before, row.ms.score_after};
    sample.pool_shared = row.ms.pool_shared;
    sample.ended_ms = row.ms.ended;
    sample.worked_ms = row.ms.score_before + row.ms.tune + row.ms.score_after;
    sample.worker = row.worker;
    for (size_t i = 0; i < row.marks.size(); ++i) {
      sample.marks.push_back(
          {row.marks[i].n, Score(row.marks[i].bpb, definition_), i < row.ms.tune_at.size() ? row.ms.tune_at[i] : 0.0});
    }
    run_->workers.try_emplace(row.worker, row.host);
    run_->coverage = std::min(run_->coverage, row.coverage);
    run_->guard = row.guard;
    entry->leaks = row.leak_marked > 0;
    entry->leak_trained = row.leak_trained;
    entry->cached = row.ms.score_before_cached;
  }

  // One identity, so one window: rows that say otherwise were put together by hand.
  void Agree(const Row& row) {
    if (!any_) {
      run_->window = row.window;
      run_->prefix_token = row.prefix_token;
      any_ = true;
    }
    if (row.window == run_->window && row.prefix_token == run_->prefix_token) return;
    throw Error(
        Code::kData,
        fmt::format("{}: query {} is scored with windows of {} tokens after token {}, others with {} and {}",
                    run_->folder.string(), row.query, row.window, row.prefix_token, run_->window, run_->prefix_token),
        "their bits per byte cannot be averaged");
  }

  int SubsetIndex(const std::string& subset) {
    const auto [place, added] = subset_index_.try_emplace(subset, static_cast<int>(run_->subsets.size()));
    if (added) run_->subsets.push_back(subset);
    return place->second;
  }

  const Definition definition_;
  RunData* const run_;
  bool any_ = false;
  std::unordered_map<std::string, Held> by_key_;
  std::unordered_map<std::string, int> subset_index_;
  std::vector<Entry> held_;
};

// By setting; "" of a run of one. Their folders, identities and provenance.
std::map<std::string, RunData> RunsOf(const fs::path& folder) {
  const Provenance provenance = ReadProvenance(folder);
  std::map<std::string, RunData> runs;
  for (const auto& [name, identity] : provenance.identities) {
    RunData& run = runs[name];
    run.folder = name.empty() ? folder : folder / name;
    run.name = run.folder.filename().string();
    run.identity = identity;
    run.provenance = provenance.fields;
  }
  return runs;
}

// The folder with the journal, and the one setting that is asked for ("": all).
std::pair<fs::path, std::string> JournalFolder(const fs::path& given) {
  const fs::path folder = given.has_filename() ? given : given.parent_path();  // without a slash at the end
  if (fs::exists(folder / "results.jsonl")) return {folder, ""};
  const fs::path grid = folder.has_parent_path() ? folder.parent_path() : ".";
  if (fs::exists(grid / "results.jsonl") && ReadProvenance(grid).identities.contains(folder.filename().string()))
    return {grid, folder.filename().string()};
  return {folder, ""};
}

void CheckNotEmpty(const RunData& run) {
  if (!run.samples.empty()) return;
  const std::string journal = (run.folder / "results.jsonl").string();
  if (run.failures.empty()) throw DataError("{} holds no row yet", journal);
  throw DataError("{}: no query is finished, {} failed; the first (query {}): {}", journal, run.failures.size(),
                  run.failures[0].query, run.failures[0].reason);
}

}  // namespace

const char* DefinitionName(Definition definition) {
  return definition == Definition::kRolling ? "bpb" : "bpb_first_window";
}

std::string RunData::Option(const std::string& name) const {
  const auto place = identity.find(name);
  return place == identity.end() ? "" : place->second;
}

int RunData::n() const {
  const std::string text = Option("--n");
  int value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Provenance ReadProvenance(const fs::path& folder) {
  const fs::path path = folder / "provenance.json";
  if (!fs::exists(path))
    throw Error(Code::kUsage, fmt::format("{} does not exist", path.string()), "give the --output of a hullft run");
  Provenance provenance;
  const nlohmann::json json = ParseJson(ReadFile(path), path.string());
  try {
    if (json.contains("settings")) {
      json.at("settings").get_to(provenance.identities);
    } else {
      json.at("identity").get_to(provenance.identities[""]);
    }
    for (const auto& [name, value] : json.items()) {
      if (name != "identity" && name != "settings")
        provenance.fields[name] = value.is_string() ? value.get<std::string>() : value.dump();
    }
  } catch (const nlohmann::json::exception& error) {
    throw DataError("{}: {}", path.string(), error.what());
  }
  return provenance;
}

bool IsRun(const fs::path& folder) {
  return fs::exists(JournalFolder(folder).first / "results.jsonl");
}

bool IsGrid(const fs::path& folder) {
  const auto [journal, setting] = JournalFolder(folder);
  return setting.empty() && fs::exists(journal / "provenance.json") && !ReadProvenance(journal).identities.contains("");
}

std::vector<RunData> LoadRuns(const fs::path& given, Definition definition) {
  const auto [folder, wanted] = JournalFolder(given);
  const fs::path journal = folder / "results.jsonl";
  if (!fs::exists(journal))
    throw Error(Code::kUsage, fmt::format("{} does not exist", journal.string()), "give the --output of a hullft run");
  std::map<std::string, RunData> runs = RunsOf(folder);
  if (!wanted.empty()) std::erase_if(runs, [&](const auto& entry) { return entry.first != wanted; });
  std::map<std::string, Collector> collectors;
  for (auto& [name, run] : runs) collectors.try_emplace(name, definition, &run);
  const int64_t torn =
      coordinator::ScanJournal(journal, [&](Row&& row) {
        const auto collector = collectors.find(row.run);
        if (collector != collectors.end()) return collector->second.Take(row);
        if (wanted.empty())
          throw DataError("{}: query {} has a row of the setting '{}', which provenance.json does not know",
                          journal.string(), row.query, row.run);
      }).torn_bytes;
  std::vector<RunData> result;
  for (auto& [name, run] : runs) {
    collectors.at(name).Finish();
    run.torn_bytes = torn;
    if (run.samples.empty() && runs.size() > 1) {  // of a grid that goes on
      spdlog::warn("{} has no finished query yet and is left out", run.folder.string());
    } else {
      CheckNotEmpty(run);
      result.push_back(std::move(run));
    }
  }
  if (result.empty()) throw DataError("{}: no setting has a finished query yet", journal.string());
  return result;
}

RunData LoadRun(const fs::path& folder, Definition definition) {
  std::vector<RunData> runs = LoadRuns(folder, definition);
  if (runs.size() == 1) return std::move(runs.front());
  throw Error(Code::kUsage, fmt::format("{} holds {} settings", folder.string(), runs.size()),
              fmt::format("name one of them, e.g. {}", runs.front().folder.string()));
}

}  // namespace hullft::study
