// `hullft select` as a person runs it: arrays in, JSON lines out, exit status.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "common/files.h"
#include "common/npy.h"
#include "coordinator/select/select.h"
#include "tests/select/random_pool.h"

namespace hullft::select {
namespace {
using ::testing::HasSubstr;

struct Outcome {
  int status = -1;
  std::string out, err;
  std::vector<nlohmann::json> Lines() const {
    std::vector<nlohmann::json> lines;
    std::istringstream stream(out);
    for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
    return lines;
  }
};

class SelectCommand : public ::testing::Test {
 protected:
  static constexpr int kQueries = 5, kPool = 40, kWidth = 24;

  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("hullft-select-" + std::to_string(getpid()));
    MakeFolders(folder_);
    for (int q = 0; q < kQueries; ++q) {
      const RandomPool random(q, kPool, kWidth, true);
      rows_.insert(rows_.end(), random.rows.begin(), random.rows.end());
      targets_.insert(targets_.end(), random.target.begin(), random.target.end());
    }
    Write("pools.npy", {kQueries, kPool, kWidth}, rows_);
    Write("pool.npy", {kPool, kWidth}, {rows_.begin(), rows_.begin() + kPool * kWidth});
    Write("targets.npy", {kQueries, kWidth}, targets_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void Write(const char* name, const std::vector<int64_t>& shape, const std::vector<float>& values) {
    WriteNpy(folder_ / name, shape, values);
  }
  Outcome Hullft(const std::string& pool, const std::string& targets, const std::string& more) {
    const std::string errors = (folder_ / "errors").string();
    const std::string command = "timeout 60 " HULLFT_BINARY " select --embeddings " + (folder_ / pool).string() +
                                " --targets " + (folder_ / targets).string() + " " + more + " 2>" + errors;
    Outcome outcome;
    FILE* pipe = popen(command.c_str(), "r");
    char buffer[4096];
    for (size_t n; (n = fread(buffer, 1, sizeof(buffer), pipe)) > 0;) outcome.out.append(buffer, n);
    outcome.status = WEXITSTATUS(pclose(pipe));
    outcome.err = ReadFile(errors);
    return outcome;
  }
  Pool PoolOf(int rows_of, int q) const {
    return {{&rows_[rows_of * kPool * kWidth], kPool * kWidth}, {&targets_[q * kWidth], kWidth}, kPool, kWidth};
  }

  std::filesystem::path folder_;
  std::vector<float> rows_, targets_;
};

void ExpectLine(const nlohmann::json& line, const Selection& want) {
  EXPECT_EQ(line["support"], nlohmann::json(want.support));
  EXPECT_EQ(line["weights"].get<std::vector<double>>(), want.weights) << "every bit";
  EXPECT_EQ(line["counts"], nlohmann::json(want.counts));
  EXPECT_EQ(line["expanded"], nlohmann::json(want.expanded));
  EXPECT_EQ(line["iterations"], want.iterations);
  EXPECT_EQ(line["stop"], want.stop);
  EXPECT_EQ(line["objective"].get<double>(), want.objective);
  EXPECT_EQ(line["gap"].get<double>(), want.gap);
  EXPECT_EQ(line["residual_norm"].get<double>(), want.residual_norm);
}

TEST_F(SelectCommand, OneLineATarget) {
  for (const char* pool : {"pool.npy", "pools.npy"}) {
    const Outcome got =
        Hullft(pool, "targets.npy", "--method hullft --n 7 --max-iter 30 --tol 1e-4 --swap-passes 1 --json");
    ASSERT_EQ(got.status, 0) << got.err;
    const auto lines = got.Lines();
    ASSERT_EQ(lines.size(), size_t{kQueries});
    SelectOptions options;
    options.n = 7, options.max_iter = 30, options.tol = 1e-4, options.swap_passes = 1;
    for (int q = 0; q < kQueries; ++q) ExpectLine(lines[q], Select(PoolOf(pool[4] == 's' ? q : 0, q), options));
  }
}

TEST_F(SelectCommand, SameOutputOnAnyThreadCount) {
  for (const char* method : {"hullft", "knn", "random", "sift"}) {
    const std::string more = std::string("--method ") + method + " --n 9 --threads ";
    const Outcome one = Hullft("pools.npy", "targets.npy", more + "1"),
                  four = Hullft("pools.npy", "targets.npy", more + "4");
    ASSERT_EQ(one.status, 0) << one.err;
    EXPECT_EQ(one.out, four.out);
    EXPECT_EQ(one.Lines().size(), size_t{kQueries});
  }
}

TEST_F(SelectCommand, BadInputSaysWhatAndWhereAndPrintsNothing) {
  struct Bad {
    const char *pool, *targets, *more;
    int status;
    const char* text;
  };
  rows_[3 * kPool * kWidth + 2 * kWidth + 1] = NAN;
  Write("nan.npy", {kQueries, kPool, kWidth}, rows_);
  std::vector<float> zero = targets_;
  std::fill_n(zero.begin() + 4 * kWidth, kWidth, 0.0f);
  Write("zero.npy", {kQueries, kWidth}, zero);
  Write("narrow.npy", {kQueries, kWidth / 2}, std::vector<float>(kQueries * kWidth / 2));
  Write("fewer.npy", {2, kWidth}, std::vector<float>(2 * kWidth, 1));
  Write("empty.npy", {0, kWidth}, {});
  Write("widthless.npy", {int64_t{1} << 40, 0}, {});
  Write("flat.npy", {kWidth}, std::vector<float>(kWidth, 1));
  for (const Bad& bad :
       {Bad{"nan.npy", "targets.npy", "", 1, "pool row 2 is not finite: column 1 is nan"},
        Bad{"nan.npy", "targets.npy", "", 1, "target 3"}, Bad{"pool.npy", "narrow.npy", "", 1, "the widths differ"},
        Bad{"pools.npy", "fewer.npy", "", 1, "their numbers differ"},
        Bad{"empty.npy", "targets.npy", "", 1, "the pool is empty"},
        Bad{"widthless.npy", "widthless.npy", "", 1, "its vectors have no numbers"},
        Bad{"flat.npy", "targets.npy", "", 1, "it must be K x d"},
        Bad{"pool.npy", "flat.npy", "", 1, "it must be Q x d"}, Bad{"missing.npy", "targets.npy", "", 1, "missing.npy"},
        Bad{"pool.npy", "targets.npy", "--method knn --n 41", 2, "n = 41 but the pool holds 40"},
        Bad{"pool.npy", "targets.npy", "--method hulft", 2, "hullft"}, Bad{"pool.npy", "targets.npy", "--n 0", 2, "n"},
        Bad{"pool.npy", "zero.npy", "", 1, "target 4 is all zeros"},
        Bad{"pool.npy", "targets.npy", "--tol -0.5", 2, "tol"},
        Bad{"pool.npy", "targets.npy", "--gap-tol -1", 2, "gap-tol"},
        Bad{"pool.npy", "targets.npy", "--svg x.svg", 2, "--svg needs --explain"},
        Bad{"pool.npy", "targets.npy", "--explain --query 5", 2, "holds 5 targets"},
        Bad{"pool.npy", "targets.npy", "--explain --guard drop", 2, "arrays have no texts"},
        Bad{"pool.npy", "targets.npy", "--max-itr 3", 2, "max-iter"}}) {
    const Outcome got = Hullft(bad.pool, bad.targets, bad.more);
    EXPECT_EQ(got.status, bad.status) << bad.text << "\n" << got.err;
    EXPECT_THAT(got.err, HasSubstr(bad.text));
    EXPECT_EQ(got.out, "");
  }
  EXPECT_EQ(Hullft("pool.npy", "targets.npy", "--n 41").status, 0) << "hullft may repeat";
  EXPECT_EQ(Hullft("pool.npy", "empty.npy", "").status, 0) << "no targets, no lines";
}

TEST_F(SelectCommand, LengthsThatAreNotOneAreWarnedOfOnceWithTheirRange) {
  EXPECT_EQ(Hullft("pools.npy", "targets.npy", "").err, "");
  std::vector<float> longer = rows_;
  for (int j = 0; j < kWidth; ++j) longer[2 * kWidth + j] *= 3, longer[7 * kWidth + j] *= 0.5f;
  Write("longer.npy", {kQueries, kPool, kWidth}, longer);
  const Outcome got = Hullft("longer.npy", "targets.npy", "");
  EXPECT_EQ(got.status, 0);
  EXPECT_THAT(got.err, HasSubstr("lengths go from 0.5 (target 0, pool row 7) to 3 (target 0, pool row 2)"));
  EXPECT_EQ(std::count(got.err.begin(), got.err.end(), '\n'), 1);
}

TEST_F(SelectCommand, ExplainShowsWhatWasChosenAndHow) {
  for (const char* method : {"hullft", "knn", "sift", "mmr"}) {
    const std::string more = std::string("--n 6 --explain --query 3 --columns 80 --method ") + method;
    const Outcome text = Hullft("pools.npy", "targets.npy", more);
    ASSERT_EQ(text.status, 0) << text.err;
    std::istringstream lines(text.out);
    for (std::string line; std::getline(lines, line);) {
      if (line.find(folder_.string()) == std::string::npos) {
        EXPECT_LE(line.size(), 80u) << line;
      }
    }
    const std::string svg = (folder_ / "plot.svg").string();
    const Outcome json = Hullft("pools.npy", "targets.npy", more + " --json --svg " + svg);
    ASSERT_EQ(json.status, 0) << json.err;
    const auto got = nlohmann::json::parse(json.out);
    SelectOptions options{.method = MethodFromName(method), .n = 6};
    options.trace = true;
    const Selection want = Select(PoolOf(3, 3), options, "3");
    ASSERT_EQ(got.at("sequences").size(), want.support.size());
    const bool weights = options.method == Method::kHullft;
    for (size_t i = 0; i < want.support.size(); ++i) {
      const auto& sequence = got.at("sequences")[i];
      EXPECT_EQ(sequence.at("id"), want.support[i]);
      EXPECT_EQ(sequence.at("count"), want.counts[i]);
      EXPECT_EQ(sequence.at("weight").get<double>(), want.weights[i]);
      double score = 0;
      for (int j = 0; j < kWidth; ++j)
        score += static_cast<double>(PoolOf(3, 3).rows[want.support[i] * kWidth + j]) * targets_[3 * kWidth + j];
      EXPECT_NEAR(sequence.at("score").get<double>(), score, 1e-12);
    }
    EXPECT_EQ(got.at("rounding_gap").is_null(), !weights) << "the search for the best counts is on, and short here";
    EXPECT_EQ(text.out.find("rounding gap   ") != std::string::npos, weights) << text.out;
    EXPECT_THAT(text.out, ::testing::Not(HasSubstr("unknown")));
    EXPECT_EQ(got.at("objectives").get<std::vector<double>>(), want.objectives);
    EXPECT_EQ(got.at("gaps").get<std::vector<double>>(), want.gaps);
    const std::string document = ReadFile(svg);
    EXPECT_THAT(document, ::testing::StartsWith("<svg "));
    EXPECT_THAT(document, HasSubstr("prefers-color-scheme: dark"));
    EXPECT_THAT(document, ::testing::Not(HasSubstr("href"))) << "self-contained";
    size_t panels = 0;
    for (size_t at = 0; (at = document.find("<polyline", at)) != std::string::npos; ++at) ++panels;
    EXPECT_EQ(panels, want.gaps.empty() ? 1u : 2u);
  }
}

}  // namespace
}  // namespace hullft::select
