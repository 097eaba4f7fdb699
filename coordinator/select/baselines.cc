#include "coordinator/select/baselines.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "common/hash.h"
#include "coordinator/select/kernels.h"

namespace hullft::select {
namespace {

// splitmix64 (Steele, Lea & Flood, OOPSLA 2014): a counter and a mixing function.
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t state) : state_(state) {}
  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
  }
  // Uniform in [0, bound), without bias (Lemire, ACM TOMACS 2019). bound >= 1.
  uint64_t Below(uint64_t bound) {
    const uint64_t reject_below = -bound % bound;
    for (;;) {
      const unsigned __int128 product = static_cast<unsigned __int128>(Next()) * bound;
      if (static_cast<uint64_t>(product) >= reject_below) return static_cast<uint64_t>(product >> 64);
    }
  }

 private:
  uint64_t state_;
};

// <x_i, x_row> for every i.
std::vector<double> GramColumn(std::span<const float> rows, int k, int d, int row) {
  const float* x = rows.data() + static_cast<size_t>(row) * d;
  const std::vector<double> wide(x, x + d);
  std::vector<double> column(k);
  BestKernels().row_dots(rows.data(), k, d, wide.data(), column.data());
  return column;
}

// The posterior covariance of one pool under SIFT's picks, as far as it is asked for.
class SiftCovariance {
 public:
  SiftCovariance(std::span<const float> rows, std::span<const double> tx, int k, int d, double lambda)
      : rows_(rows), k_(k), d_(d), lambda_(lambda), target_(tx.begin(), tx.end()), variance_(k), slot_(k, -1) {
    std::vector<double> wide(d);
    for (int i = 0; i < k; ++i) {
      std::copy_n(rows.data() + static_cast<size_t>(i) * d, d, wide.begin());
      variance_[i] = BestKernels().dot(wide.data(), wide.data(), d);
    }
  }

  // The target's variance that conditioning on a row removes: its first row with the most, and how much.
  std::pair<int, double> Best() const {
    int best = 0;
    double best_gain = -1;
    for (int j = 0; j < k_; ++j) {
      const double gain = target_[j] * target_[j] / (variance_[j] + lambda_);
      if (gain > best_gain) best = j, best_gain = gain;
    }
    return {best, best_gain};
  }

  void Condition(int row) {
    picked_.push_back(Column(row));
    const std::vector<double>& column = picked_.back();
    const double noise = variance_[row] + lambda_, target_row = target_[row];
    noise_.push_back(noise);
    for (int a = 0; a < k_; ++a) {
      target_[a] -= target_row * column[a] / noise;
      variance_[a] -= column[a] * column[a] / noise;
    }
  }

 private:
  struct Held {
    std::vector<double> column;
    size_t picks = 0;  // conditioned on so many of them
  };
  // Column `row` conditioned on all picks so far.
  const std::vector<double>& Column(int row) {
    if (slot_[row] < 0) {
      slot_[row] = static_cast<int>(held_.size());
      held_.push_back({GramColumn(rows_, k_, d_, row)});
    }
    Held& held = held_[slot_[row]];
    for (; held.picks < picked_.size(); ++held.picks) {
      const std::vector<double>& used = picked_[held.picks];
      const double at_row = used[row], noise = noise_[held.picks];
      for (int a = 0; a < k_; ++a) held.column[a] -= used[a] * at_row / noise;
    }
    return held.column;
  }

  const std::span<const float> rows_;
  const int k_, d_;
  const double lambda_;
  std::vector<double> target_, variance_;  // k_tj and k_jj
  std::vector<int> slot_;                  // of a row in held_, -1 when it was never picked
  std::vector<Held> held_;
  std::vector<std::vector<double>> picked_;  // each pick's column as it was then, and k_jj + lambda
  std::vector<double> noise_;
};

}  // namespace

std::vector<int> NearestRows(std::span<const double> tx, int n) {
  std::vector<int> order(tx.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return tx[a] > tx[b]; });
  order.resize(n);
  return order;
}

std::vector<int> RandomRows(int k, int n, uint64_t seed, const std::string& key) {
  std::string bytes;  // the seed's eight bytes in little-endian order, then the key
  for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(seed >> shift & 255));
  SplitMix64 random(Hash64(bytes + key));
  std::vector<int> order(k);
  std::iota(order.begin(), order.end(), 0);
  for (int i = 0; i < n; ++i) std::swap(order[i], order[i + static_cast<int>(random.Below(k - i))]);
  order.resize(n);
  return order;
}

std::vector<int> SiftRows(std::span<const float> rows, std::span<const double> tx, int k, int d, int n, double lambda,
                          std::vector<double>* gains) {
  SiftCovariance covariance(rows, tx, k, d, lambda);
  std::vector<int> picks;
  for (int pick = 0; pick < n; ++pick) {
    const auto [row, gain] = covariance.Best();
    covariance.Condition(row);
    picks.push_back(row);
    if (gains != nullptr) gains->push_back(gain);
  }
  return picks;
}

std::vector<int> MmrRows(std::span<const float> rows, std::span<const double> tx, int k, int d, int n, double lambda) {
  std::vector<int> picks;
  std::vector<double> nearest(k, 0.0);  // the largest <y, x> with a picked y
  std::vector<char> taken(k, 0);
  while (static_cast<int>(picks.size()) < n) {
    int best = -1;
    double best_value = 0;
    for (int i = 0; i < k; ++i) {
      const double value = lambda * tx[i] - (1 - lambda) * nearest[i];
      if (taken[i] == 0 && (best < 0 || value > best_value)) best = i, best_value = value;
    }
    const std::vector<double> column = GramColumn(rows, k, d, best);
    for (int i = 0; i < k; ++i) nearest[i] = picks.empty() ? column[i] : std::max(nearest[i], column[i]);
    taken[best] = 1;
    picks.push_back(best);
  }
  return picks;
}

}  // namespace hullft::select
