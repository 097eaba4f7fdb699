// Does a candidate give its query away? The guard of `--guard`: what a query and a candidate share, by the tokens of
// the language model and by their texts. Pure: texts and tokens in, an answer out.
//
// Leaks: the share of 13-grams is above the threshold, or one of the two texts, without white space at its ends, stands
// whole in the other. Share: different 13-grams of tokens that both have, over those of the one that has fewer; 0 where
// one has none (fewer than 13 tokens). 13: what contamination is commonly measured with (Brown et al., 2020, appendix
// C). 13-grams are compared by 64-bit hashes. Thread safety: const functions may run together.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hullft::coordinator {

// What is done about candidates that leak: nothing is looked at (kOff), the row counts them (kMark), they stay out of
// the pool, and others come in their place (kDrop).
enum class GuardMode { kOff, kMark, kDrop };
GuardMode GuardModeFromName(const std::string& name);  // off, mark, drop; kUsage for another

inline constexpr size_t kLeakGram = 13;  // tokens

class LeakageCheck {
 public:
  LeakageCheck(std::string_view text, std::span<const int32_t> tokens, double threshold);

  double Share(std::span<const int32_t> tokens) const;
  bool Contains(std::string_view text) const;  // whole, one way or the other
  bool Leaks(std::string_view text, std::span<const int32_t> tokens) const {
    return Share(tokens) > threshold_ || Contains(text);
  }

 private:
  std::string text_;             // trimmed
  std::vector<uint64_t> grams_;  // hashes, rising, different
  double threshold_;
};

}  // namespace hullft::coordinator
