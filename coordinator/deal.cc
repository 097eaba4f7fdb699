#include "coordinator/deal.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <utility>

#include "common/error.h"

namespace hullft::coordinator {
namespace {

class Deal {
 public:
  Deal(std::span<const int64_t> sizes, int shards)
      : sizes_(sizes), dealt_(static_cast<size_t>(shards)), load_(static_cast<size_t>(shards), 0) {}

  // The emptiest shard.
  size_t Emptiest() const {
    size_t best = 0;
    for (size_t s = 1; s < dealt_.size(); ++s) {
      // On equal load the one with fewer, so that partitions of size 0 do not leave a shard without any.
      if (load_[s] < load_[best] || (load_[s] == load_[best] && dealt_[s].size() < dealt_[best].size())) best = s;
    }
    return best;
  }
  void Give(int partition, size_t shard) {
    dealt_[shard].push_back(partition);
    load_[shard] += sizes_[static_cast<size_t>(partition)];
  }
  // A shard without any takes the smallest partition of the one with the most. After Balance: loads come no further
  // apart.
  void FillEmpty() {
    if (dealt_.size() > sizes_.size()) return;
    for (size_t s = 0; s < dealt_.size(); ++s) {
      if (!dealt_[s].empty()) continue;
      auto& from = *std::ranges::max_element(dealt_, {}, &std::vector<int>::size);
      const auto smallest = std::ranges::min_element(from, {}, [&](int p) { return sizes_[static_cast<size_t>(p)]; });
      dealt_[s].push_back(*smallest);
      from.erase(smallest);
    }
  }
  // Moves partitions from the fullest shard to the emptiest until they differ by at most the largest partition. Each
  // move is of less than the difference, so it ends.
  void Balance() {
    const int64_t largest = sizes_.empty() ? 0 : *std::ranges::max_element(sizes_);
    while (true) {
      const auto full = static_cast<size_t>(std::ranges::max_element(load_) - load_.begin());
      const auto empty = static_cast<size_t>(std::ranges::min_element(load_) - load_.begin());
      if (load_[full] - load_[empty] <= largest) return;
      auto& from = dealt_[full];
      const auto size = [&](int p) {  // a partition of size 0 would not help
        const int64_t bytes = sizes_[static_cast<size_t>(p)];
        return bytes > 0 ? bytes : std::numeric_limits<int64_t>::max();
      };
      const auto smallest = std::ranges::min_element(from, {}, size);
      load_[full] -= sizes_[static_cast<size_t>(*smallest)];
      Give(*smallest, empty);
      from.erase(smallest);
    }
  }
  int64_t load(size_t shard) const { return load_[shard]; }
  int64_t heaviest() const { return *std::ranges::max_element(load_); }
  std::vector<std::vector<int>> Take() {
    for (auto& partitions : dealt_) std::ranges::sort(partitions);
    return std::move(dealt_);
  }

 private:
  std::span<const int64_t> sizes_;
  std::vector<std::vector<int>> dealt_;
  std::vector<int64_t> load_;
};

}  // namespace

std::vector<std::vector<int>> DealPartitions(std::span<const int64_t> sizes, int shards,
                                             std::span<const std::vector<int>> held) {
  HULLFT_CHECK(shards > 0 && (held.empty() || held.size() == static_cast<size_t>(shards)));
  std::vector<int> order(sizes.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater(), [&](int p) { return sizes[static_cast<size_t>(p)]; });
  Deal plain(sizes, shards);
  for (const int partition : order) plain.Give(partition, plain.Emptiest());
  if (held.empty()) return plain.Take();

  // First what holders can keep within the load of the fullest shard of the plain deal, then the rest.
  Deal deal(sizes, shards);
  std::vector<int> rest;
  for (const int partition : order) {
    const int64_t size = sizes[static_cast<size_t>(partition)];
    std::optional<size_t> holder;
    for (size_t s = 0; s < held.size(); ++s) {
      const bool holds = std::ranges::find(held[s], partition) != held[s].end();
      if (holds && deal.load(s) + size <= plain.heaviest() && (!holder || deal.load(s) < deal.load(*holder)))
        holder = s;
    }
    if (holder) {
      deal.Give(partition, *holder);
    } else {
      rest.push_back(partition);
    }
  }
  for (const int partition : rest) deal.Give(partition, deal.Emptiest());
  deal.Balance();
  deal.FillEmpty();
  return deal.Take();
}

}  // namespace hullft::coordinator
