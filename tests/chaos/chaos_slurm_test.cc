// Chaos on a Slurm cluster of virtual nodes: ranks are killed, nodes lose power, cables are cut, bits of messages
// change; the job comes back by itself, and its table must be the one of an undisturbed run. A round is its seed:
// HULLFT_CHAOS_SEED=7 HULLFT_CHAOS_ROUNDS=1 repeats round 7.
#include <random>

#include "tests/chaos/tally.h"
#include "tests/slurm/lab_fixture.h"

namespace hullft::coordinator {
namespace {

int FromEnvironment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

enum Fault : size_t { kKill, kStop, kCut, kPower, kFlip, kTokens, kDelay };
const std::vector<std::string> kNames = {"killed rank",     "stopped rank",   "cut cable",       "node without power",
                                         "flipped message", "flipped tokens", "delayed messages"};

class ChaosSlurmTest : public SlurmTest {
 protected:
  void Round(int seed);
  static inline chaos::Tally tally_{kNames};

 private:
  int Draw(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  void Sleep(int least_ms, int most_ms) {
    std::this_thread::sleep_for(std::chrono::milliseconds(Draw(least_ms, most_ms)));
  }
  // One disturbance of the running job; what it was.
  std::string Disturb(Fault fault, const std::string& output);
  // Counts what the processes have done to themselves.
  void CountInLog(Fault fault, const std::string& sign, const std::string& log);
  std::mt19937_64 random_;
};

std::string ChaosSlurmTest::Disturb(Fault fault, const std::string& output) {
  const int rank = Draw(0, 5);
  const auto [host, pid] = Place(output, rank);
  tally_.Asked(fault);
  const auto strike = [&](const std::string& command) {
    if (Lab(command).first == 0) tally_.Struck(fault);
  };
  if (fault == kKill) {
    strike("on " + host + " kill -9 " + pid);
    return fmt::format("rank {} is killed", rank);
  }
  if (fault == kPower) {
    strike("off " + host);
    Lab("boot " + host);
    return host + " loses its power";
  }
  if (fault == kCut) {
    strike("cut " + host);
    Sleep(1000, 5000);
    Lab("plug " + host);
    tally_.Over();
    return "the cable of " + host + " is cut for a while";
  }
  strike("on " + host + " kill -STOP " + pid);
  Sleep(500, 3000);
  Lab("on " + host + " kill -CONT " + pid);
  tally_.Over();
  return fmt::format("rank {} is stopped for a while", rank);
}

void ChaosSlurmTest::CountInLog(Fault fault, const std::string& sign, const std::string& log) {
  tally_.Asked(fault);
  for (size_t at = log.find(sign); at != std::string::npos; at = log.find(sign, at + 1)) tally_.Struck(fault);
}

void ChaosSlurmTest::Round(int seed) {
  random_.seed(static_cast<uint64_t>(seed));
  const std::string output = fmt::format("chaos{}", seed);
  const std::string faults = fmt::format("HULLFT_TEST_FAULTS={}:flip:{},{}:tokens:{},*:delay:{}", Draw(0, 5),
                                         Draw(5, 30), 2 * Draw(0, 2), Draw(1, 6), Draw(1, 20));
  const std::string job = Submit(output, 3, faults);
  std::string story = faults;
  const int disturbances = Draw(1, 2);
  for (int n = 0; n < disturbances; ++n) {
    const size_t rows = Rows(output).size() + static_cast<size_t>(Draw(1, 3));
    const bool there = WaitFor(90, [&] {
      return Rows(output).size() >= rows && JobField(job, "JobState") == "RUNNING" &&
             fs::exists(base_ / output / "layout.txt");
    });
    const size_t before = Rows(output).size();
    if (!there || before >= static_cast<size_t>(kQueries)) break;
    story += "; " + Disturb(static_cast<Fault>(n == 0 ? seed % 4 : Draw(kKill, kPower)), output);  // each in its turn
    if (WaitFor(90, [&] { return Rows(output).size() > before; })) tally_.RowCame();
  }
  fmt::print("round {}: {}\n", seed, story);
  ASSERT_TRUE(WaitFor(180, [&] { return JobField(job, "JobState") == "COMPLETED"; }))
      << story << "\n"
      << JobField(job, "JobState") << "\n"
      << Log(output);
  const std::string log = Log(output);
  CountInLog(kFlip, "test fault: flip", log);
  CountInLog(kTokens, "test fault: tokens", log);
  CountInLog(kDelay, "test fault: delay", log);
  const bool whole = Rows(output).size() == static_cast<size_t>(kQueries);
  EXPECT_TRUE(whole) << story << "\n" << log;
  const std::string table = Comparable(output), wanted = Comparable("reference");
  EXPECT_EQ(table, wanted) << story;
  tally_.RoundIsOver(whole && table == wanted);
  fmt::print("round {}: done, restarts {}\n", seed, JobField(job, "Restarts"));
  ASSERT_EQ(Lab("wait 60").first, 0);
}

TEST_F(ChaosSlurmTest, TheTableIsThatOfAnUndisturbedRun) {
  const int first = FromEnvironment("HULLFT_CHAOS_SEED", 1), rounds = FromEnvironment("HULLFT_CHAOS_ROUNDS", 6);
  ASSERT_GT(rounds, 0);
  for (int seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(fmt::format("again with HULLFT_CHAOS_SEED={} HULLFT_CHAOS_ROUNDS=1", seed));
    Round(seed);
    if (HasFatalFailure()) return;
  }
  fmt::print("{} rounds on Slurm\n", rounds);
  tally_.Print();
}

}  // namespace
}  // namespace hullft::coordinator
