// A real Slurm cluster of three virtual nodes (deploy/slurm/lab) for the tests of this folder. Needs root with
// CAP_SYS_ADMIN and CAP_NET_ADMIN and the packages of scripts/setup; skipped with a message otherwise.
#pragma once

#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {

class SlurmTest : public RunTest {
 protected:
  static void SetUpTestSuite() {
    missing_ = WhatIsMissing();
    if (!missing_.empty()) return;
    Prepare("/tmp");  // every node has its own /dev/shm
    RunOn({"a"}, Plan("corpus4", "reference"));
    Lab("down");  // one that a killed test left
    const auto [status, text] = Lab("up 3");
    ASSERT_EQ(status, 0) << "the lab does not come up (is another one up? deploy/slurm/lab down): " << text;
  }
  static void TearDownTestSuite() {
    if (!missing_.empty()) return;
    Lab("down");
    RunTest::TearDownTestSuite();
  }
  void SetUp() override {
    if (!missing_.empty()) GTEST_SKIP() << "no Slurm lab here: " << missing_;
    // Nodes of an earlier test may still be on their way back.
    ASSERT_EQ(Lab("wait 60").first, 0);
  }

  // Exit status and what it printed.
  static std::pair<int, std::string> Shell(const std::string& command) {
    static std::atomic<int> number = 0;
    const std::string log = fmt::format("/tmp/hullft_slurm_test.{}.{}", ::getpid(), number++);
    const int status = std::system(("(" + command + ") >" + log + " 2>&1 </dev/null").c_str());
    const std::string text = ReadFile(log);
    fs::remove(log);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text};
  }
  static std::pair<int, std::string> Lab(const std::string& command) {
    return Shell("SLURM_LAB_BASE=/tmp/hullft-slurm-lab timeout 150 " HULLFT_SOURCE_DIR "/deploy/slurm/lab " + command);
  }
  static std::string WhatIsMissing() {
    for (const char* tool : {"slurmctld", "slurmd", "srun", "munged", "ip", "nsenter", "unshare"}) {
      if (Shell(std::string("command -v ") + tool).first != 0)
        return std::string(tool) + " is not installed (scripts/setup installs it)";
    }
    if (::geteuid() != 0) return "only root can make virtual nodes";
    const auto [status, text] = Shell(
        "ip netns add hullft-probe && ip -n hullft-probe link add br0 type bridge && "
        "ip -n hullft-probe link add v0 type veth peer name v1 && rm -f /tmp/hullft-probe && "
        "mknod /tmp/hullft-probe c 1 3 && "
        "unshare --mount --uts --ipc --pid --fork --mount-proc mount -t tmpfs tmpfs /mnt");
    Shell("ip netns del hullft-probe; rm -f /tmp/hullft-probe");
    return status == 0 ? "" : "no right to make virtual nodes: " + text;
  }

  // Two ranks a node, a second for each task; `fault`: a hook of coordinator/test_hooks.h. Returns the job's number.
  static std::string Submit(const std::string& output, int nodes, const std::string& fault = "",
                            const std::vector<std::string>& more = {}) {
    std::string command = fmt::format(
        "on ctl env {} HULLFT={} HULLFT_TEST_TASK_MS=1000 sbatch --parsable --nodes={} --ntasks-per-node=2 --output={} "
        "{}/deploy/slurm/hullft.sbatch",
        fault, HULLFT_BINARY, nodes, (base_ / (output + ".log")).string(), HULLFT_SOURCE_DIR);
    for (const std::string& word : Arguments("corpus4", output, more)) command += " " + word;
    const auto [status, text] = Lab(command);
    EXPECT_EQ(status, 0) << text;
    return text.substr(0, text.find('\n'));
  }
  // `hullft WORDS` (or another program) started by srun on all three nodes, without a job script.
  static std::pair<int, std::string> Srun(int per_node, const std::vector<std::string>& words,
                                          const std::string& environment = "",
                                          const std::string& program = HULLFT_BINARY) {
    std::string command =
        fmt::format("on ctl env SLURM_PMIX_FENCE=ring {} srun -K1 --mpi=pmix -N3 --ntasks-per-node={} {}", environment,
                    per_node, program);
    for (const std::string& word : words) command += " '" + word + "'";
    return Lab(command);
  }
  static std::vector<std::string> RunWords(const std::string& corpus, const std::string& output,
                                           const std::vector<std::string>& more = {}) {
    std::vector<std::string> words = Arguments(corpus, output, more);
    words.insert(words.begin(), "run");
    return words;
  }
  static std::string Log(const std::string& output) {
    const fs::path path = base_ / (output + ".log");
    return fs::exists(path) ? ReadFile(path) : "(no log)";
  }
  template <class Condition>
  static bool WaitFor(int seconds, const Condition& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    return true;
  }
  // A job whose first rows are there, and which has more to do.
  static std::string SubmitAndWaitForRows(const std::string& output, int nodes) {
    const std::string job = Submit(output, nodes);
    EXPECT_TRUE(WaitFor(60, [&] { return !Rows(output).empty(); })) << Log(output);
    EXPECT_LT(Rows(output).size(), static_cast<size_t>(kQueries));
    return job;
  }
  static std::string JobField(const std::string& job, const std::string& field) {
    const std::string text = Lab("on ctl scontrol show job -o " + job).second;
    const size_t at = text.find(" " + field + "=");
    if (at == std::string::npos) return "";
    const size_t begin = at + field.size() + 2;
    return text.substr(begin, text.find(' ', begin) - begin);
  }
  static void ExpectTheWholeTable(const std::string& job, const std::string& output, int restarts) {
    ASSERT_TRUE(WaitFor(110, [&] { return JobField(job, "JobState") == "COMPLETED"; }))
        << JobField(job, "JobState") << "\n"
        << Log(output);
    EXPECT_EQ(JobField(job, "Restarts"), std::to_string(restarts)) << Log(output);
    EXPECT_EQ(Rows(output).size(), static_cast<size_t>(kQueries)) << Log(output);  // no query twice, none lost
    EXPECT_EQ(Comparable(output), Comparable("reference"));
    EXPECT_EQ(ResultsTable(MakeReport(Rows(output))), ResultsTable(MakeReport(Rows("reference"))));
  }
  // Of layout.txt: host and pid of a rank.
  static std::pair<std::string, std::string> Place(const std::string& output, int wanted) {
    std::istringstream lines(ReadFile(base_ / output / "layout.txt"));
    std::string rank, host, pid, rest;
    while (lines >> rank >> host >> pid && std::getline(lines, rest)) {
      if (rank == std::to_string(wanted)) return {host, pid};
    }
    ADD_FAILURE() << "rank " << wanted << " is not in layout.txt";
    return {};
  }
  static void KillRankAndExpectTheWholeTable(const std::string& output, int rank) {
    const std::string job = SubmitAndWaitForRows(output, 3);
    const auto [host, pid] = Place(output, rank);
    const auto [status, text] = Lab("on " + host + " kill -9 " + pid);
    ASSERT_EQ(status, 0) << text;
    ExpectTheWholeTable(job, output, 1);
  }

  static inline std::string missing_;
};

}  // namespace hullft::coordinator
