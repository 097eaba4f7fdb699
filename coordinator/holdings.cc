#include "coordinator/holdings.h"

#include "common/comm/wire.h"
#include "coordinator/message_types.h"

namespace hullft::coordinator {
namespace {

struct RankNumbers {  // a list of each rank
  static constexpr uint16_t kType = message_type::kRankNumbers;
  std::vector<std::vector<int64_t>> lists;
  template <class A>
  void Wire(A& a) {
    a(lists);
  }
};

RankNumbers Share(comm::Communicator& world, const std::vector<int64_t>& mine, comm::Deadline deadline) {
  const auto payloads = world.Gather(0, comm::wire::Encode(RankNumbers::kType, RankNumbers{{mine}}), deadline);
  RankNumbers all;
  for (size_t r = 0; r < payloads.size(); ++r) {
    auto one =
        comm::wire::Decode<RankNumbers>(RankNumbers::kType, payloads[r], {static_cast<int>(r), world.hosts()[r]});
    all.lists.push_back(one.lists.empty() ? std::vector<int64_t>() : std::move(one.lists.front()));
  }
  const std::string text = world.Broadcast(0, comm::wire::Encode(RankNumbers::kType, all), deadline);
  return comm::wire::Decode<RankNumbers>(RankNumbers::kType, text, {0, world.hosts().front()});
}

}  // namespace

std::vector<std::vector<int>> ShareCopies(comm::Communicator& world, const std::vector<int>& mine,
                                          comm::Deadline deadline) {
  std::vector<std::vector<int>> copies;
  for (const auto& list : Share(world, {mine.begin(), mine.end()}, deadline).lists)
    copies.emplace_back(list.begin(), list.end());
  return copies;
}

double ShareCoverage(comm::Communicator& world, int64_t open_sequences, int64_t corpus_sequences,
                     comm::Deadline deadline) {
  int64_t open = 0;
  for (const auto& list : Share(world, {open_sequences}, deadline).lists) {
    for (const int64_t n : list) open += n;
  }
  return open == corpus_sequences ? 1 : static_cast<double>(open) / static_cast<double>(corpus_sequences);
}

}  // namespace hullft::coordinator
