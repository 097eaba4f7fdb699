#include "coordinator/study/run_data.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "coordinator/journal.h"

namespace hullft::study {
namespace {
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

Provenance ReadProvenance(const std::filesystem::path& folder) {
  const std::filesystem::path path = folder / "provenance.json";
  Provenance provenance;
  try {
    const auto json = nlohmann::json::parse(ReadFile(path));
    provenance.identity = json.at("identity").get<std::map<std::string, std::string>>();
    for (const auto& [name, value] : json.items()) {
      if (name != "identity") provenance.fields[name] = value.is_string() ? value.get<std::string>() : value.dump();
    }
  } catch (const nlohmann::json::exception& error) {
    throw DataError("{}: {}", path.string(), error.what());
  }
  return provenance;
}

RunData LoadRun(const std::filesystem::path& folder, Definition definition) {
  RunData run;
  run.folder = folder.has_filename() ? folder : folder.parent_path();  // without a slash at the end
  run.name = run.folder.filename().string();
  const std::filesystem::path journal = run.folder / "results.jsonl";
  for (const auto& path : {journal, run.folder / "provenance.json"}) {
    if (!std::filesystem::exists(path))
      throw Error(Code::kUsage, fmt::format("{} does not exist", path.string()), "give the --output of a hullft run");
  }
  Provenance provenance = ReadProvenance(run.folder);
  run.identity = std::move(provenance.identity);
  run.provenance = std::move(provenance.fields);
  Collector collector(definition, &run);
  run.torn_bytes = coordinator::ScanJournal(journal, [&](Row&& row) { collector.Take(row); }).torn_bytes;
  collector.Finish();
  if (run.samples.empty() && run.failures.empty()) throw DataError("{} holds no row yet", journal.string());
  if (run.samples.empty()) {
    throw DataError("{}: no query is finished, {} failed; the first (query {}): {}", journal.string(),
                    run.failures.size(), run.failures[0].query, run.failures[0].reason);
  }
  return run;
}

}  // namespace hullft::study
