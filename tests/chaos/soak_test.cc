// A long run of small queries: memory, open files and speed must stay what they are once it is warm.
// HULLFT_SOAK_QUERIES says how many (default 10,000). scripts/soak runs it and shows the figures.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <sstream>

#include "tests/chaos/child.h"
#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {
namespace {

struct Sample {
  int64_t rows = 0;
  double resident_mb = 0, cpu_seconds = 0;
  int64_t files = 0;
};

// The lines of the journal so far; only what is new is read.
class RowCounter {
 public:
  explicit RowCounter(fs::path path) : path_(std::move(path)) {}
  int64_t Count() {
    std::ifstream file(path_, std::ios::binary);
    file.seekg(at_);
    std::string text((std::istreambuf_iterator<char>(file)), {});
    at_ += static_cast<int64_t>(text.size());
    return rows_ += std::ranges::count(text, '\n');
  }

 private:
  const fs::path path_;
  int64_t at_ = 0, rows_ = 0;
};

Sample Look(pid_t pid) {
  const fs::path proc = fmt::format("/proc/{}", pid);
  Sample sample;
  int64_t pages = 0, resident = 0;
  std::istringstream(ReadFile(proc / "statm")) >> pages >> resident;
  sample.resident_mb = static_cast<double>(resident * ::sysconf(_SC_PAGESIZE)) / 1e6;
  sample.files = std::distance(fs::directory_iterator(proc / "fd"), {});
  const std::string stat = ReadFile(proc / "stat");
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string skipped;
  for (int field = 3; field < 14; ++field) fields >> skipped;
  int64_t user = 0, system = 0;
  fields >> user >> system;
  sample.cpu_seconds = static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
  return sample;
}

class SoakTest : public RunTest {
 protected:
  static void WriteManyQueries(int count) {
    std::vector<std::string> texts;
    std::vector<float> vectors;
    for (int i = 0; i < count; ++i) {
      texts.push_back(SomeText(static_cast<uint64_t>(100'000 + i)));
      const std::vector<float> vector = GridVector(texts.back());
      vectors.insert(vectors.end(), vector.begin(), vector.end());
      if (std::ranges::all_of(vector, [](float x) { return x == 0; })) vectors.back() = 1;  // else it has no direction
    }
    WriteJsonl(base_ / "many.jsonl", texts);
    WriteNpy(base_ / "many.npy", std::vector<int64_t>{count, kDim}, vectors);
  }
};

TEST_F(SoakTest, MemoryFilesAndSpeedStayWhatTheyAre) {
  const char* wanted = std::getenv("HULLFT_SOAK_QUERIES");
  const int queries = wanted == nullptr ? 10'000 : std::atoi(wanted);
  ASSERT_GE(queries, 100);
  WriteManyQueries(queries);
  std::string command = "exec " HULLFT_BINARY " run";
  for (const std::string& word :
       Arguments("corpus4", "soak", {"--queries", base_ / "many.jsonl", "--query-embeddings", base_ / "many.npy"}))
    command += " '" + word + "'";
  chaos::Child child(command, base_ / "soak.log");
  RowCounter rows(base_ / "soak/results.jsonl");
  std::vector<Sample> samples;
  while (child.Running()) {
    const int64_t done = rows.Count();
    if (done >= static_cast<int64_t>(samples.size()) * queries / 20 && done < queries) {
      Sample sample = Look(child.pid());
      sample.rows = done;
      samples.push_back(sample);
      fmt::print("{:6} queries: {:7.1f} MB resident, {:3} open files, {:6.1f} s of CPU\n", done, sample.resident_mb,
                 sample.files, sample.cpu_seconds);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  ASSERT_EQ(child.Wait(std::chrono::seconds(1)), 0) << ReadFile(base_ / "soak.log");
  EXPECT_EQ(rows.Count(), queries);
  ASSERT_GE(samples.size(), 15u);
  // The first fifth is warm-up.
  const size_t warm = 4, middle = (samples.size() + warm) / 2;
  const Sample &first = samples[warm], &last = samples.back(), &half = samples[middle];
  const auto cost = [](const Sample& a, const Sample& b) {
    return 1000 * (b.cpu_seconds - a.cpu_seconds) / static_cast<double>(b.rows - a.rows);
  };
  const double growth = last.resident_mb / first.resident_mb - 1;
  fmt::print(
      "from {} to {} queries: memory {:+.2f}%, {} more open files, {:.2f} and {:.2f} ms of CPU a query in the halves\n",
      first.rows, last.rows, 100 * growth, last.files - first.files, cost(first, half), cost(half, last));
  EXPECT_LT(growth, 0.01);
  EXPECT_EQ(last.files, first.files);
  EXPECT_LT(cost(half, last), 1.25 * cost(first, half));  // CPU time, and with room for what else the machine does
}

}  // namespace
}  // namespace hullft::coordinator
