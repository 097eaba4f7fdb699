#include "coordinator/sweep/grid.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>

#include "common/error.h"
#include "coordinator/run_grid.h"
#include "coordinator/settings.h"
#include "coordinator/sweep/grid_file.h"

namespace hullft::coordinator {
namespace {
using Settings = std::map<std::string, std::string>;

// What the sweep decides itself.
const std::set<std::string> kOwn = {"output", "score-cache", "grid"};

std::vector<std::string> KnownKeys() {
  RunSettings settings;
  OptionTable table("hullft run", "");
  settings.Bind(&table);
  std::vector<std::string> known = {"launcher"};
  for (const Option* option : table.options()) known.push_back(option->name());
  return known;
}

// What `hullft run` makes of these settings. Throws what it throws.
RunSettings Checked(const Settings& settings) {
  RunSettings run;
  OptionTable table("hullft run", "");
  run.Bind(&table);
  std::vector<std::string> words = {"--output=sweep"};
  for (const auto& [name, value] : settings) words.push_back(fmt::format("--{}={}", name, value));
  table.Parse(words);
  run.Finish();
  return run;
}

std::string JoinedMarks(const std::vector<int>& marks) {
  return fmt::format("{}", fmt::join(marks, ","));
}

// Whether a run to the largest N can be scored at the smaller ones: hullft run says so itself.
bool ServesSmallerN(Settings settings, const std::set<int>& ns) {
  settings["n"] = std::to_string(*ns.rbegin());
  settings["score-at"] = JoinedMarks({ns.begin(), ns.end()});
  try {
    Checked(settings);
    return true;
  } catch (const Error&) {  // ignored: they are two runs, then
    return false;
  }
}

// Lists multiply: ten of ten values each would fill any memory before the first run is named.
void CheckCells(const std::vector<GridKey>& keys, const std::string& origin) {
  constexpr double kMostCells = 100'000;
  double cells = 1;
  for (const GridKey& key : keys) cells *= key.list ? static_cast<double>(key.values.size()) : 1;
  if (cells > kMostCells)
    throw Error(Code::kUsage, fmt::format("{}: a grid of {:.3g} cells, {} are the most", origin, cells, kMostCells),
                "split the sweep, or shorten its lists");
}

std::vector<Choice> Combinations(const std::vector<GridKey>& keys) {
  std::vector<Choice> combinations = {{}};
  for (const GridKey& key : keys) {
    if (!key.list) continue;
    std::vector<Choice> longer;
    for (const Choice& choice : combinations) {
      for (const std::string& value : key.values) {
        longer.push_back(choice);
        longer.back().emplace_back(key.name, value);
      }
    }
    combinations = std::move(longer);
  }
  return combinations;
}

std::string ChoiceText(const Choice& choice) {
  std::string text;
  for (const auto& [name, value] : choice) text += fmt::format("{}{} = {}", text.empty() ? "" : ", ", name, value);
  return text;
}

// A folder's name of what varies: "sift_refresh1_n20".
std::string RunName(const SweepRun& run, const std::vector<GridKey>& keys, const std::set<std::string>& taken) {
  std::string name;
  for (const GridKey& key : keys) {
    if (!key.list || key.name == "n") continue;
    name += (name.empty() ? "" : "_") + (key.name == "method" ? "" : key.name) + run.settings.at(key.name);
  }
  name += fmt::format("{}n{}", name.empty() ? "" : "_", run.n);
  std::ranges::replace_if(
      name, [](unsigned char c) { return !std::isalnum(c) && c != '_' && c != '-' && c != '.' && c < 128; }, '-');
  std::string unique = name;
  for (int i = 2; taken.contains(unique); ++i) unique = fmt::format("{}_{}", name, i);
  return unique;
}

// What stands in the file and is not the sweep's own.
Settings CellSettings(const std::vector<GridKey>& keys, const Choice& choice) {
  Settings settings;
  for (const GridKey& key : keys) {
    if (!kOwn.contains(key.name) && key.name != "launcher") settings[key.name] = key.values.front();
  }
  for (const auto& [name, value] : choice) settings[name] = value;
  return settings;
}

// Cells that one run can serve have equal settings but for N, and for r where no sequence is trained on twice.
Settings SharedSettings(const std::vector<GridKey>& keys, Settings settings, const RunSettings& checked) {
  for (const GridKey& key : keys) {
    if (key.name == "refresh" && select::TakesEachOnce(checked.select.method)) settings["refresh"] = key.values.front();
  }
  settings.erase("n");
  return settings;
}

void CheckKeys(const std::vector<GridKey>& keys) {
  std::vector<std::string> faults;
  for (const GridKey& key : keys) {
    if (key.list && (kOwn.contains(key.name) || key.name == "launcher"))
      faults.push_back(fmt::format("{}: {} is one for the whole sweep, not a list", key.origin, key.name));
    if (key.name == "score-at") faults.push_back(fmt::format("{}: score-at is made from the list of n", key.origin));
  }
  if (std::ranges::find(keys, "output", &GridKey::name) == keys.end())
    faults.push_back("missing output: the sweep's folder");
  if (!faults.empty()) throw Error(Code::kUsage, fmt::format("hullft sweep: {}", fmt::join(faults, "\n  ")));
}

struct Group {
  std::set<int> ns;
  std::vector<size_t> cells;
};

void MakeRuns(const std::vector<GridKey>& keys, const std::map<Settings, Group>& groups, Sweep* sweep) {
  std::set<std::string> taken;
  for (const auto& [settings, group] : groups) {
    const bool together = group.ns.size() == 1 || ServesSmallerN(settings, group.ns);
    for (const int n : together ? std::set<int>{*group.ns.rbegin()} : group.ns) {
      SweepRun run{"", settings, {}, n};
      run.settings["n"] = std::to_string(n);
      if (together && group.ns.size() > 1) run.marks.assign(group.ns.begin(), group.ns.end());
      run.name = RunName(run, keys, taken);
      taken.insert(run.name);
      for (const size_t c : group.cells) {
        if (together || sweep->cells[c].n == n) sweep->cells[c].run = sweep->runs.size();
      }
      sweep->runs.push_back(std::move(run));
    }
  }
}

void MakeJobs(Sweep* sweep) {
  for (size_t r = 0; r < sweep->runs.size(); ++r) {
    Settings shared = sweep->runs[r].settings;
    std::erase_if(shared, [](const auto& entry) { return MayVaryInOneRun(entry.first); });
    const auto pool = shared.find("pool");
    const auto job = std::ranges::find(sweep->jobs, shared, &SweepJob::settings);
    if (job != sweep->jobs.end() && (pool == shared.end() || pool->second == "knn")) {
      job->runs.push_back(r);
    } else {
      sweep->jobs.push_back({shared, {r}});
    }
  }
}

}  // namespace

Sweep ReadSweep(const std::string& toml, const std::string& origin, const std::vector<std::string>& sets) {
  const std::vector<GridKey> keys = ReadGridFile(toml, origin, sets, KnownKeys());
  CheckKeys(keys);
  CheckCells(keys, origin);
  Sweep sweep;
  for (const GridKey& key : keys) {
    if (key.name == "output") sweep.output = key.values.front();
    if (key.name == "launcher") sweep.launcher = key.values.front();
  }
  std::map<Settings, Group> groups;
  std::set<std::string> faults;
  for (const Choice& choice : Combinations(keys)) {
    const Settings settings = CellSettings(keys, choice);
    try {
      const RunSettings checked = Checked(settings);
      Group& group = groups[SharedSettings(keys, settings, checked)];
      group.ns.insert(checked.select.n);
      group.cells.push_back(sweep.cells.size());
      sweep.cells.push_back({choice, 0, checked.select.n});
    } catch (const Error& error) {
      faults.insert(fmt::format("cell ({}): {}", ChoiceText(choice), error.message()));
    }
  }
  if (!faults.empty()) {
    throw Error(Code::kUsage,
                fmt::format("{}: {} of the grid's cells cannot be run; {}", origin, faults.size(), *faults.begin()),
                "hullft run --help lists the options");
  }
  MakeRuns(keys, groups, &sweep);
  MakeJobs(&sweep);
  return sweep;
}

std::string PrintSweep(const std::string& toml, const std::string& origin, const std::vector<std::string>& sets) {
  return GridText(ReadGridFile(toml, origin, sets, KnownKeys()));
}

}  // namespace hullft::coordinator
