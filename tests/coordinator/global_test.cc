// Frank-Wolfe with the points on several shards against RunOnPool over all of them: every number bit for bit, however
// the points are dealt out, whatever asks together with them, ties included.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/error.h"
#include "coordinator/oracle.h"
#include "coordinator/select/frank_wolfe.h"
#include "coordinator/select/kernels.h"
#include "coordinator/select/trajectory.h"
#include "tests/caught.h"
#include "tests/select/random_pool.h"

namespace hullft::coordinator {
namespace {
using select::Draw;
using select::FrankWolfeOptions;
using select::FrankWolfeResult;
using select::Trajectory;

struct Points {
  int d = 0;
  std::vector<float> rows;  // [ids][d], by rising id
  std::vector<uint64_t> ids;
  std::vector<std::vector<float>> targets;
};

Points RandomPoints(uint64_t seed, int n, int d, int queries, bool unit) {
  select::RandomPool pool(seed, n, d, unit);
  Points points{d, std::move(pool.rows), {}, {}};
  uint64_t id = 0;
  Draw draw(seed + 1);
  for (int i = 0; i < n; ++i) points.ids.push_back(id += 1 + static_cast<uint64_t>(draw.Below(5)));
  for (int q = 0; q < queries; ++q)
    points.targets.push_back(select::RandomPool(seed * 100 + static_cast<uint64_t>(q), 1, d, unit).target);
  return points;
}

// Every value -1/2, 0 or 1/2: equal points and equal scores everywhere. Some targets are points, some lie between two
// or far outside.
Points GridPoints(uint64_t seed, int n, int d, int queries) {
  Points points = RandomPoints(seed, n, d, queries, false);
  Draw draw(seed + 2);
  for (float& x : points.rows) x = static_cast<float>(draw.Below(3) - 1) / 2;
  for (size_t q = 0; q < points.targets.size(); ++q) {
    const auto a = static_cast<size_t>(draw.Below(n) * d), b = static_cast<size_t>(draw.Below(n) * d);
    for (size_t j = 0; j < static_cast<size_t>(d); ++j) {
      const float other = q % 2 == 0 ? points.rows[a + j] : points.rows[b + j];
      points.targets[q][j] = (points.rows[a + j] + other) * (q % 3 == 1 ? 8 : 0.5f);
    }
  }
  return points;
}

// The points dealt out by a hash, as partitions are.
struct Shards {
  std::vector<std::vector<float>> rows;
  std::vector<std::vector<index::SequenceId>> ids;
  std::vector<Oracle> oracles;

