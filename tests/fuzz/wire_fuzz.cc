// Messages between ranks: as they are, and as the body of each message of a run with the checksum that fits. What is
// accepted is encoded to the same bytes.
#include "common/hash.h"
#include "coordinator/message_io.h"
#include "coordinator/round_messages.h"
#include "tests/fuzz/targets.h"

namespace hullft::fuzz {
namespace {

using namespace hullft::coordinator;

template <class T>
void Read(std::string_view body) {
  comm::wire::Writer writer(T::kType);
  for (const char byte : body) writer(byte);
  const std::string message = std::move(writer).Finish();
  T value;
  if (Accepted([&] { value = comm::wire::Decode<T>(T::kType, message, Peer{1, "n1"}); }))
    Require(comm::wire::Encode(T::kType, value) == message, "a message that was read is written as it was");
}

template <class... T>
void ReadAll(std::string_view body) {
  (Read<T>(body), ...);
}

}  // namespace

void Wire(std::string_view input) {
  Accepted([&] { comm::wire::Reader::Type(input, Peer{1, "n1"}); });
  ReadAll<EmbedJob, EmbedDone, Targets, RoundJob, RoundWork, Candidates, IdList, Vectors, TokenLists, QueryList,
          LeakQuestions, coordinator::LeakMarks, Bests, Selected, TuneJob, TuneDone, StageEvent, Damaged, SayAgain,
          Stop, Bye, Fatal, StopRequest>(input);
}

}  // namespace hullft::fuzz
