// What Select promises of any input: errors that name the place, and results that fit together.
#include "coordinator/select/select.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "common/error.h"
#include "tests/select/random_pool.h"

namespace hullft::select {
namespace {
using ::testing::HasSubstr;

void ExpectFault(Code code, const std::string& text, const std::function<void()>& action) {
  try {
    action();
    ADD_FAILURE() << "no fault where '" << text << "' was expected";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    EXPECT_THAT(error.message(), HasSubstr(text));
  }
}

constexpr Method kAll[] = {Method::kHullft, Method::kKnn, Method::kRandom, Method::kSift, Method::kMmr};

SelectOptions With(Method method, int n) {
  SelectOptions options;
  options.method = method;
  options.n = n;
  return options;
}

TEST(Select, NotFiniteNamesRowAndColumn) {
  for (const Method method : kAll) {
    for (const float bad : {std::numeric_limits<float>::quiet_NaN(), INFINITY, -INFINITY}) {
      RandomPool random(1, 10, 20, true);
      random.target[19] = 0;  // 0 times infinity must be seen as well
      random.rows[7 * 20 + 19] = bad;
      ExpectFault(Code::kData, "pool row 7 is not finite: column 19", [&] { Select(random.pool(), With(method, 3)); });
      random.target[4] = bad;
      ExpectFault(Code::kData, "the target is not finite: column 4", [&] { Select(random.pool(), With(method, 3)); });
    }
  }
}

TEST(Select, HugeFiniteValuesAreNotMistakenForInfinity) {
  RandomPool random(1, 5, 4, false);
  for (float& value : random.rows) value *= 1e38f;
  for (float& value : random.target) value *= 1e38f;
  EXPECT_EQ(Select(random.pool(), With(Method::kHullft, 3)).expanded.size(), 3u);
}

TEST(Select, Sizes) {
  const RandomPool random(1, 10, 20, true);
  Pool pool = random.pool();
  pool.k = 0;
  ExpectFault(Code::kData, "the pool is empty", [&] { Select(pool, {}); });
  pool = random.pool();
  pool.target = pool.target.first(19);
  ExpectFault(Code::kData, "width 19", [&] { Select(pool, {}); });
  pool = random.pool();
  pool.rows = pool.rows.first(199);
  ExpectFault(Code::kData, "needs 200 values, there are 199", [&] { Select(pool, {}); });
  for (const Method method : {Method::kKnn, Method::kRandom, Method::kMmr}) {
    ExpectFault(Code::kUsage, "n = 11 but the pool holds 10", [&] { Select(random.pool(), With(method, 11)); });
  }
}

TEST(Select, OptionsListAllFaults) {
  SelectOptions options;
  EXPECT_EQ(options.Validate(), "");
  options.n = 0, options.max_iter = -1, options.tol = NAN, options.swap_passes = -2, options.sift_lambda = 0;
  options.mmr_lambda = 1.5;
  for (const char* field :
       {"n is 0", "max_iter is -1", "tol is nan", "swap_passes is -2", "sift_lambda is 0", "mmr_lambda is 1.5"}) {
    EXPECT_THAT(options.Validate(), HasSubstr(field));
  }
  const RandomPool random(1, 10, 20, true);
  ExpectFault(Code::kUsage, "max_iter", [&] { Select(random.pool(), options); });
}

TEST(Select, MethodNames) {
  for (const Method method : kAll) EXPECT_EQ(MethodFromName(MethodName(method)), method);
  ExpectFault(Code::kUsage, "did you mean 'hullft'", [] { MethodFromName("hulft"); });
}

TEST(Select, PartsFitTogether) {
  for (const Method method : kAll) {
    for (uint64_t seed = 0; seed < 10; ++seed) {
      const RandomPool random(seed, 30, 16, true);
      const Selection got = Select(random.pool(), With(method, 12), "key");
      ASSERT_EQ(got.support.size(), got.counts.size());
      ASSERT_EQ(got.support.size(), got.weights.size());
      EXPECT_EQ(got.expanded.size(), 12u);
      for (size_t i = 0; i < got.support.size(); ++i) {
        EXPECT_EQ(std::count(got.expanded.begin(), got.expanded.end(), got.support[i]), got.counts[i]);
      }
      EXPECT_NEAR(got.objective, 0.5 * got.residual_norm * got.residual_norm, 1e-15);
      EXPECT_EQ(got.stop.empty(), method != Method::kHullft);
    }
  }
}

// HullFT minimises the distance to the target, so no other method gets nearer before rounding.
TEST(Select, HullftIsNearest) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const RandomPool random(seed, 60, 32, true);
    SelectOptions options = With(Method::kHullft, 60);
    options.max_iter = 2000;
    const Selection hull = Select(random.pool(), options);
    for (const Method method : {Method::kKnn, Method::kRandom, Method::kSift, Method::kMmr}) {
      EXPECT_GE(Select(random.pool(), With(method, 20)).objective, hull.objective - hull.gap);
    }
  }
}

}  // namespace
}  // namespace hullft::select
