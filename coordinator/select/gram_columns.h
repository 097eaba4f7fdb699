// Gram columns of one pool, X x_i, computed when they are first asked for and kept: what Frank-Wolfe and the rounding
// need of the points. Letters: K pool size, d width.
//
// GramColumns belongs to one thread and one run after another; it allocates in Attach only. SharedColumns serves many
// runs over one pool, on any number of threads at once; who computes a column first does not matter, as its bits are
// the same.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "coordinator/select/kernels.h"

namespace hullft::select {

class SharedColumns {
 public:
  // Room for `capacity` columns of k values; what comes later is not kept.
  SharedColumns(int64_t k, int64_t capacity);
  // Null when nobody has finished it. Thread-safe, as the others are.
  const double* Find(int row) const { return ready_[static_cast<size_t>(row)].load(std::memory_order_acquire); }
  // Where the caller is to write column `row`, then Publish; null when another is at it or there is no room.
  double* Claim(int row);
  void Publish(int row, const double* column) {
    ready_[static_cast<size_t>(row)].store(column, std::memory_order_release);
  }

 private:
  const size_t k_;
  const int64_t capacity_;
  std::vector<std::atomic<const double*>> ready_;
  std::vector<std::atomic<bool>> claimed_;
  std::unique_ptr<double[]> values_;
  std::atomic<int64_t> used_{0};
};

class GramColumns {
 public:
  // Forgets the columns. rows float32 [k][d] must live until the next Attach. pinned: at most so many columns are
  // pinned at once; there is room for more, as many again and a few.
  void Attach(std::span<const float> rows, int k, int d, int pinned, SharedColumns* shared);

  // <x_i, x_row> for every i, float64 [k]. It stays where it is until Unpin. partners: at most kMostPartners other rows
  // that have no column and are likely to be asked for soon: computed in the same pass, where one costs a fifth to a
  // third of a pass of its own.
  const double* Column(int row, std::span<const int> partners = {});
  // The column may make room for others from now on.
  void Unpin(int row);
  bool Has(int row) const { return Find(row) != nullptr; }
  // How many partners would be computed.
  size_t PartnersTaken() const;
  static constexpr size_t kMostPartners = kColumnsAtOnce - 1;

 private:
  const double* Find(int row) const;
  double* Place(int row);
  double* At(int slot) const { return values_.get() + static_cast<size_t>(slot) * static_cast<size_t>(k_); }
  const double* Widen(int row, int place);

  std::span<const float> rows_;
  int k_ = 0, d_ = 0, capacity_ = 0, used_ = 0, next_ = 0;
  SharedColumns* shared_ = nullptr;
  std::vector<int> slot_;  // of a row among the own columns, -1: none
  struct Owner {
    int row;
    bool pinned;
  };
  std::vector<Owner> owner_;  // of a slot
  std::unique_ptr<double[]> values_;
  size_t size_ = 0;   // of values_
  size_t lines_ = 0;  // of a row in wide_
  // The rows of one pass, widened. Every load of 64 bytes from between two lines of the cache would cost two.
  static constexpr int kLineValues = 8;
  struct alignas(64) Line {
    double values[kLineValues];
  };
  std::vector<Line> wide_;
};

}  // namespace hullft::select
