// Run folders with made-up rows, for the tests of reports.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "common/hash.h"
#include "coordinator/row.h"
#include "tests/coordinator/sample_rows.h"

namespace hullft::study {
namespace fs = std::filesystem;
using Identity = std::map<std::string, std::string>;

class RunFolders : public ::testing::Test {
 protected:
  RunFolders() {
    std::string name = (fs::path(::testing::TempDir()) / "hullft_study_XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    base_ = name;
  }
  ~RunFolders() override { fs::remove_all(base_); }

  // Writes the folder of a run; changes: to the identity; search: of the provenance, "" where there is none.
  fs::path Write(const std::string& name, const std::vector<coordinator::Row>& rows, const Identity& changes = {},
                 const std::string& search = "") {
    fs::create_directories(base_ / name);
    Identity identity = {{"--method", "hullft"},   {"--n", "20"},   {"--max-length", "1024"},
                         {"--prefix-token", "-1"}, {"model", "m1"}, {"tokenizer", "t1"}};
    for (const auto& [key, value] : changes) identity[key] = value;
    std::ofstream(base_ / name / "provenance.json")
        << nlohmann::json{{"version", "1"}, {"host", "n1"}, {"identity", identity}, {"search", search}}.dump();
    std::ofstream journal(base_ / name / "results.jsonl");
    for (const coordinator::Row& row : rows) journal << ToJsonLine(row) << "\n";
    return base_ / name;
  }

  // The rows of a run: the same queries for every method, scores that hang on both.
  static std::vector<coordinator::Row> Rows(int queries, double effect, uint64_t seed) {
    std::mt19937_64 of_queries(7), of_run(seed);
    std::normal_distribution<double> normal_query(0, 1), normal(0, 1);  // each keeps half a pair
    std::vector<coordinator::Row> rows;
    for (int q = 0; q < queries; ++q) {
      const double before = std::exp(0.3 * normal_query(of_queries));
      const double after = before * (1 - effect * std::exp(0.4 * normal(of_run)));
      coordinator::Row row = coordinator::SampleRow(q, q % 3 == 0 ? "ArXiv" : "Github", before, after);
      row.text_hash = HashHex(std::to_string(q));
      row.gap = 1e-3 * std::abs(normal(of_run));
      row.rounded_residual_norm = 0.5 + 0.01 * normal(of_run);
      row.counts = {1 + static_cast<int>(of_run() % 4), static_cast<int>(of_run() % 3)};
      row.ms.tune = 100 + 10 * std::abs(normal(of_run));
      row.worker = 1 + q % 2;
      row.ms.ended = 1.7e12 + 80.0 * q;
      rows.push_back(row);
    }
    return rows;
  }

  fs::path base_;
};

}  // namespace hullft::study
