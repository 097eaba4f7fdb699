// Slow oracles: Frank-Wolfe and the integerization straight from their definitions, in d dimensions, with no Gram
// matrix.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <vector>

#include "coordinator/select/select.h"

namespace hullft::select {

using Vector = std::vector<double>;

inline Vector Row(const Pool& pool, int i) {
  const auto row = pool.rows.subspan(static_cast<size_t>(i) * pool.d, pool.d);
  return {row.begin(), row.end()};
}
inline double Inner(const Vector& a, const Vector& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}
inline Vector Minus(Vector a, const Vector& b) {
  for (size_t j = 0; j < a.size(); ++j) a[j] -= b[j];
  return a;
}

struct OracleRun {
  std::vector<int> path, support;  // support by falling weight, cut to n
  Vector weights, c;
  Vector margins;  // of each update: best correlation minus the best of another point
  std::string stop = "max_iter";
  double gap = 0;
};

inline OracleRun DirectFrankWolfe(const Pool& pool, int n, int max_iter, double tol) {
  OracleRun run;
  const Vector target(pool.target.begin(), pool.target.end());
  const auto argmax = [&](const Vector& v) {
    int best = 0;
    for (int i = 1; i < pool.k; ++i) {
      if (Inner(Row(pool, i), v) > Inner(Row(pool, best), v)) best = i;
    }
    return best;
  };
  std::vector<int> entered{argmax(target)};
  Vector weight(pool.k, 0.0);
  weight[entered[0]] = 1;
  run.c = Row(pool, entered[0]);
  while (static_cast<int>(run.path.size()) < max_iter) {
    const Vector rho = Minus(target, run.c);
    if (std::sqrt(Inner(rho, rho)) < tol) {
      run.stop = "tol";
      break;
    }
    const int s = argmax(rho);
    double second = -INFINITY;
    for (int i = 0; i < pool.k; ++i) {
      if (i != s) second = std::max(second, Inner(Row(pool, i), rho));
    }
    const Vector direction = Minus(Row(pool, s), run.c);
    const double length_sq = Inner(direction, direction);
    if (length_sq < 1e-12) {
      run.stop = "denom";
      break;
    }
    const double gamma = std::clamp(Inner(rho, direction) / length_sq, 0.0, 1.0);
    for (double& w : weight) w *= 1 - gamma;
    weight[s] += gamma;
    for (int j = 0; j < pool.d; ++j) run.c[j] += gamma * direction[j];
    if (std::find(entered.begin(), entered.end(), s) == entered.end()) entered.push_back(s);
    run.path.push_back(s);
    run.margins.push_back(Inner(Row(pool, s), rho) - second);
    if (static_cast<int>(entered.size()) >= n) {
      run.stop = "support";
      break;
    }
  }
  const Vector rho = Minus(target, run.c);
  run.gap = Inner(Row(pool, argmax(rho)), rho) - Inner(run.c, rho);
  std::sort(entered.begin(), entered.end(),
            [&](int a, int b) { return weight[a] != weight[b] ? weight[a] > weight[b] : a < b; });
  entered.resize(std::min<size_t>(entered.size(), n));
  run.support = entered;
  for (const int i : entered) run.weights.push_back(weight[i]);
  return run;
}

// L(c) = ||t - (1/N) sum c_i x_i||^2.
inline double DirectLoss(const Pool& pool, const std::vector<int>& support, const std::vector<int>& counts, int n) {
  Vector rho(pool.target.begin(), pool.target.end());
  for (size_t i = 0; i < support.size(); ++i) {
    const Vector x = Row(pool, support[i]);
    for (int j = 0; j < pool.d; ++j) rho[j] -= counts[i] * x[j] / n;
  }
  return Inner(rho, rho);
}

// guard = false is the authors' rule, whose counts can pass below zero; *went_negative says whether they did on the
// way.
inline std::vector<int> DirectIntegerize(const Pool& pool, const std::vector<int>& support, const Vector& weights,
                                         int n, int swap_passes, bool guard, bool* went_negative) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  const size_t m = support.size();
  std::vector<int> counts;
  for (const double w : weights) counts.push_back(static_cast<int>(std::floor(n * (sum > 0 ? w / sum : 1.0 / m))));
  const auto loss = [&](const std::vector<int>& c) { return DirectLoss(pool, support, c, n); };
  while (std::accumulate(counts.begin(), counts.end(), 0) < n) {
    size_t best = 0;
    double best_loss = INFINITY;
    for (size_t i = 0; i < m; ++i) {
      std::vector<int> trial = counts;
      ++trial[i];
      if (loss(trial) < best_loss) best = i, best_loss = loss(trial);
    }
    ++counts[best];
  }
  *went_negative = false;
  double now = loss(counts);
  for (int pass = 0; pass < swap_passes; ++pass) {
    std::vector<size_t> holders;
    for (size_t i = 0; i < m; ++i) {
      if (counts[i] > 0) holders.push_back(i);
    }
    bool moved = false;
    for (const size_t i : holders) {
      for (size_t j = 0; j < m; ++j) {
        if (j == i || (guard && counts[i] <= 0)) continue;
        std::vector<int> trial = counts;
        --trial[i], ++trial[j];
        const double then = loss(trial);
        if (now - then <= 1e-14) continue;
        counts = trial, now = then, moved = true;
        if (counts[i] < 0) *went_negative = true;
      }
    }
    if (!moved) break;
  }
  return counts;
}

}  // namespace hullft::select
