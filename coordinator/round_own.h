// What the owner of a query knows of it during a round. Included by round's sources only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "coordinator/round.h"
#include "coordinator/select/gram_columns.h"

namespace hullft::coordinator {

struct RoundCandidate {
  float score;
  uint64_t id;
  int shard;
};

struct Round::Own {
  int64_t position = 0;  // in the round
  std::vector<RoundCandidate> candidates;
  double bound = 0;            // no sequence left out has a higher library score
  bool bounded = false;        // false: nothing was left out
  std::vector<float> vectors;  // of the candidates, [C][d]
  std::vector<uint8_t> marks;  // of the candidates: 1 where the guard found a leak; empty without a guard
  QueryPool pool;              // after a global run: ids are the points that entered, and there is nothing else
  std::vector<int> pool_shards;
  std::vector<std::pair<int, int>> runs;           // pool row and how often in a row, in the order of finetuning
  std::unique_ptr<select::SharedColumns> columns;  // of the pool, for several settings
  std::optional<Failure> damage;                   // of the pool: the failure of every setting
  bool wanted = true;                              // by the setting at work
  bool served = false;                             // for a setting
  Selected result;                                 // of the setting at work

  // Forgets the result of another setting.
  void Begin(const RoundQuery& query, int setting, double coverage);
  // Writes what was chosen from `pool` into runs and result.
  void Chosen(const select::Selection& chosen);
};

}  // namespace hullft::coordinator
