// Several rising lists of ids as one. Not thread-safe.
#pragma once

#include <optional>
#include <queue>
#include <span>
#include <vector>

#include "index/corpus.h"

namespace hullft::index {

class IdMerge {
 public:
  // The lists must outlive the object.
  explicit IdMerge(std::vector<std::span<const SequenceId>> lists) : lists_(std::move(lists)) {
    for (size_t list = 0; list < lists_.size(); ++list) Offer(list, 0);
  }

  struct Place {
    SequenceId id;
    size_t list = 0, row = 0;
    bool operator>(const Place& other) const { return id > other.id; }
  };
  // The next id, lowest first; nothing at the end. Ids that several lists hold come one after the other.
  std::optional<Place> Next() {
    if (next_.empty()) return std::nullopt;
    const Place place = next_.top();
    next_.pop();
    Offer(place.list, place.row + 1);
    return place;
  }

 private:
  void Offer(size_t list, size_t row) {
    if (row < lists_[list].size()) next_.push({lists_[list][row], list, row});
  }
  const std::vector<std::span<const SequenceId>> lists_;
  std::priority_queue<Place, std::vector<Place>, std::greater<>> next_;
};

}  // namespace hullft::index
