// A round's leakage guard: each candidate is compared with its query on the shard that holds its text.
#include <algorithm>
#include <map>
#include <utility>

#include "common/parallel.h"
#include "coordinator/round.h"
#include "coordinator/round_exchange.h"
#include "coordinator/round_own.h"

namespace hullft::coordinator {

LeakMarks Round::Compare(const RoundWork& work, const LeakQuestions& questions) const {
  if (questions.queries.size() != questions.ids.size()) throw Error(Code::kPeer, "a question about leaks is not whole");
  std::map<int64_t, LeakageCheck> checks;
  for (const int64_t q : questions.queries) {
    const RoundQuery& query = work.queries.at(static_cast<size_t>(q));
    if (!checks.contains(q)) checks.emplace(q, LeakageCheck(query.text, query.tokens, settings_.leak_threshold));
  }
  LeakMarks marks{std::vector<uint8_t>(questions.ids.size(), 0)};
  constexpr size_t kAtOnce = 1024;  // texts in memory
  for (size_t first = 0; first < questions.ids.size(); first += kAtOnce) {
    const auto asked = std::span(questions.ids).subspan(first, std::min(kAtOnce, questions.ids.size() - first));
    ByHolder(asked, [&](const index::Partition& holder, auto ids, auto places) {
      const auto texts = holder.ReadTexts(ids);
      const auto tokens = holder.ReadTokens(ids);
      ParallelFor(static_cast<int64_t>(ids.size()), settings_.threads, [&](int64_t i) {
        const auto at = static_cast<size_t>(i);
        const size_t place = first + places[at];
        marks.marks[place] = checks.at(questions.queries[place]).Leaks(texts[at], tokens[at]) ? 1 : 0;
      });
    });
  }
  return marks;
}

void Round::FetchMarks(const RoundWork& work, std::vector<Own*>& wanted) {
  std::vector<LeakQuestions> questions(shards_.size());
  for (const Own* query : wanted) {
    for (const RoundCandidate& candidate : query->candidates) {
      LeakQuestions& to = questions[static_cast<size_t>(candidate.shard)];
      to.queries.push_back(query->position);
      to.ids.push_back(candidate.id);
    }
  }
  std::vector<LeakMarks> answers;
  for (const LeakQuestions& asked : Exchange(kLeakIds, std::move(questions))) answers.push_back(Compare(work, asked));
  const std::vector<LeakMarks> marks = Exchange(kLeakMarks, std::move(answers));
  std::vector<size_t> at(shards_.size(), 0);
  for (Own* query : wanted) {
    query->marks.clear();
    for (const RoundCandidate& candidate : query->candidates) {
      const auto s = static_cast<size_t>(candidate.shard);
      HULLFT_CHECK(at[s] < marks[s].marks.size());
      query->marks.push_back(marks[s].marks[at[s]++]);
    }
  }
}

}  // namespace hullft::coordinator
