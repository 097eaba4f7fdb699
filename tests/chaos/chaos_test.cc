// Chaos: a small run is disturbed at random moments, started again until it is done, and its table must be the one of
// an undisturbed run, bit for bit. A round is its seed: HULLFT_CHAOS_SEED=7 HULLFT_CHAOS_ROUNDS=1 repeats round 7. Odd
// seeds run in one process, even ones under mpirun. scripts/chaos runs many of them.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include <random>

#include "tests/chaos/child.h"
#include "tests/chaos/faults.h"
#include "tests/chaos/tally.h"
#include "tests/coordinator/mpi_fixture.h"

namespace hullft::coordinator {
namespace {
using chaos::Fault;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::chrono::seconds kHangs{120};  // a start that takes longer hangs
constexpr int kMostStarts = 12;
constexpr int kRoundsForAll = 48;  // so many in a row deal every fault in one process and under mpirun

int FromEnvironment(const char* name, int otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoi(text);
}

class ChaosTest : public RunMpiTest {
 protected:
  void Round(int seed);
  static inline chaos::Tally tally_{chaos::FaultNames()};

 private:
  int Draw(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  void DrawSettings(int seed, Fault dealt);
  Fault DrawFault(int start, Fault dealt);
  std::string Command(const std::string& environment) const;
  int Start(std::optional<Fault> fault, bool ends_early);  // the exit status; -1: hangs
  void BeforeStart(Fault fault);
  void Look();
  template <class Condition>
  bool Until(chaos::Child* child, milliseconds limit, const Condition& condition);
  void WaitForRows(size_t rows, chaos::Child* child);
  void Kill(chaos::Child* child);
  void Stop(chaos::Child* child);
  void MakeRoom(chaos::Child* child);
  void DoAsTheHintSays(int status);
  bool FlipBitOf(const fs::path& file);
  void FlipCopy();
  bool LogSays(const std::string& text) const;
  pid_t PidOf(int rank) const;
  size_t RowsThere() const;
  void Struck(Fault fault) { tally_.Struck(static_cast<size_t>(fault)); }

  std::mt19937_64 random_;
  std::string name_, corpus_;
  fs::path stage_;
  std::vector<std::string> options_;
  int ranks_ = 1;  // under mpirun; 0: one process
  size_t rows_seen_ = 0;
  std::optional<Fault> expected_;  // of this start, while it has not struck
};

size_t ChaosTest::RowsThere() const {
  const fs::path journal = base_ / name_ / "results.jsonl";
  if (!fs::exists(journal)) return 0;
  const std::string text = ReadFile(journal);
  return static_cast<size_t>(std::ranges::count(text, '\n'));
}

pid_t ChaosTest::PidOf(int rank) const {
  std::istringstream lines(ReadFile(base_ / name_ / "layout.txt"));
  std::string number, host, pid, rest;
  while (lines >> number >> host >> pid && std::getline(lines, rest)) {
    if (number == std::to_string(rank)) return std::atoi(pid.c_str());
  }
  return 0;
}

bool ChaosTest::LogSays(const std::string& text) const {
  const fs::path log = base_ / (name_ + ".log");
  return fs::exists(log) && ReadFile(log).find(text) != std::string::npos;
}

std::string ChaosTest::Command(const std::string& environment) const {
  return "export HULLFT_TEST_TASK_MS=30; " + environment + "; exec " + (ranks_ == 0 ? "timeout 100" : Mpirun(ranks_)) +
         Run(corpus_, name_, options_);
}

// Notes rows, and the strike of what the program does to itself.
void ChaosTest::Look() {
  const size_t rows = RowsThere();
  if (rows > rows_seen_) tally_.RowCame();
  rows_seen_ = rows;
  if (!expected_) return;
  const auto& signs = chaos::TextOf(*expected_).signs;
  if (std::ranges::none_of(signs, [&](const char* sign) { return LogSays(sign); })) return;
  Struck(*expected_);
  expected_.reset();
}

// Looks until the condition holds; false when the child ends, or the time is over, before.
template <class Condition>
bool ChaosTest::Until(chaos::Child* child, milliseconds limit, const Condition& condition) {
  const auto end = Clock::now() + limit;
  while (true) {
    const bool running = child->Running();
    Look();
    if (!running || Clock::now() > end) return false;
    if (condition()) return true;
    std::this_thread::sleep_for(milliseconds(2));
  }
}

void ChaosTest::WaitForRows(size_t rows, chaos::Child* child) {
  Until(child, kHangs, [&] { return rows_seen_ >= rows && fs::exists(base_ / name_ / "layout.txt"); });
}

void ChaosTest::Kill(chaos::Child* child) {
  WaitForRows(rows_seen_ + static_cast<size_t>(Draw(0, 4)), child);
  if (!child->Running()) return;
  const pid_t pid = PidOf(ranks_ == 0 ? 0 : Draw(0, ranks_ - 1));
  if (pid > 0 && ::kill(pid, SIGKILL) == 0) Struck(Fault::kKill);
}

void ChaosTest::Stop(chaos::Child* child) {
  WaitForRows(rows_seen_ + static_cast<size_t>(Draw(0, 4)), child);
  if (!child->Running()) return;
  const pid_t pid = PidOf(ranks_ == 0 ? 0 : Draw(0, ranks_ - 1));
  if (pid <= 0 || ::kill(pid, SIGSTOP) != 0) return;
  Struck(Fault::kStop);
  Until(child, milliseconds(Draw(100, 1000)), [] { return false; });
  EXPECT_EQ(::kill(pid, SIGCONT), 0);
  tally_.Over();
}

void ChaosTest::MakeRoom(chaos::Child* child) {
  Until(child, kHangs, [&] { return !expected_; });  // it has paused
  Until(child, milliseconds(Draw(100, 1000)), [] { return false; });
  WriteFileAtomic(base_ / "free", "100000000\n");
  tally_.Over();
}

bool ChaosTest::FlipBitOf(const fs::path& file) {
  std::string bytes = ReadFile(file);
  if (bytes.empty()) return false;
  char& byte = bytes[static_cast<size_t>(Draw(0, static_cast<int>(bytes.size()) - 1))];
  byte = static_cast<char>(byte ^ (1 << Draw(0, 7)));
  WriteFileAtomic(file, bytes);
  return true;
}

void ChaosTest::FlipCopy() {
  if (!fs::exists(stage_)) return;
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(stage_)) {
    const std::string name = entry.path().filename();
    if (name == "vectors.f32" || name == "ids.u64" || name == "sequences.sums") files.push_back(entry.path());
  }
  if (files.empty()) return;
  std::ranges::sort(files);  // the folder's own order is not the seed's
  if (FlipBitOf(files[static_cast<size_t>(Draw(0, static_cast<int>(files.size()) - 1))])) Struck(Fault::kFlipCopy);
}

// What happens while nothing runs.
void ChaosTest::BeforeStart(Fault fault) {
  if (fault == Fault::kDiskFull) WriteFileAtomic(base_ / "free", "1000\n");
  if (fault == Fault::kFlipJournal && RowsThere() > 0 && FlipBitOf(base_ / name_ / "results.jsonl"))
    Struck(Fault::kFlipJournal);
  if (fault == Fault::kFlipCopy) FlipCopy();
}

// A refused start names what is damaged and says what to do: this does it.
void ChaosTest::DoAsTheHintSays(int status) {
  if (status == 0) return;
  const std::string said = ReadFile(base_ / (name_ + ".log"));
  const std::string line = (base_ / name_ / "results.jsonl").string() + ":";
  if (const size_t at = said.find(line); at != std::string::npos) {
    const int number = std::atoi(said.c_str() + at + line.size());  // 0: a message without one
    if (number > 0) {
      EXPECT_EQ(Shell(fmt::format("sed -i {}d '{}'", number, (base_ / name_ / "results.jsonl").string())), 0);
    }
  }
  if (said.find("has another checksum") != std::string::npos) fs::remove_all(stage_);
}

int ChaosTest::Start(std::optional<Fault> fault, bool ends_early) {
  fs::remove(base_ / name_ / "layout.txt");  // of an earlier start: its processes are gone
  fs::remove(base_ / (name_ + ".log"));
  expected_.reset();
  std::string environment = ":";
  if (fault) {
    tally_.Asked(static_cast<size_t>(*fault));
    BeforeStart(*fault);
    environment =
        chaos::EnvironmentOf(*fault, ranks_, base_ / "free", [&](int low, int high) { return Draw(low, high); });
    if (!chaos::TextOf(*fault).signs.empty()) expected_ = fault;
  }
  const size_t before = rows_seen_ = RowsThere();
  chaos::Child child(Command(environment), base_ / (name_ + ".log"));
  if (fault == Fault::kStop) Stop(&child);
  if (fault == Fault::kDiskFull) MakeRoom(&child);
  if (fault == Fault::kKill || (fault && ends_early)) Kill(&child);
  Until(&child, kHangs, [] { return false; });
  const std::optional<int> status = child.Wait(std::chrono::seconds(0));
  if (!status) {
    ADD_FAILURE() << "hangs: " << ReadFile(base_ / (name_ + ".log"));
    return -1;
  }
  fmt::print("  {}{}: status {}, rows {} -> {}\n", fault ? chaos::TextOf(*fault).name : "nothing",
             expected_ ? " (did not strike)" : "", *status, before, rows_seen_);
  DoAsTheHintSays(*status);
  return *status;
}

void ChaosTest::DrawSettings(int seed, Fault dealt) {
  name_ = fmt::format("chaos{}", seed);
  stage_ = base_ / (name_ + ".stage");
  ranks_ = seed % 2 == 0 ? Draw(dealt == Fault::kHang ? 3 : 2, 4) : 0;
  corpus_ = Draw(0, 1) == 0 ? "corpus2" : "corpus4";
  options_ = {"--task-timeout", "3", "--grace", "2", "--retries", "9"};
  if (Draw(0, 3) == 0) options_.insert(options_.end(), {"--pool", "global"});
  if (Draw(0, 2) == 0 || dealt == Fault::kFlipCopy) options_.insert(options_.end(), {"--stage", stage_});
  if (ranks_ == 0) options_.insert(options_.end(), {"--workers", "2", "--threads", "2"});
  if (ranks_ == 4) options_.insert(options_.end(), {"--layout", "shards=0,1 workers=1-3"});
  fmt::print("round {}: {}, {}, {}\n", seed, ranks_ == 0 ? "one process" : fmt::format("mpirun -n {}", ranks_), corpus_,
             fmt::join(options_, " "));
}

Fault ChaosTest::DrawFault(int start, Fault dealt) {
  Fault fault = static_cast<Fault>(Draw(0, chaos::kFaults - 1));
  if (start == 1) fault = dealt;  // the second start: there is something to flip by then
  if (fault == Fault::kHang && ranks_ == 2) return Fault::kKill;   // a lone worker that hangs has no one to help it
  if (fault == Fault::kQuota && ranks_ > 0) return Fault::kWrite;  // MPI's own files would be too large first
  return fault;
}

void ChaosTest::Round(int seed) {
  random_.seed(static_cast<uint64_t>(seed));
  const auto dealt =
      static_cast<Fault>(seed / 2 % chaos::kFaults);  // each in its turn, in one process and under mpirun
  DrawSettings(seed, dealt);
  const int disturbances = Draw(2, 5);
  for (int start = 0; start < kMostStarts; ++start) {
    std::optional<Fault> fault;
    if (start < disturbances) fault = DrawFault(start, dealt);
    const int status = Start(fault, start == 0 || Draw(0, 1) == 0);
    if (status == -1) return;
    if (status == 0 && (start >= disturbances || RowsThere() == static_cast<size_t>(kQueries))) break;
  }
  const bool global = std::ranges::count(options_, "global") > 0;
  const std::string reference = global ? "reference_global" : "reference";
  if (!fs::exists(base_ / reference)) {
    RunOn({"a"}, Plan("corpus1", reference,
                      global ? std::vector<std::string>{"--pool", "global"} : std::vector<std::string>{}));
  }
  const bool whole = Rows(name_).size() == static_cast<size_t>(kQueries);
  EXPECT_TRUE(whole) << "a query is lost, or there twice";
  const std::string table = Comparable(name_), wanted = Comparable(reference);
  EXPECT_EQ(table, wanted);
  tally_.RoundIsOver(whole && table == wanted);
}

TEST_F(ChaosTest, TheTableIsThatOfAnUndisturbedRun) {
  const int first = FromEnvironment("HULLFT_CHAOS_SEED", 1), rounds = FromEnvironment("HULLFT_CHAOS_ROUNDS", 5);
  ASSERT_GT(rounds, 0);
  for (int seed = first; seed < first + rounds; ++seed) {
    SCOPED_TRACE(fmt::format("again with HULLFT_CHAOS_SEED={} HULLFT_CHAOS_ROUNDS=1", seed));
    Round(seed);
  }
  fmt::print("{} rounds\n", rounds);
  tally_.Print();
  for (int fault = 0; rounds >= kRoundsForAll && fault < chaos::kFaults; ++fault)
    EXPECT_GT(tally_.struck(static_cast<size_t>(fault)), 0) << chaos::TextOf(static_cast<Fault>(fault)).name;
}

}  // namespace
}  // namespace hullft::coordinator
