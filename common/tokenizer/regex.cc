#include "common/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <new>
#include <utility>

#include "common/error.h"
#include "common/tokenizer/oniguruma.h"

namespace hullft::tokenizer {
namespace {

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

Regex::Regex(const std::string& pattern, const Place& place) : Regex(Pcre(PcreOfOniguruma(pattern, place), place)) {}

Regex Regex::Pcre(std::string pattern, const Place& place) {
  return {Compiled{}, std::move(pattern), place};
}

Regex::Regex(Compiled, std::string pattern, const Place& place) : impl_(std::make_unique<Impl>()) {
  impl_->pattern = std::move(pattern);
  int error = 0;
  PCRE2_SIZE at = 0;
  impl_->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(impl_->pattern.data()), impl_->pattern.size(),
                              PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NO_UTF_CHECK, &error, &at, nullptr);
  if (impl_->code == nullptr)
    throw DataError("{}: {} is not a regular expression: {} at character {} of '{}'", place.file, place.field,
                    PcreMessage(error), at, impl_->pattern);
  // Without a JIT on this machine pcre2_match interprets: slower, the same matches.
  // ignored: without it the pattern is matched by the interpreter
  (void)pcre2_jit_compile(impl_->code, PCRE2_JIT_COMPLETE);
}

Regex::Regex(Regex&&) noexcept = default;

Regex::~Regex() {
  if (impl_) pcre2_code_free(impl_->code);
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

}  // namespace hullft::tokenizer
