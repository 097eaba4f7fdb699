#include "common/test_faults.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

#include "common/error.h"
#include "common/files.h"

namespace hullft::test_faults {
namespace {

constexpr const char* kVariable = "HULLFT_TEST_FAULTS";
constexpr std::array<const char*, 6> kNames = {"write", "fsync", "flip", "tokens", "read", "delay"};

struct Faults {
  std::array<std::vector<int64_t>, kNames.size()> numbers;  // by kind: the events that fail
  std::array<std::atomic<int64_t>, kNames.size()> seen = {};
};

int64_t Number(std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 1)
    throw UsageError("{}: '{}' is no number from 1", kVariable, text);
  return number;
}

// The launcher's number of this process; "0" without one.
std::string OwnRank() {
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"}) {
    if (const char* rank = std::getenv(variable); rank != nullptr) return rank;
  }
  return "0";
}

void Add(const std::string& fault, Faults* faults) {
  const size_t first = fault.find(':'), second = fault.find(':', first + 1);
  if (second == std::string::npos) throw UsageError("{}: '{}' is not RANK:KIND:NUMBER", kVariable, fault);
  const std::string rank = fault.substr(0, first), kind = fault.substr(first + 1, second - first - 1);
  const auto place = std::find(kNames.begin(), kNames.end(), kind);
  if (place == kNames.end()) throw UsageError("{}: '{}' is no kind of fault", kVariable, kind);
  const int64_t number = Number(std::string_view(fault).substr(second + 1));
  if (rank == "*" || rank == OwnRank()) faults->numbers[static_cast<size_t>(place - kNames.begin())].push_back(number);
}

Faults* FromEnvironment() {
  const char* text = std::getenv(kVariable);
  if (text == nullptr) return nullptr;
  static Faults faults;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) Add(word, &faults);
  return &faults;
}

Faults* Wanted() {
  static Faults* const wanted = FromEnvironment();
  return wanted;
}

}  // namespace

void Announce(std::string_view what) {
  fmt::print(stderr, "test fault: {}\n", what);
}

bool Strikes(Kind kind) {
  Faults* const faults = Wanted();
  if (faults == nullptr) return false;
  const auto k = static_cast<size_t>(kind);
  const int64_t number = ++faults->seen[k];
  if (std::ranges::find(faults->numbers[k], number) == faults->numbers[k].end()) return false;
  Announce(fmt::format("{} {}", kNames[k], number));
  return true;
}

void FlipBit(void* bytes, int64_t size) {
  if (size == 0) return;
  const int64_t bit = size * 8 * 5 / 7;  // somewhere in the body
  static_cast<unsigned char*>(bytes)[bit / 8] ^= static_cast<unsigned char>(1U << (bit % 8));
}

void Delay() {
  Faults* const faults = Wanted();
  if (faults == nullptr) return;
  const auto kind = static_cast<size_t>(Kind::kDelay);
  if (faults->numbers[kind].empty()) return;
  const int64_t number = ++faults->seen[kind];
  if (number == 1) Announce("delay");
  const int64_t step = number * 7919;  // a prime, so that neighbours wait differently long
  std::this_thread::sleep_for(std::chrono::milliseconds(step % (faults->numbers[kind].front() + 1)));
}

std::optional<int64_t> FreeBytes() {
  const char* path = std::getenv("HULLFT_TEST_DISK");
  if (path == nullptr) return std::nullopt;
  const std::string text = ReadFile(path);
  return Number(std::string_view(text).substr(0, text.find('\n')));
}

}  // namespace hullft::test_faults
