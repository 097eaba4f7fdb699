// Threads: one bounded pool whose futures carry exceptions, and a bounded queue between threads.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace hullft {

// The number of cores this process may use (affinity mask, then cgroup quota), at least 1.
int UsableCores();

// Runs body(i) for i in [0, n) on `threads` threads (the caller is one of them). The first exception ends the loop and
// is rethrown here after all threads have stopped. Which thread takes which i is not fixed: body must not care.
void ParallelFor(int64_t n, int threads, const std::function<void(int64_t)>& body);

// A bounded multi-producer, multi-consumer queue. All functions are thread-safe.
template <class T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  // Waits while full. False when the queue was closed (the item is dropped).
  [[nodiscard]] bool Push(T item) {
    std::unique_lock lock(mutex_);
    not_full_.wait(lock, [&] { return closed_ || items_.size() < capacity_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    not_empty_.notify_one();
    return true;
  }
  // Waits while empty. Nothing when closed and drained.
  [[nodiscard]] std::optional<T> Pop() {
    std::unique_lock lock(mutex_);
    not_empty_.wait(lock, [&] { return closed_ || !items_.empty(); });
    return Take();
  }
  // Does not wait.
  [[nodiscard]] std::optional<T> TryPop() {
    const std::lock_guard lock(mutex_);
    return Take();
  }
  // No more pushes; what is in the queue can still be popped.
  void Close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    not_empty_.notify_all();
    not_full_.notify_all();
  }
  size_t size() const {
    const std::lock_guard lock(mutex_);
    return items_.size();
  }

 private:
  std::optional<T> Take() {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    not_full_.notify_one();
    return item;
  }

  const size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable not_empty_, not_full_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace hullft
