// The faults that chaos_test.cc injects: their names, what the log says when one has struck, and the environment that
// asks a process for those that it does to itself.
#pragma once

#include <fmt/format.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

namespace hullft::chaos {

enum class Fault {
  kKill,         // a rank, at once
  kStop,         // a rank, for a second
  kWrite,        // a write fails: the disk is full
  kFsync,        // an fsync fails
  kQuota,        // the system refuses what makes a file too large
  kFlipMessage,  // bits of messages change on their way
  kFlipTokens,   // ... of tokens that a shard has read, ... while it reads them
  kDelay,        // messages
  kHang,         // a worker never comes back from a task
  kDiskFull,     // the disk's free space goes away and comes back
  kFlipJournal,  // a bit of the journal, between two starts
  kFlipCopy,     // a bit of a node's own copy of a partition
  kFaults
};
inline constexpr int kFaults = static_cast<int>(Fault::kFaults);

struct FaultText {
  const char* name;
  std::vector<const char*> signs;  // one of these stands in the log after a strike; none: the driver strikes itself
};
inline const FaultText& TextOf(Fault fault) {
  static const std::array<FaultText, kFaults> kTexts = {{{"killed rank", {}},
                                                         {"stopped rank", {}},
                                                         {"failed write", {"test fault: write"}},
                                                         {"failed fsync", {"test fault: fsync"}},
                                                         {"quota", {"File too large"}},
                                                         {"flipped message", {"test fault: flip"}},
                                                         {"flipped tokens", {"test fault: tokens", "test fault: read"}},
                                                         {"delayed messages", {"test fault: delay"}},
                                                         {"hung worker", {"test fault: hang"}},
                                                         {"full disk", {"paused: "}},
                                                         {"flipped row", {}},
                                                         {"flipped copy", {}}}};
  return kTexts[static_cast<size_t>(fault)];
}
inline std::vector<std::string> FaultNames() {
  std::vector<std::string> names;
  for (int fault = 0; fault < kFaults; ++fault) names.emplace_back(TextOf(static_cast<Fault>(fault)).name);
  return names;
}

// Shell commands before the program. ranks: under mpirun; 0: one process. disk: the file that says what is free.
inline std::string EnvironmentOf(Fault fault, int ranks, const std::string& disk,
                                 const std::function<int(int, int)>& draw) {
  const int last = ranks == 0 ? 0 : ranks - 1;
  switch (fault) {
    case Fault::kWrite:
      return fmt::format("export HULLFT_TEST_FAULTS=0:write:{}", draw(1, 25));
    case Fault::kFsync:
      return fmt::format("export HULLFT_TEST_FAULTS=0:fsync:{}", draw(1, 20));
    case Fault::kFlipMessage: {
      const int rank = draw(0, last), other = draw(0, last);
      return fmt::format("export HULLFT_TEST_FAULTS={0}:flip:{1},{0}:flip:{2},{3}:flip:{4}", rank, draw(1, 12),
                         draw(13, 30), other, draw(1, 30));
    }
    case Fault::kFlipTokens:
      return fmt::format("export HULLFT_TEST_FAULTS={0}:tokens:{1},{0}:read:{2}", draw(0, last), draw(1, 20),
                         draw(1, 20));
    case Fault::kDelay:
      return fmt::format("export HULLFT_TEST_FAULTS=*:delay:{}", draw(1, 25));
    case Fault::kHang:
      return fmt::format("export HULLFT_TEST_HANG={}:{}", draw(1, ranks == 0 ? 2 : last), draw(1, 2));
    case Fault::kDiskFull:
      return fmt::format("export HULLFT_TEST_DISK={}", disk);
    case Fault::kQuota:  // in blocks of 512 bytes
      return fmt::format("trap '' XFSZ; ulimit -f {}", draw(1, 40));
    default:
      return ":";
  }
}

}  // namespace hullft::chaos
