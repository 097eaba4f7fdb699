#include "coordinator/run_folder.h"

#include <system_error>

#include "common/error.h"
#include "common/json_read.h"

namespace hullft::coordinator {
namespace fs = std::filesystem;

namespace {

void CheckSame(const fs::path& folder, const std::string& run, const Identity& held, const Identity& wanted,
               const std::string& hint) {
  const auto value = [](const Identity& identity, const std::string& name) {
    const auto place = identity.find(name);
    return place == identity.end() ? std::string("(nothing)") : place->second;
  };
  Identity names = wanted;
  names.insert(held.begin(), held.end());
  for (const auto& [name, unused] : names) {
    if (value(held, name) == value(wanted, name)) continue;
    throw Error(Code::kUsage,
                fmt::format("{} holds a run{} with {} = {}, not {}", folder.string(), run.empty() ? "" : " " + run,
                            name, value(held, name), value(wanted, name)),
                hint);
  }
}

}  // namespace

std::map<std::string, Identity> IdentitiesIn(const nlohmann::json& provenance) {
  if (provenance.contains("settings")) return provenance.at("settings").get<std::map<std::string, Identity>>();
  return {{"", provenance.at("identity").get<Identity>()}};
}

RunFolder::RunFolder(fs::path folder, std::map<std::string, Identity> identities)
    : folder_(std::move(folder)), identities_(std::move(identities)) {
  made_ = !fs::exists(folder_);
  MakeFolders(folder_);
  lock_ = std::make_unique<FileLock>(folder_ / "lock");
  CheckIdentity();
}

RunFolder::~RunFolder() {
  if (!made_ || started_) return;
  std::error_code ignored;  // ignored: an empty folder that stays is taken by the next run
  fs::remove(folder_ / "lock", ignored);
  fs::remove(folder_, ignored);  // fails when rejects.jsonl is there, which is meant to stay
}

void RunFolder::CheckIdentity() {
  const fs::path path = folder_ / "provenance.json";
  const std::string hint =
      "choose another --output, or give the settings of the run that is there (" + (folder_ / "config").string() + ")";
  if (!fs::exists(path)) {
    if (fs::exists(journal()))
      throw Error(Code::kUsage, fmt::format("{} holds results but no provenance.json", folder_.string()), hint);
    return;
  }
  std::map<std::string, Identity> held;
  try {
    held = IdentitiesIn(ParseJson(ReadFile(path), path.string()));
  } catch (const nlohmann::json::exception& error) {
    throw DataError("{}: {}", path.string(), error.what());
  }
  if (held.contains("") != identities_.contains("")) {
    throw Error(
        Code::kUsage,
        fmt::format("{} holds {}, not {}", folder_.string(), held.contains("") ? "a run of one setting" : "a grid",
                    held.contains("") ? "a grid" : "a run of one setting"),
        hint);
  }
  for (const auto& [name, identity] : identities_) {
    if (held.contains(name)) CheckSame(folder_, name, held.at(name), identity, hint);
  }
  identities_.insert(held.begin(), held.end());
}

void RunFolder::Start(const std::string& config, const std::string& layout, nlohmann::ordered_json provenance) {
  if (identities_.contains("")) {
    provenance["identity"] = identities_.at("");
  } else {
    provenance["settings"] = identities_;
  }
  started_ = true;
  WriteFileAtomic(folder_ / "config", config);
  WriteFileAtomic(folder_ / "layout.txt", layout);
  WriteFileAtomic(folder_ / "provenance.json",
                  provenance.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

void RunFolder::WriteReport(const Report& report) const {
  WriteFileAtomic(folder_ / "summary.json", ReportJson(report));
  WriteFileAtomic(folder_ / "summary.csv", ReportCsv(report));
}

void RunFolder::WriteStats(const RunStats& stats) const {
  WriteFileAtomic(folder_ / "execution.json", StatsJson(stats));
}

void RunFolder::WriteStatus(const RunStatus& status) const {
  WriteFileAtomic(folder_ / "status.json", StatusJson(status));
  WriteFileAtomic(folder_ / "metrics.prom", PrometheusText(status, folder_.string()));
}

}  // namespace hullft::coordinator