  Shards(const Points& points, int shards, int parts, int threads) : rows(shards * parts), ids(shards * parts) {
    const auto d = static_cast<size_t>(points.d);
    for (size_t i = 0; i < points.ids.size(); ++i) {
      const size_t part = points.ids[i] * 0x9E3779B97F4A7C15ull >> 32U;
      rows[part % rows.size()].insert(rows[part % rows.size()].end(), &points.rows[i * d], &points.rows[i * d] + d);
      ids[part % rows.size()].push_back({points.ids[i]});
    }
    for (int s = 0; s < shards; ++s) {
      std::vector<OraclePart> own;
      for (size_t p = static_cast<size_t>(s); p < rows.size(); p += static_cast<size_t>(shards))
        own.push_back({index::EmbeddingRows::Of(rows[p], d), ids[p]});
      oracles.emplace_back(own, points.d, threads);
    }
  }
};

std::vector<Trajectory> RunOnShards(const Points& points, const Shards& shards, std::span<const size_t> queries,
                                    const FrankWolfeOptions& options) {
  std::vector<Trajectory> runs;
  for (const size_t q : queries) runs.emplace_back(points.targets[q], options);
  while (true) {
    std::vector<const Trajectory*> asking;
    std::vector<Trajectory*> active;
    for (Trajectory& run : runs) {
      if (!run.done()) asking.push_back(&run), active.push_back(&run);
    }
    if (active.empty()) return runs;
    std::vector<OracleAnswer> best(active.size());
    for (const Oracle& oracle : shards.oracles) {
      const std::vector<OracleAnswer> answers = oracle.Ask(asking);
      for (size_t a = 0; a < active.size(); ++a) {
        if (answers[a].score > best[a].score || (answers[a].score == best[a].score && answers[a].id < best[a].id))
          best[a] = answers[a];
      }
    }
    for (size_t a = 0; a < active.size(); ++a) active[a]->Take(best[a].id, best[a].row);
  }
}

FrankWolfeResult BruteForce(const Points& points, size_t q, FrankWolfeOptions options) {
  options.trace = true;
  const std::vector<double> target(points.targets[q].begin(), points.targets[q].end());
  const int n = static_cast<int>(points.ids.size());
  std::vector<double> tx(points.ids.size());
  select::BestKernels().row_dots(points.rows.data(), n, points.d, target.data(), tx.data());
  return select::RunOnPool({points.rows, target, tx, n, points.d}, options);
}

std::vector<uint64_t> Ids(const std::vector<int>& rows, const std::vector<uint64_t>& ids) {
  std::vector<uint64_t> result;
  for (const int row : rows) result.push_back(ids[static_cast<size_t>(row)]);
  return result;
}

// All worlds, and queries alone as well as together. Returns the stops that were met.
std::vector<std::string> ExpectEqual(const Points& points, const FrankWolfeOptions& options) {
  struct World {
    int shards, parts, threads;
  };
  std::vector<size_t> queries(points.targets.size());
  std::iota(queries.begin(), queries.end(), size_t{0});
  std::vector<FrankWolfeResult> expected;
  std::vector<std::string> stops;
  for (const size_t q : queries) {
    expected.push_back(BruteForce(points, q, options));
    stops.push_back(expected.back().stop);
  }
  for (const World& world : {World{1, 1, 1}, World{2, 1, 2}, World{3, 2, 1}, World{5, 1, 2}, World{1, 4, 2}}) {
    const Shards shards(points, world.shards, world.parts, world.threads);
    for (const size_t batch : {size_t{1}, size_t{3}, queries.size()}) {
      for (size_t first = 0; first < queries.size(); first += batch) {
        const auto together = std::span(queries).subspan(first, std::min(batch, queries.size() - first));
        std::vector<Trajectory> runs = RunOnShards(points, shards, together, options);
        for (size_t i = 0; i < together.size(); ++i) {
          const FrankWolfeResult& want = expected[together[i]];
          const std::vector<uint64_t> ids = runs[i].ids();
          const FrankWolfeResult got = runs[i].TakeResult();
          SCOPED_TRACE(testing::Message() << world.shards << " shards, query " << together[i] << ", batch " << batch);
          EXPECT_EQ(Ids(got.support, ids), Ids(want.support, points.ids));
          EXPECT_EQ(Ids(got.path, ids), Ids(want.path, points.ids));
          EXPECT_EQ(got.weights, want.weights);
          EXPECT_EQ(got.gammas, want.gammas);
          EXPECT_EQ(got.gram, want.gram);
          EXPECT_EQ(got.tx, want.tx);
          EXPECT_EQ(got.target_sq, want.target_sq);
          EXPECT_EQ(got.residual_sq, want.residual_sq);
          EXPECT_EQ(got.gap, want.gap);
          EXPECT_EQ(got.iterations, want.iterations);
          EXPECT_EQ(got.stop, want.stop);
          if (testing::Test::HasFailure()) return stops;
        }
      }
    }
  }
  return stops;
}

TEST(Global, EqualsOnePoolBitForBit) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const int d = 3 + static_cast<int>(seed * 7 % 40);
    const Points points = RandomPoints(seed, 60 + static_cast<int>(seed) * 40, d, 5, seed % 2 == 0);
    ExpectEqual(points, {.n = 1 + static_cast<int>(seed * 5 % 20), .max_iter = 40, .tol = 1e-5});
  }
}

TEST(Global, EqualsOnePoolOverSeveralBlocks) {
  ExpectEqual(RandomPoints(77, 20000, 16, 4, true), {.n = 8, .max_iter = 15, .tol = 1e-5});
}

