// What the shards say to each other in a round.
//
//   first shard -> shard    RoundWork                                                     tag kToShard
//   shard      <-> shard    one Exchange per tag and round (round_exchange.h):            tags kCandidates ... kTokens,
//                           Candidates, QueryList, IdList, Vectors, TokenLists, Bests,    kBests ... kLeakMarks
//                           LeakQuestions, LeakMarks
//   shard       -> shard    Fatal: its part will not come                                 tag kRoundFailed
//                           SayAgain: what came under a tag was damaged                   tag kSayAgain
//
// Thread safety: values.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/messages.h"

namespace hullft::coordinator {

struct RoundWork {
  static constexpr uint16_t kType = message_type::kRoundWork;
  int64_t round = 0;
  std::vector<RoundQuery> queries;
  std::vector<float> targets;  // [queries][d]
  template <class A>
  void Wire(A& a) {
    a(round, queries, targets);
  }
};

struct CandidateList {
  std::vector<float> scores;  // as the library computed them, falling
  std::vector<uint64_t> ids;
  template <class A>
  void Wire(A& a) {
    a(scores, ids);
  }
};

struct Candidates {
  static constexpr uint16_t kType = message_type::kCandidates;
  std::vector<CandidateList> lists;  // of the receiver's queries, in their order
  template <class A>
  void Wire(A& a) {
    a(lists);
  }
};

struct IdList {
  static constexpr uint16_t kType = message_type::kIdList;
  std::vector<uint64_t> ids;
  template <class A>
  void Wire(A& a) {
    a(ids);
  }
};

struct Vectors {
  static constexpr uint16_t kType = message_type::kVectors;
  std::vector<float> rows;     // [ids][d]
  std::vector<uint64_t> sums;  // of each row, from the corpus
  template <class A>
  void Wire(A& a) {
    a(rows, sums);
  }
};

struct TokenLists {
  static constexpr uint16_t kType = message_type::kTokenLists;
  std::vector<std::vector<int32_t>> tokens;  // of each id
  std::vector<uint64_t> sums;                // of each list, from the corpus
  template <class A>
  void Wire(A& a) {
    a(tokens, sums);
  }
};

struct QueryList {
  static constexpr uint16_t kType = message_type::kQueryList;
  std::vector<int64_t> queries;  // positions in the round
  template <class A>
  void Wire(A& a) {
    a(queries);
  }
};

// Candidates whose texts the receiver holds, and the positions in the round of the queries they are to be compared
// with.
struct LeakQuestions {
  static constexpr uint16_t kType = message_type::kLeakQuestions;
  std::vector<int64_t> queries;
  std::vector<uint64_t> ids;  // aligned
  template <class A>
  void Wire(A& a) {
    a(queries, ids);
  }
};

struct LeakMarks {
  static constexpr uint16_t kType = message_type::kLeakMarks;
  std::vector<uint8_t> marks;  // of each question: 1 when the candidate leaks
  template <class A>
  void Wire(A& a) {
    a(marks);
  }
};

// A shard's best points for the queries of a global iteration, in their order.
struct Bests {
  static constexpr uint16_t kType = message_type::kBests;
  std::vector<double> scores;
  std::vector<uint64_t> ids;
  template <class A>
  void Wire(A& a) {
    a(scores, ids);
  }
};

// Between shards: the last message under this tag came damaged.
struct SayAgain {
  static constexpr uint16_t kType = message_type::kSayAgain;
  int tag = 0;
  template <class A>
  void Wire(A& a) {
    a(tag);
  }
};

}  // namespace hullft::coordinator
