#include "coordinator/select/gram_columns.h"

#include <algorithm>

#include "common/error.h"
#include "coordinator/select/kernels.h"

namespace hullft::select {

SharedColumns::SharedColumns(int64_t k, int64_t capacity)
    : k_(static_cast<size_t>(k)),
      capacity_(capacity),
      ready_(k_),
      claimed_(k_),
      values_(std::make_unique_for_overwrite<double[]>(k_ * static_cast<size_t>(capacity))) {}

double* SharedColumns::Claim(int row) {
  if (used_.load(std::memory_order_relaxed) >= capacity_ || claimed_[static_cast<size_t>(row)].exchange(true)) {
    return nullptr;
  }
  const int64_t place = used_++;
  return place < capacity_ ? values_.get() + static_cast<size_t>(place) * k_ : nullptr;
}

void GramColumns::Attach(std::span<const float> rows, int k, int d, int pinned, SharedColumns* shared) {
  rows_ = rows, k_ = k, d_ = d, used_ = 0, next_ = 0, shared_ = shared;
  constexpr int64_t kFew = 8;
  capacity_ = static_cast<int>(std::min<int64_t>(k, 2 * int64_t{pinned} + kFew));
  slot_.assign(static_cast<size_t>(k), -1);
  owner_.resize(static_cast<size_t>(capacity_));
  lines_ = static_cast<size_t>((d + kLineValues - 1) / kLineValues);
  wide_.resize(kColumnsAtOnce * lines_);
  const size_t size = static_cast<size_t>(capacity_) * static_cast<size_t>(k);
  if (size <= size_) return;
  values_.reset();
  values_ = std::make_unique_for_overwrite<double[]>(size);
  size_ = size;
}

const double* GramColumns::Find(int row) const {
  const int slot = slot_[static_cast<size_t>(row)];
  if (slot >= 0) return At(slot);
  return shared_ == nullptr ? nullptr : shared_->Find(row);
}

size_t GramColumns::PartnersTaken() const {
  return shared_ == nullptr ? std::min(kMostPartners, static_cast<size_t>(capacity_ - used_)) : 0;
}

double* GramColumns::Place(int row) {
  int slot = used_;
  if (used_ < capacity_) {
    ++used_;
  } else {
    int tried = 0;
    while (owner_[static_cast<size_t>(next_)].pinned) {
      next_ = (next_ + 1) % capacity_;
      HULLFT_CHECK(++tried <= capacity_);
    }
    slot = next_;
    next_ = (next_ + 1) % capacity_;
    slot_[static_cast<size_t>(owner_[static_cast<size_t>(slot)].row)] = -1;
  }
  owner_[static_cast<size_t>(slot)] = {row, false};
  slot_[static_cast<size_t>(row)] = slot;
  return At(slot);
}

void GramColumns::Unpin(int row) {
  const int slot = slot_[static_cast<size_t>(row)];
  if (slot >= 0) owner_[static_cast<size_t>(slot)].pinned = false;
}

const double* GramColumns::Widen(int row, int place) {
  double* wide = wide_[static_cast<size_t>(place) * lines_].values;
  std::copy_n(rows_.data() + static_cast<size_t>(row) * static_cast<size_t>(d_), d_, wide);
  return wide;
}

const double* GramColumns::Column(int row, std::span<const int> partners) {
  const double* column = Find(row);
  if (column == nullptr) {
    double* for_all = shared_ == nullptr ? nullptr : shared_->Claim(row);
    const double* wide[kColumnsAtOnce] = {Widen(row, 0)};
    double* out[kColumnsAtOnce] = {for_all != nullptr ? for_all : Place(row)};
    int count = 1;
    for (const int partner : partners) {
      if (PartnersTaken() == 0) break;
      wide[count] = Widen(partner, count);
      out[count++] = Place(partner);
    }
    BestKernels().gram_columns(rows_.data(), k_, d_, wide, count, out);
    if (for_all != nullptr) shared_->Publish(row, for_all);
    column = out[0];
  }
  if (const int slot = slot_[static_cast<size_t>(row)]; slot >= 0) owner_[static_cast<size_t>(slot)].pinned = true;
  return column;
}

}  // namespace hullft::select
