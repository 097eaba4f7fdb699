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

  // <x_i, x_row> for every i, float64 [k]. It stays where it is until Unpin. partner: a row whose column is likely to
  // be wanted soon, or -1: computed in the same pass, where it costs a fifth of a pass of its own.
  const double* Column(int row, int partner = -1);
  // The column may make room for others from now on.
  void Unpin(int row);
  bool Has(int row) const { return Find(row) != nullptr; }
  // Whether a partner would be computed.
  bool TakesPartners() const { return shared_ == nullptr && used_ < capacity_; }

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
  size_t size_ = 0;           // of values_
  std::vector<double> wide_;  // two rows, widened
};

}  // namespace hullft::select
