// Faults that tests ask a process for, by one environment variable; without it nothing happens.
//   HULLFT_TEST_FAULTS="RANK:KIND:NUMBER[,...]"    RANK: the launcher's number of the process, or * for every one
//     write   the NUMBER-th write to a file stops half way: no space is left (ENOSPC)
//     fsync   the NUMBER-th fsync fails (EIO)
//     flip    one bit of the NUMBER-th message of a role changes on its way
//     tokens  one bit of the NUMBER-th sequence that a shard sends to be trained on changes after it was read
//     read    one bit of the NUMBER-th list of tokens that is read from a corpus changes
//     delay   every message waits up to NUMBER ms before it leaves
//   HULLFT_TEST_DISK=FILE        the free bytes of the run folder's disk are what FILE says
// Numbers count from 1. A fault that strikes says so on stderr ("test fault: KIND NUMBER"), a delay the first time.
// Thread-safe: the counters are atomic. Throws kUsage for a variable that does not parse.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hullft::test_faults {

enum class Kind { kWrite, kFsync, kFlip, kTokens, kRead, kDelay };

// Tells stderr that a fault strikes, for the test that asked for it: past the log, whose own file may be what fails.
void Announce(std::string_view what);
// Counts this event of its kind; true when it is the one that must fail.
bool Strikes(Kind kind);
// Changes one bit of `bytes`, which one depends on their number alone; nothing to change in none.
void FlipBit(void* bytes, int64_t size);
// Sleeps as long as `delay` asks for.
void Delay();
// What HULLFT_TEST_DISK's file says.
std::optional<int64_t> FreeBytes();

}  // namespace hullft::test_faults
