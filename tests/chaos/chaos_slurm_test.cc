// Chaos on a Slurm cluster of virtual nodes: ranks are killed, nodes lose power, cables are cut, bits of messages
// change; the job comes back by itself, and its table must be the one of an undisturbed run. A round is its seed:
// HULLFT_CHAOS_SEED=7 HULLFT_CHAOS_ROUNDS=1 repeats round 7.
#include <random>

#include "tests/slurm/lab_fixture.h"

namespace hullft::coordinator {
namespace {

int FromEnvironment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

class ChaosSlurmTest : public SlurmTest {
 protected:
  void Round(int seed);

 private:
  int Draw(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  // One disturbance of the running job; what it was.
  std::string Disturb(const std::string& output);
  std::mt19937_64 random_;
};

std::string ChaosSlurmTest::Disturb(const std::string& output) {
  const int rank = Draw(0, 5);
  const auto [host, pid] = Place(output, rank);
  switch (Draw(0, 3)) {
    case 0:
      Lab("on " + host + " kill -9 " + pid);
      return fmt::format("rank {} is killed", rank);
    case 1:
      Lab("on " + host + " kill -STOP " + pid);
      std::this_thread::sleep_for(std::chrono::milliseconds(Draw(500, 3000)));
      Lab("on " + host + " kill -CONT " + pid);
      return fmt::format("rank {} is stopped for a while", rank);
    case 2:
      Lab("cut " + host);
      std::this_thread::sleep_for(std::chrono::seconds(Draw(1, 5)));
      Lab("plug " + host);
      return "the cable of " + host + " is cut for a while";
    default:
      Lab("off " + host);
      Lab("boot " + host);
      return host + " loses its power";
  }
}

void ChaosSlurmTest::Round(int seed) {
  random_.seed(static_cast<uint64_t>(seed));
  const std::string output = fmt::format("chaos{}", seed);
  const std::string faults = fmt::format("HULLFT_TEST_FAULTS={}:flip:{},{}:tokens:{},*:delay:{}", Draw(0, 5),
                                         Draw(5, 30), 2 * Draw(0, 2), Draw(1, 6), Draw(1, 20));
  const std::string job = Submit(output, 3, faults);
  std::string story = faults;
  for (int disturbances = Draw(1, 2); disturbances > 0; --disturbances) {
    const size_t rows = Rows(output).size() + static_cast<size_t>(Draw(1, 3));
    const bool there = WaitFor(90, [&] {
      return Rows(output).size() >= rows && JobField(job, "JobState") == "RUNNING" &&
             fs::exists(base_ / output / "layout.txt");
    });
    if (!there || Rows(output).size() >= static_cast<size_t>(kQueries)) break;
    story += "; " + Disturb(output);
  }
  fmt::print("round {}: {}\n", seed, story);
  ASSERT_TRUE(WaitFor(180, [&] { return JobField(job, "JobState") == "COMPLETED"; }))
      << story << "\n"
      << JobField(job, "JobState") << "\n"
      << Log(output);
  EXPECT_EQ(Rows(output).size(), static_cast<size_t>(kQueries)) << story << "\n" << Log(output);
  EXPECT_EQ(Comparable(output), Comparable("reference")) << story;
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
}

}  // namespace
}  // namespace hullft::coordinator
