// The last step of a round: the tokens of what was chosen, from the shards that hold it.
#include <algorithm>
#include <utility>

#include "common/error.h"
#include "common/test_faults.h"
#include "coordinator/round.h"
#include "coordinator/round_exchange.h"
#include "coordinator/round_own.h"

namespace hullft::coordinator {

// The corpus is deduplicated by text when it is built, so one
// id is one text and nothing is left to be merged here.
void Round::FetchTokens(std::vector<Own>* own) {
  std::vector<IdList> requests(shards_.size());
  std::vector<std::vector<Training*>> places(shards_.size());
  for (Own& query : *own) {
    query.result.training.reserve(query.runs.size());  // places points into it
    for (const auto& [row, count] : query.runs) {
      const auto s = static_cast<size_t>(query.pool_shards[static_cast<size_t>(row)]);
      Training& training = query.result.training.emplace_back();
      training.count = count;
      requests[s].ids.push_back(query.pool.ids[static_cast<size_t>(row)]);
      places[s].push_back(&training);
    }
  }
  std::vector<TokenLists> answers(shards_.size());
  const std::vector<IdList> asked = Exchange(kTokenIds, std::move(requests));
  for (size_t s = 0; s < asked.size(); ++s) {
    answers[s].tokens.resize(asked[s].ids.size());
    answers[s].sums.resize(asked[s].ids.size());
    ByHolder(asked[s].ids, [&](const index::Partition& holder, auto ids, auto places) {
      auto read = holder.ReadTokens(ids);
      for (size_t i = 0; i < places.size(); ++i) {
        answers[s].sums[places[i]] = holder.TokensSum(ids[i], read[i]);
        if (test_faults::Strikes(test_faults::Kind::kTokens))
          test_faults::FlipBit(read[i].data(), static_cast<int64_t>(read[i].size() * sizeof(int32_t)));
        answers[s].tokens[places[i]] = std::move(read[i]);
      }
    });
  }
  std::vector<TokenLists> tokens = Exchange(kTokens, std::move(answers));
  for (size_t s = 0; s < tokens.size(); ++s) {
    HULLFT_CHECK(tokens[s].tokens.size() == places[s].size() && tokens[s].sums.size() == places[s].size());
    for (size_t i = 0; i < places[s].size(); ++i) {
      places[s][i]->tokens = std::move(tokens[s].tokens[i]);
      places[s][i]->sum = tokens[s].sums[i];
    }
  }
}

// Calls read for each partition that holds some of the ids, with those and their places among all: one call reads them
// together.
void Round::ByHolder(std::span<const uint64_t> ids,
                     const std::function<void(const index::Partition&, std::span<const index::SequenceId>,
                                              std::span<const size_t>)>& read) const {
  std::vector<std::vector<index::SequenceId>> held(partitions_.size());
  std::vector<std::vector<size_t>> places(partitions_.size());
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto holder = std::ranges::find_if(partitions_, [&](const auto& part) { return part->Contains({ids[i]}); });
    if (holder == partitions_.end()) throw DataError("sequence {} is not in the partitions of this shard", ids[i]);
    const auto p = static_cast<size_t>(holder - partitions_.begin());
    held[p].push_back({ids[i]});
    places[p].push_back(i);
  }
  for (size_t p = 0; p < held.size(); ++p) {
    if (!held[p].empty()) read(*partitions_[p], held[p], places[p]);
  }
}

}  // namespace hullft::coordinator