TEST(Global, StopsAtAGapAndAtALimitOfTheSupport) {
  const Points points = RandomPoints(12, 300, 24, 6, true);
  EXPECT_THAT(ExpectEqual(points, {.n = 20, .max_iter = 200, .gap_tol = 0.02}), ::testing::Each("gap"));
  EXPECT_THAT(ExpectEqual(points, {.n = 20, .max_iter = 200, .max_support = 4}), ::testing::Each("support"));
}

TEST(Global, TiesGoToTheLowestIdWhereverItIs) {
  std::vector<std::string> stops;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const int d = 2 + static_cast<int>(seed % 6);
    for (const std::string& stop :
         ExpectEqual(GridPoints(seed, 150, d, 6), {.n = 8, .max_iter = 40, .tol = seed % 3 == 0 ? 0.0 : 1e-5}))
      stops.push_back(stop);
  }
  for (const char* stop : {"support", "tol", "max_iter", "denom"})
    EXPECT_NE(std::find(stops.begin(), stops.end(), stop), stops.end()) << stop << " was never met";
}

// Targets inside the hull: the residual goes down to where float32 knows nothing any more.
TEST(Global, TinyResidualsStayExact) {
  Points points = RandomPoints(5, 400, 6, 4, false);
  for (std::vector<float>& target : points.targets) {
    for (float& x : target) x *= 0.05f;
  }
  ExpectEqual(points, {.n = 300, .max_iter = 400, .tol = 1e-9});
  for (float& x : points.rows) x *= 1e-12f;
  for (std::vector<float>& target : points.targets) {
    for (float& x : target) x *= 1e-12f;
  }
  ExpectEqual(points, {.n = 10, .max_iter = 20, .tol = 0});
}

// The bound that the oracle relies on, against sums in several orders.
TEST(Global, TheFloat32ErrorBoundHolds) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    const Points points = RandomPoints(seed, 200, 1 + static_cast<int>(seed * 11 % 300), 1, seed % 2 == 0);
    const auto d = static_cast<size_t>(points.d);
    const Shards shards(points, 1, 1, 1);
    Trajectory run(points.targets[0], {.n = 30, .max_iter = 30, .tol = 1e-5});
    while (!run.done()) {
      for (size_t i = 0; i < points.ids.size(); ++i) {
        const auto row = std::span(points.rows).subspan(i * d, d);
        float forward = 0, backward = 0, fused = 0;
        double square = 0;
        for (size_t j = 0; j < d; ++j) {
          const size_t k = d - 1 - j;
          forward += row[j] * static_cast<float>(run.direction()[j]);
          backward += row[k] * static_cast<float>(run.direction()[k]);
          fused = std::fma(row[j], static_cast<float>(run.direction()[j]), fused);
          square += static_cast<double>(row[j]) * row[j];
        }
        const double bound = run.Float32Error(std::sqrt(square)), score = run.Score(row);
        for (const float sum : {forward, backward, fused})
          ASSERT_LE(std::abs(static_cast<double>(sum) - score), bound) << seed;
      }
      const Trajectory* asking[] = {&run};
      const OracleAnswer answer = shards.oracles[0].Ask(asking)[0];
      run.Take(answer.id, answer.row);
    }
  }
}

TEST(Global, RowsThatAreNotFiniteAreRefused) {
  Points points = RandomPoints(3, 50, 4, 1, false);
  points.rows[17 * 4 + 2] = NAN;
  ExpectFault(Code::kData, "sequence " + std::to_string(points.ids[17]), [&] { const Shards shards(points, 2, 1, 1); });
}

// A shard without a point answers, and is never chosen.
TEST(Global, AnEmptyShardIsNoAnswer) {
  const Oracle oracle({{}}, 4, 1);
  const std::vector<float> target(4, 0.5f);
  const Trajectory run(target, {});
  const Trajectory* asking[] = {&run};
  EXPECT_EQ(oracle.Ask(asking)[0].score, -std::numeric_limits<double>::infinity());
}

}  // namespace
}  // namespace hullft::coordinator
