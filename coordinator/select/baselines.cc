#include "coordinator/select/baselines.h"

#include <algorithm>
#include <numeric>

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
  std::vector<double> target(tx.begin(), tx.end());  // k_tj as conditioned so far
  std::vector<double> variance(k);                   // k_jj as conditioned so far
  std::vector<std::vector<double>> gram(k), used;    // prior columns by row; conditioned columns by pick
  std::vector<double> used_noise;                    // k_jj + lambda at each pick
  for (int i = 0; i < k; ++i) {
    const float* x = rows.data() + static_cast<size_t>(i) * d;
    const std::vector<double> wide(x, x + d);
    variance[i] = BestKernels().dot(wide.data(), wide.data(), d);
  }
  std::vector<int> picks;
  for (int pick = 0; pick < n; ++pick) {
    int best = 0;
    double best_gain = -1;
    for (int j = 0; j < k; ++j) {
      const double gain = target[j] * target[j] / (variance[j] + lambda);
      if (gain > best_gain) best = j, best_gain = gain;
    }
    if (gram[best].empty()) {
      const float* x = rows.data() + static_cast<size_t>(best) * d;
      const std::vector<double> wide(x, x + d);
      gram[best].resize(k);
      BestKernels().row_dots(rows.data(), k, d, wide.data(), gram[best].data());
    }
    std::vector<double> column = gram[best];
    for (size_t p = 0; p < used.size(); ++p) {
      const double at_best = used[p][best];
      for (int a = 0; a < k; ++a) column[a] -= used[p][a] * at_best / used_noise[p];
    }
    const double noise = variance[best] + lambda, target_best = target[best];
    for (int a = 0; a < k; ++a) {
      target[a] -= target_best * column[a] / noise;
      variance[a] -= column[a] * column[a] / noise;
    }
    used.push_back(std::move(column));
    used_noise.push_back(noise);
    picks.push_back(best);
    if (gains != nullptr) gains->push_back(best_gain);
  }
  return picks;
}

}  // namespace hullft::select
