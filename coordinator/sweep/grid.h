// From a sweep's TOML to the runs it needs. Every key is an option of `hullft run`; a list of values makes a dimension
// of the grid. Pure: nothing is read but the text, nothing is run. Thread safety: values, free functions.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace hullft::coordinator {

using Choice = std::vector<std::pair<std::string, std::string>>;  // option and value, in the order of the file

// One combination of the lists' values.
struct SweepCell {
  Choice choice;
  size_t run = 0;  // index into Sweep::runs: the setting whose rows hold its scores
  int n = 0;       // at this N of the run
};

// One setting of a run: for methods whose multiset for a smaller N is a prefix it serves all N at once (--score-at),
// and for methods that take each sequence once all refresh intervals, which change nothing there.
struct SweepRun {
  std::string name;                             // of its rows, made of what varies
  std::map<std::string, std::string> settings;  // option: value; without output and score-cache
  std::vector<int> marks;                       // --score-at, rising; empty: its own --n alone
  int n = 0;
};

// One `hullft run`: the settings that can share models, queries, pools and untuned scores (coordinator/run_grid.h).
struct SweepJob {
  std::map<std::string, std::string> settings;  // that all of its runs have
  std::vector<size_t> runs;                     // indexes into Sweep::runs
};

struct Sweep {
  std::string output;    // folder of the sweep
  std::string launcher;  // words before `hullft run`, e.g. "mpirun -n 8"; "": none
  std::vector<SweepCell> cells;
  std::vector<SweepRun> runs;
  std::vector<SweepJob> jobs;
};

// toml: the file's text; origin: its name, for messages; sets: "key=value" that replace the file's, the value as TOML
// or else as a text. Throws kUsage, with all faults, for what is not TOML, unknown keys (naming the nearest), values of
// a wrong type or out of range, an empty grid, and cells that `hullft run` would refuse.
Sweep ReadSweep(const std::string& toml, const std::string& origin, const std::vector<std::string>& sets);

// The resolved sweep as TOML: what was given, lists as lists.
std::string PrintSweep(const std::string& toml, const std::string& origin, const std::vector<std::string>& sets);

}  // namespace hullft::coordinator
