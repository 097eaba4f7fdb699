// The number that the envelope of each message carries (docs/formats/wire.md). One list, so that no two are the same.
#pragma once

#include <cstdint>

namespace hullft::coordinator::message_type {

enum : uint16_t {
  // While the ranks agree (run_agreement.h, holdings.h).
  kRankReport = 101,
  kVerdict,
  kRankNumbers,
  // Between the coordinator and the roles (messages.h).
  kEmbedJob,
  kEmbedDone,
  kTargets,
  kRoundJob,
  kSelected,
  kTuneJob,
  kTuneDone,
  kStageEvent,
  kStop,
  kBye,
  kDamaged,
  kFatal,
  kStopRequest,
  // Between shards (round_messages.h).
  kRoundWork,
  kCandidates,
  kIdList,
  kVectors,
  kTokenLists,
  kQueryList,
  kLeakQuestions,
  kLeakMarks,
  kBests,
  kSayAgain,
};

}  // namespace hullft::coordinator::message_type
