// The folder of one run: who may write it, and whose settings it holds (docs/formats/journal.md).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "common/files.h"
#include "coordinator/report.h"
#include "coordinator/run_stats.h"
#include "coordinator/run_status.h"
#include "coordinator/settings.h"

namespace hullft::coordinator {

// The identities that a run's provenance.json holds, by setting; "": of a run of one setting.
std::map<std::string, Identity> IdentitiesIn(const nlohmann::json& provenance);

class RunFolder {
 public:
  // identities: of the run's settings by name; "" in a run of one setting. Makes the folder if need be and locks it.
  // Throws kUsage when another process holds it, or when it holds a run with another identity, naming the first
  // difference, or files that are not a run's. Of a grid the folder may hold other settings too: they stay.
  RunFolder(std::filesystem::path folder, std::map<std::string, Identity> identities);
  // Takes a folder away again that this object made and Start never filled.
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  // Writes config, layout.txt and provenance.json (the identities are added to what is given).
  void Start(const std::string& config, const std::string& layout, nlohmann::ordered_json provenance);
  // Writes summary.json and summary.csv.
  void WriteReport(const Report& report) const;
  // Writes execution.json.
  void WriteStats(const RunStats& stats) const;
  // Writes status.json and metrics.prom.
  void WriteStatus(const RunStatus& status) const;

  std::filesystem::path journal() const { return folder_ / "results.jsonl"; }
  std::filesystem::path rejects() const { return folder_ / "rejects.jsonl"; }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  void CheckIdentity();

  const std::filesystem::path folder_;
  std::map<std::string, Identity> identities_;  // with those that were there
  bool made_ = false, started_ = false;
  std::unique_ptr<FileLock> lock_;
};

}  // namespace hullft::coordinator
