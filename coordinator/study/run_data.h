// What a report needs of a run: its journal, reduced row by row to a few numbers, and its provenance. A hundred
// thousand rows take some 20 MB. Thread safety: values.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "coordinator/row.h"

namespace hullft::study {

// Which of a row's two scores is looked at (docs/method.md, section 6). They are never mixed.
enum class Definition { kRolling, kFirstWindow };
const char* DefinitionName(Definition definition);  // the field of a row: "bpb" or "bpb_first_window"

inline constexpr int kStages = 7;
inline constexpr std::array<const char*, kStages> kStageNames = {"embed", "search",       "select",     "fetch",
                                                                 "tune",  "score before", "score after"};
inline constexpr int kTune = 4;  // the stages up to here make a query's runtime; scoring is not part of the method

struct MarkSample {  // with --score-at
  int n = 0;
  double after = 0, tune_ms = 0;
};

struct Sample {  // a finished query
  int64_t query = 0;
  int subset = 0;     // index into RunData::subsets
  uint64_t text = 0;  // hash of the text; 0 in rows of older versions
  int64_t bytes = 0;  // of the text
  double before = 0, after = 0;
  double gap = 0, residual_norm = 0, rounded_residual_norm = 0;
  int distinct = 0;  // sequences trained on
  std::array<double, kStages> ms{};
  bool pool_shared = false;  // embed and search stand in another row of the query too
  double ended_ms = 0;       // Unix time; 0 when not known
  double worked_ms = 0;      // by its worker, up to there
  int worker = -1;
  std::vector<MarkSample> marks;  // by rising n
};

struct Failure {
  int64_t query = 0;
  std::string reason;
};

struct RunData {
  std::filesystem::path folder;                 // of a grid's setting: FOLDER/NAME, which is not on the disk
  std::string name;                             // of the folder
  std::map<std::string, std::string> identity;  // options that change results, and digests
  std::map<std::string, std::string> provenance;
  std::vector<std::string> subsets;
  std::vector<Sample> samples;  // by query
  std::vector<Failure> failures;
  std::map<int, int64_t> multiplicities;  // count of a sequence: how many sequences of how many queries had it
  std::map<int, std::string> workers;     // world rank: host
  double coverage = 1;                    // the lowest
  std::string guard = "off";
  int64_t leak_queries = 0, leak_trained = 0;  // queries with a marked candidate; copies of such trained on
  int64_t scores_cached = 0;
  int64_t torn_bytes = 0;
  int64_t window = 0, prefix_token = -1;  // of the scores

  std::string Option(const std::string& name) const;  // its value, or "" when the run's version did not have it
  int n() const;                                      // --n
};

// What provenance.json of a run's folder says: the settings' identities by name ("" in a run of one), and all other
// fields as text. Throws kUsage where there is none, kData for one that is damaged.
struct Provenance {
  std::map<std::string, std::map<std::string, std::string>> identities;
  std::map<std::string, std::string> fields;
};
Provenance ReadProvenance(const std::filesystem::path& folder);

// Reads OUTPUT of a hullft run; the run may still be going on. A folder that holds a grid (a sweep's) gives a RunData
// for each of its settings, by name; FOLDER/NAME is the setting NAME of it alone. Throws kUsage for a folder that is
// none, kData for a run without a finished query and for rows that do not belong together.
std::vector<RunData> LoadRuns(const std::filesystem::path& folder, Definition definition);
// Of a folder that holds one. Throws kUsage for a grid.
RunData LoadRun(const std::filesystem::path& folder, Definition definition);
// Whether LoadRuns finds a journal there; whether of several settings.
bool IsRun(const std::filesystem::path& folder);
bool IsGrid(const std::filesystem::path& folder);

}  // namespace hullft::study
