#include "common/comm/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "common/hash.h"
#include "tests/caught.h"

namespace hullft::comm::wire {
namespace {

using testing::HasSubstr;

enum class Stage : uint16_t { kEmbed = 1, kTune = 40'000 };

struct Inner {
  std::string name;
  std::optional<double> score;
  bool operator==(const Inner&) const = default;
  template <class A>
  void Wire(A& a) {
    a(name, score);
  }
};

struct Sample {
  bool flag = false;
  int8_t small = 0;
  uint64_t large = 0;
  float real = 0;
  Stage stage = Stage::kEmbed;
  std::string text;
  std::vector<int32_t> tokens;
  std::vector<Inner> inners;
  std::vector<std::vector<float>> rows;
  std::optional<std::vector<std::string>> names;
  std::pair<uint64_t, int32_t> count;
  bool operator==(const Sample&) const = default;
  template <class A>
  void Wire(A& a) {
    a(flag, small, large, real, stage, text, tokens, inners, rows, names, count);
  }
};

constexpr uint16_t kType = 12;
const Peer kPeer3 = {3, "node7"};

Sample RandomSample(std::mt19937_64& random) {
  const auto text = [&] {
    std::string s(random() % 20, '\0');
    for (char& c : s) c = static_cast<char>(random());
    return s;
  };
  Sample s;
  s.flag = random() % 2 == 1;
  s.small = static_cast<int8_t>(random());
  s.large = random();
  s.real = static_cast<float>(random()) / 7;
  s.stage = random() % 2 == 1 ? Stage::kTune : Stage::kEmbed;
  s.text = text();
  s.tokens.resize(random() % 9);
  for (auto& token : s.tokens) token = static_cast<int32_t>(random());
  s.inners.resize(random() % 4);
  for (auto& inner : s.inners) inner = {text(), random() % 2 == 1 ? std::optional(1.5) : std::nullopt};
  s.rows.resize(random() % 3);
  for (auto& row : s.rows) row.assign(random() % 5, 0.25F);
  if (random() % 2 == 1) s.names = {text(), text()};
  s.count = {random(), static_cast<int32_t>(random())};
  return s;
}

// The error of decoding; nothing when it decoded.
template <class T = Sample>
std::optional<Error> DecodeError(std::string_view message, uint16_t type = kType) {
  try {
    (void)Decode<T>(type, message, kPeer3);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Code::kPeer);
    EXPECT_THAT(error.message(), HasSubstr("message from rank 3 on node7"));
    return error;
  }
  return std::nullopt;
}

// Puts the right checksum under a message that was changed by hand.
std::string Sealed(std::string message) {
  message.resize(message.size() - kChecksumBytes);
  const uint64_t sum = Hash64(message);
  message.append(reinterpret_cast<const char*>(&sum), sizeof sum);
  return message;
}

TEST(Wire, RoundTripsRandomMessages) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 500; ++i) {
    const Sample sample = RandomSample(random);
    const std::string message = Encode(kType, sample);
    EXPECT_EQ(Reader::Type(message, kPeer3), kType);
    EXPECT_EQ(Decode<Sample>(kType, message, kPeer3), sample);
  }
}

// The bytes themselves: a change of the format must be noticed, and needs a new version.
TEST(Wire, BytesAreTheOnesOfTheDocument) {
  Writer writer(0x0102);
  writer(uint32_t{0xA0B0C0D0}, std::string("ab"), std::optional<uint8_t>(7), true);
  const std::string message = std::move(writer).Finish();
  using namespace std::string_view_literals;
  EXPECT_EQ(std::string_view(message).substr(0, message.size() - 8),
            "HFWM\x01\x00\x02\x01\x11\0\0\0\0\0\0\0\xD0\xC0\xB0\xA0\x02\0\0\0\0\0\0\0"
            "ab\x01\x07\x01"sv);
  EXPECT_EQ(message, Sealed(message));
}

