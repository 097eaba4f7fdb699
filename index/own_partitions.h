// The partitions that a rank of a build owns: batches of their texts are taken and come back made in any order, by any
// thread; a partition is written when its log is full. Thread-safe but for WriteFull, which is called by one thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "index/build_embed.h"
#include "index/build_team.h"

namespace hullft::index {

// A batch that has been tokenized and embedded.
struct Made {
  int32_t partition = -1;  // -1: nothing; only asks for work
  int64_t first = 0;
  std::vector<std::vector<int32_t>> tokens;
  std::vector<float> vectors;  // row-major [tokens.size()][dim]
  bool wants_more = false;
  template <class A>
  void Wire(A& a) {
    a(partition, first, tokens, vectors, wants_more);
  }
};

struct FinishedPartitions {
  std::vector<FinishedPartition> partitions;
  template <class A>
  void Wire(A& a) {
    a(partitions);
  }
};

// Partitions are numbered from the build's first.
class OwnPartitions {
 public:
  // team and plan must live longer.
  OwnPartitions(BuildTeam& team, const EmbedPlan& plan);
  ~OwnPartitions();

  struct Batch {
    int32_t partition = 0;
    int64_t first = 0;
    std::vector<std::string_view> texts;       // empty: no batches are left. Valid until the batch is delivered
    std::vector<std::vector<int32_t>> tokens;  // where they are known already
  };
  Batch Take();
  void Deliver(Made made);

  // Writes the partitions whose logs are full; true when all of this rank's stand. On the thread that is in Step.
  bool WriteFull();

  FinishedPartitions finished();

 private:
  struct Part;
  void OpenNext();
  void Write(const Part& part);

  BuildTeam& team_;
  const EmbedPlan& plan_;
  std::mutex mutex_;
  std::vector<int> numbers_;
  size_t opened_ = 0;                           // of numbers_
  std::map<int, std::unique_ptr<Part>> parts_;  // opened and not yet written
  Part* current_ = nullptr;                     // batches are cut from this one
  int64_t next_row_ = 0;                        // of current_
  FinishedPartitions finished_;
};

}  // namespace hullft::index
