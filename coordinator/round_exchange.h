// Round's one way of talking: an all-to-all exchange of one message per pair of shards. Included by round's sources
// only.
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "common/error.h"
#include "coordinator/message_io.h"
#include "coordinator/round.h"

namespace hullft::coordinator {

// Sends out[s] to every other shard s and returns what each of them sent here, with the own part in its place.
template <class T>
std::vector<T> Round::Exchange(int tag, std::vector<T> out) {
  const size_t shards = shards_.size();
  HULLFT_CHECK(out.size() == shards);
  std::vector<T> in(shards);
  in[static_cast<size_t>(self_)] = std::move(out[static_cast<size_t>(self_)]);
  std::vector<std::string> payloads(shards);
  for (size_t s = 0; s < shards; ++s) {
    if (s != static_cast<size_t>(self_)) payloads[s] = comm::wire::Encode(T::kType, out[s]);
  }
  SendAll(tag, std::move(payloads));
  const comm::Deadline deadline = comm::After(settings_.wait);
  std::vector<bool> has(shards, false);
  has[static_cast<size_t>(self_)] = true;
  for (size_t missing = shards - 1; missing > 0;) {
    const int tags[] = {tag, kRoundFailed, kSayAgain};
    const auto envelope = world_.Receive(comm::kAnySource, tags, deadline);
    if (!envelope) {
      const auto late = static_cast<size_t>(std::find(has.begin(), has.end(), false) - has.begin());
      throw Error(Code::kPeer,
                  fmt::format("shard on rank {} ({}) did not answer for {} s", shards_[late],
                              world_.hosts()[static_cast<size_t>(shards_[late])], settings_.wait.count() / 1000));
    }
    if (!comm::wire::Whole(envelope->payload)) {
      AskAgain(*envelope);
      continue;
    }
    if (envelope->tag == kSayAgain) {
      Repeat(*envelope);
      continue;
    }
    if (envelope->tag == kRoundFailed) Decode<Fatal>(world_, *envelope).failure.Throw(PeerOf(world_, *envelope));
    const auto place = std::find(shards_.begin(), shards_.end(), envelope->source);
    HULLFT_CHECK(place != shards_.end());
    const auto s = static_cast<size_t>(place - shards_.begin());
    HULLFT_CHECK(!has[s]);
    has[s] = true;
    --missing;
    in[s] = Decode<T>(world_, *envelope);
  }
  return in;
}

}  // namespace hullft::coordinator