TEST(Wire, EveryTruncationAndExtensionIsRefused) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 20; ++i) {
    const std::string message = Encode(kType, RandomSample(random));
    for (size_t size = 0; size < message.size(); ++size) {
      EXPECT_TRUE(DecodeError(std::string_view(message).substr(0, size))) << size;
    }
    EXPECT_TRUE(DecodeError(message + '\0'));
    EXPECT_TRUE(DecodeError(message + message));
  }
}

TEST(Wire, EveryBitFlipIsRefused) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 10; ++i) {
    const std::string message = Encode(kType, RandomSample(random));
    for (size_t bit = 0; bit < message.size() * 8; ++bit) {
      std::string flipped = message;
      flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
      EXPECT_TRUE(DecodeError(flipped)) << bit;
    }
  }
}

// Past the checksum: bodies of nonsense never crash, never allocate more than they hold, and are read to the end or
// refused.
TEST(Wire, NonsenseUnderARightChecksumDoesNotCrash) {
  std::mt19937_64 random(4);
  int refused = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string message = Encode(kType, RandomSample(random));
    const size_t body = message.size() - kHeaderBytes - kChecksumBytes;
    for (uint64_t changes = 1 + random() % 4; changes > 0; --changes) {
      message[kHeaderBytes + random() % body] = static_cast<char>(random() % 3 == 0 ? 0xFF : random());
    }
    message = Sealed(message);
    try {
      const Sample sample = Decode<Sample>(kType, message, kPeer3);
      EXPECT_EQ(Encode(kType, sample), message) << "read as something else";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), Code::kPeer);
      ++refused;
    }
  }
  EXPECT_GT(refused, 1'000);
}

TEST(Wire, ErrorsSayWhatIsWrong) {
  const std::string message = Encode(kType, uint32_t{5});
  const auto changed = [&](size_t at, char byte) {
    std::string m = message;
    m[at] = byte;
    return Sealed(m);
  };
  EXPECT_THAT(DecodeError(changed(0, 'X'))->message(), HasSubstr("wrong magic"));
  EXPECT_THAT(DecodeError(changed(4, 9))->message(), HasSubstr("wire version 9, this rank speaks 1"));
  EXPECT_THAT(DecodeError(changed(8, 5))->message(), HasSubstr("its header says 5 body bytes, 4 came"));
  EXPECT_THAT(DecodeError(message.substr(0, 10))->message(), HasSubstr("truncated: 10 bytes"));
  EXPECT_THAT(DecodeError<uint32_t>(message, 13)->message(), HasSubstr("message type 12, expected type 13"));
  EXPECT_THAT(DecodeError<uint64_t>(message)->message(), HasSubstr("a field of 8 bytes at 0 of a body of 4"));
  EXPECT_THAT(DecodeError<uint16_t>(message)->message(), HasSubstr("2 bytes left after the last field"));
  EXPECT_FALSE(DecodeError<uint32_t>(message));
  EXPECT_THAT(DecodeError<bool>(Encode(kType, uint8_t{2}))->message(), HasSubstr("neither 0 nor 1"));
  EXPECT_THAT(DecodeError<std::vector<double>>(Encode(kType, std::numeric_limits<uint64_t>::max()))->message(),
              HasSubstr("a list of 18446744073709551615 elements where at most 0 fit"));
}

TEST(Wire, AFailureTravelsAsData) {
  const Error original(Code::kNumeric, "loss is NaN at step 3", "use a lower learning rate");
  const auto failure = Decode<Failure>(kType, Encode(kType, Failure::From(original)), kPeer3);
  const Error error = Caught([&] { failure.Throw(kPeer3); });
  EXPECT_EQ(error.code(), Code::kNumeric);
  EXPECT_EQ(error.message(), "rank 3 on node7: loss is NaN at step 3");
  EXPECT_EQ(error.hint(), "use a lower learning rate");
  EXPECT_EQ(Failure::From(std::bad_alloc()).code, "memory");
  EXPECT_EQ(Failure::From(std::runtime_error("x")).code, "internal");
}

}  // namespace
}  // namespace hullft::comm::wire
