// The selection goldens (tests/goldens/README.md) as cases for tests and benchmarks: one pool and target with what the
// reference implementations chose. HULLFT_GOLDENS_DIR names another folder of the same layout.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/error.h"
#include "common/files.h"
#include "common/npy.h"
#include "coordinator/select/select.h"

namespace hullft::select {

struct GoldenCase {
  std::string name;
  std::vector<float> rows, target;
  int k = 0, d = 0;
  nlohmann::json expected;  // fw, sift, knn, ...
  Pool pool() const { return {rows, target, k, d}; }
};

inline std::filesystem::path GoldensFolder() {
  const char* other = std::getenv("HULLFT_GOLDENS_DIR");
  return std::filesystem::path(other != nullptr ? other : HULLFT_GOLDENS) / "selection";
}

// A version 1 .npy of int32; the library itself reads float32 only.
inline std::vector<int32_t> ReadInt32Npy(const std::filesystem::path& path) {
  const std::string bytes = ReadFile(path);
  const size_t start = 10 + static_cast<unsigned char>(bytes[8]) + 256 * static_cast<unsigned char>(bytes[9]);
  if (bytes.substr(0, start).find("'<i4'") == std::string::npos) throw DataError("{} is not int32", path.string());
  std::vector<int32_t> values((bytes.size() - start) / sizeof(int32_t));
  std::memcpy(values.data(), bytes.data() + start, values.size() * sizeof(int32_t));
  return values;
}

inline std::vector<GoldenCase> RealCases() {
  const std::filesystem::path folder = GoldensFolder();
  const nlohmann::json all = nlohmann::json::parse(ReadFile(folder / "real.json"));
  const NpyFile embeddings(folder / "emb_rows.npy"), queries(folder / "query_emb.npy");
  const std::vector<int32_t> index = ReadInt32Npy(folder / "pool_index.npy");
  const int d = static_cast<int>(embeddings.shape()[1]), k = all["k"];
  std::vector<GoldenCase> cases;
  for (size_t q = 0; q < all["queries"].size(); ++q) {
    GoldenCase c;
    c.k = k, c.d = d, c.expected = all["queries"][q];
    c.name = "real query " + std::to_string(q) + " (" + c.expected["subset"].get<std::string>() + ")";
    for (int i = 0; i < k; ++i) {
      const auto row = embeddings.values().subspan(static_cast<size_t>(index[q * k + i]) * d, d);
      c.rows.insert(c.rows.end(), row.begin(), row.end());
    }
    const auto target = queries.values().subspan(q * d, d);
    c.target.assign(target.begin(), target.end());
    cases.push_back(std::move(c));
  }
  return cases;
}

inline std::vector<GoldenCase> SyntheticCases() {
  const nlohmann::json all = nlohmann::json::parse(ReadFile(GoldensFolder() / "synthetic.json"));
  std::vector<GoldenCase> cases;
  for (const auto& entry : all["cases"]) {
    GoldenCase c;
    c.k = static_cast<int>(entry["X"].size()), c.d = static_cast<int>(entry["q"].size()), c.expected = entry;
    c.name = "synthetic " + std::to_string(cases.size()) + " (" + entry["kind"].get<std::string>() + ")";
    for (const auto& row : entry["X"]) {
      for (const auto& value : row) c.rows.push_back(value);
    }
    c.target = entry["q"].get<std::vector<float>>();
    cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace hullft::select
