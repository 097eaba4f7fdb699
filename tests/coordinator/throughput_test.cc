// hullft bench throughput over a tiny model: its figures must be those of the rows it made.
#include <cmath>

#include "common/figures.h"
#include "coordinator/bench/energy.h"
#include "coordinator/bench/subjects.h"
#include "tests/coordinator/run_fixture.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;

class ThroughputTest : public RunTest {
 protected:
  static std::vector<std::string> Words(const std::string& output, const std::vector<std::string>& more) {
    std::vector<std::string> words = Arguments("corpus2", output, {"--threads", "2"});
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
};

TEST_F(ThroughputTest, FiguresAreThoseOfTheRows) {
  ASSERT_EQ(BenchThroughput(Words("load", {"--workers", "2", "--loads", "0.5,2"})), 0);
  const fs::path folder = base_ / "load";
  const Figures figures = Figures::Parse(ReadFile(folder / "throughput.json"), "throughput.json");
  for (const char* run : {"workers1", "workers2", "load1", "load2"}) {
    std::vector<double> tune;
    for (const Row& row : Rows("load/" + std::string(run))) tune.push_back(row.ms.tune);
    ASSERT_EQ(tune.size(), static_cast<size_t>(kQueries));
    std::ranges::sort(tune);
    EXPECT_DOUBLE_EQ(*figures.Value(run + std::string(".tune.p50")), (tune[4] + tune[5]) / 2);
    EXPECT_GT(*figures.Value(run + std::string(".queries_per_second")), 0);
  }
  EXPECT_NEAR(*figures.Value("load1.offered"), 0.5 * *figures.Value("workers2.queries_per_second"), 1e-9);
  // A query's whole latency holds its stages; one that arrived last was not there before the last interval.
  EXPECT_GE(*figures.Value("load1.whole.p50"), *figures.Value("load1.tune.p50"));
  EXPECT_FALSE(figures.Value("workers2.whole.p50"));
  std::vector<double> ended;
  for (const Row& row : Rows("load/load1")) ended.push_back(row.ms.ended);
  const auto [first, last] = std::ranges::minmax(ended);
  EXPECT_GT(last - first, 0.5 * 1000 * (kQueries - 1) / *figures.Value("load1.offered"));
  const std::string page = ReadFile(folder / "throughput.html");
  for (const char* text : {"id=\"scaling\"", "id=\"saturation\"", "id=\"figures\"", "load1.whole.p99"})
    EXPECT_NE(page.find(text), std::string::npos) << text;
  ExpectFault(Code::kUsage, "holds a measurement already", [] { BenchThroughput(Words("load", {})); });
}

TEST_F(ThroughputTest, BadLoads) {
  for (const char* loads : {"0", "-1", "a", "0.5,,1", "nan"}) {
    ExpectFault(Code::kUsage, "is no number above 0",
                [&] { BenchThroughput(Words("bad", {std::string("--loads=") + loads})); });
  }
  EXPECT_FALSE(fs::exists(base_ / "bad"));
}

TEST(Energy, CountsPackagesAndTheirWrap) {
  const fs::path root = fs::path(::testing::TempDir()) / ("hullft_rapl_" + std::to_string(::getpid()));
  EXPECT_FALSE(EnergyMeter(root).Joules());
  EXPECT_THAT(EnergyMeter(root).why_not(), HasSubstr("no RAPL package"));
  const auto write = [&](const std::string& package, int64_t energy) {
    fs::create_directories(root / package);
    std::ofstream(root / package / "energy_uj") << energy;
    std::ofstream(root / package / "max_energy_range_uj") << 10'000'000;
  };
  write("intel-rapl:0", 9'000'000);
  write("intel-rapl:1", 1'000'000);
  write("intel-rapl:0:0", 5);  // a part of the first
  const EnergyMeter meter(root);
  write("intel-rapl:0", 2'000'000);  // began anew
  write("intel-rapl:1", 1'500'000);
  write("intel-rapl:0:0", 9'000'000);
  EXPECT_DOUBLE_EQ(meter.Joules().value(), 3.5);
  fs::remove_all(root);
}

}  // namespace
}  // namespace hullft::coordinator
