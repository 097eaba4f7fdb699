#include "common/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <new>
#include <utility>
#include <vector>

#include "common/error.h"
#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {
namespace {

// White_Space of Unicode 6.3 and later, and its complement, as the inside of a character class.
constexpr const char* kSpaces =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr const char* kNotSpaces =
    R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e})"
    R"(\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{10ffff})";

std::string PcreMessage(int code) {
  PCRE2_UCHAR buffer[256];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

// One per thread: matching must not allocate per call.
struct ThreadState {
  ThreadState() : data(pcre2_match_data_create(1, nullptr)), context(pcre2_match_context_create(nullptr)) {
    if (data == nullptr || context == nullptr) throw std::bad_alloc();
    pcre2_set_depth_limit(context, UINT32_MAX);
    pcre2_set_heap_limit(context, UINT32_MAX);
  }
  ~ThreadState() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
  }
  ThreadState(const ThreadState&) = delete;
  ThreadState& operator=(const ThreadState&) = delete;

  pcre2_match_data* const data;
  pcre2_match_context* const context;
};

}  // namespace

struct Regex::Impl {
  pcre2_code* code = nullptr;
  std::string pattern;
};

Regex::Regex(const std::string& pattern, const Place& place) : impl_(std::make_unique<Impl>()) {
  impl_->pattern = WithReferenceClasses(pattern);
  int error = 0;
  PCRE2_SIZE at = 0;
  impl_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(impl_->pattern.data()), impl_->pattern.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_NO_UTF_CHECK, &error, &at, nullptr);
  if (impl_->code == nullptr)
    throw DataError("{}: {} is not a regular expression: {} at character {} of '{}'", place.file, place.field,
                    PcreMessage(error), at, impl_->pattern);
  // Without a JIT on this machine pcre2_match interprets: slower, the same matches.
  // ignored: without it the pattern is matched by the interpreter
  (void)pcre2_jit_compile(impl_->code, PCRE2_JIT_COMPLETE);
}

Regex::~Regex() {
  pcre2_code_free(impl_->code);
}

std::optional<Regex::Match> Regex::Find(std::string_view text, size_t from) const {
  thread_local const ThreadState state;
  // A tame pattern takes a number of steps for each byte, also of a 50 MB line of spaces. A runaway one takes
  // exponentially many: it must end in an error.
  constexpr uint64_t kSteps = 1'000'000, kStepsPerByte = 100;
  const uint64_t steps = kSteps + kStepsPerByte * (text.size() - from);
  pcre2_set_match_limit(state.context, static_cast<uint32_t>(std::min<uint64_t>(steps, UINT32_MAX)));
  const auto match = [&](uint32_t options) {
    return pcre2_match(impl_->code, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK | options, state.data, state.context);
  };
  int result = match(0);
  // The JIT's stack is small and fixed; the interpreter keeps its on the heap.
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) result = match(PCRE2_NO_JIT);
  if (result == PCRE2_ERROR_NOMATCH) return std::nullopt;
  if (result < 0)
    throw DataError("matching the regular expression '{}' failed: {}", impl_->pattern, PcreMessage(result));
  const PCRE2_SIZE* ends = pcre2_get_ovector_pointer(state.data);
  return Match{ends[0], ends[1]};
}

namespace {

// The characters of a class of the reference that `complement` (such as \P{L}) matches in this PCRE2, as the inside of
// a character class.
std::string MissingFromPcre(const std::string& complement, uint16_t reference_class) {
  std::string all;
  for (char32_t code = 0; code < 0x110000; ++code)
    if (IsA(code, reference_class)) AppendUtf8(code, &all);
  const Regex missing(complement, {"regex.cc", complement});
  std::vector<std::pair<char32_t, char32_t>> runs;
  for (auto match = missing.Find(all, 0); match; match = missing.Find(all, match->end)) {
    const char32_t code = DecodeAt(all, match->begin).code;
    if (runs.empty() || runs.back().second + 1 != code) runs.emplace_back(code, code);
    runs.back().second = code;
  }
  std::string ranges;
  for (const auto& [first, last] : runs)
    ranges += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", static_cast<uint32_t>(first), static_cast<uint32_t>(last));
  return ranges;
}

// The inside of a character class that an escape of the reference means, or nothing for one that PCRE2 may keep.
std::optional<std::string> ClassOf(std::string_view escape) {
  if (escape.starts_with("\\s")) return kSpaces;
  if (escape.starts_with("\\S")) return kNotSpaces;
  if (escape.starts_with("\\p{L}")) {
    static const std::string letters = "\\p{L}" + MissingFromPcre("\\P{L}", kLetter);
    return letters;
  }
  if (escape.starts_with("\\p{N}")) {
    static const std::string numbers = "\\p{N}" + MissingFromPcre("\\P{N}", kNumber);
    return numbers;
  }
  return std::nullopt;
}

}  // namespace

std::string WithReferenceClasses(const std::string& pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c != '\\' || i + 1 == pattern.size()) {
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      out += c;
      continue;
    }
    if (const std::optional<std::string> set = ClassOf(std::string_view(pattern).substr(i))) {
      out += in_class ? *set : "[" + *set + "]";
      i += pattern[i + 1] == 'p' ? 4 : 1;
    } else {
      out += {c, pattern[++i]};
    }
  }
  return out;
}

}  // namespace hullft::tokenizer
