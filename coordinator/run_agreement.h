// How the ranks of a run find out, before it begins, that they are one: same program, settings, files, and nobody
// failed. Each rank fills a RankReport while it gets ready; rank 0 compares all and its verdict is every rank's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/comm/communicator.h"
#include "common/comm/wire.h"
#include "coordinator/message_types.h"
#include "coordinator/settings.h"
#include "index/corpus.h"

namespace hullft::coordinator {

// When a start is given up: first what ranks wait for of each other, then the report of a rank, then the verdict of
// rank 0. In this order, so that the error names the rank that does not come and not one that waits for it.
struct StartLimits {
  explicit StartLimits(double seconds);  // --start-timeout
  comm::Deadline models, reports, verdict;
};

// What a rank has found out while it got ready; rank 0 compares.
struct RankReport {
  static constexpr uint16_t kType = message_type::kRankReport;
  std::optional<comm::wire::Failure> failure;
  std::string version, binary, config, corpus_digest, partitions;
  bool worker = false;
  std::string model_digest, tokenizer_digest, encoder_digest, arithmetic;
  int64_t pid = 0;
  std::string device, cores, gpu;  // RankFacts
  template <class A>
  void Wire(A& a) {
    a(failure, version, binary, config, corpus_digest, partitions, worker, model_digest, tokenizer_digest,
      encoder_digest, arithmetic, pid, device, cores, gpu);
  }
};

// Sets what the layout table says of this rank's process: pid and cores.
void DescribeProcess(RankReport* report);

// Collective over world: a gather of one report a rank and a broadcast of the verdict. Every rank throws the same error
// when one failed or differs (the first such rank is named). Returns the reports on rank 0, an empty list on the
// others.
std::vector<RankReport> Agree(comm::Communicator& world, const RankReport& mine, const RunSettings& settings,
                              const index::CorpusInfo& corpus, const StartLimits& limits);

}  // namespace hullft::coordinator
