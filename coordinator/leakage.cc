#include "coordinator/leakage.h"

#include <algorithm>

#include "common/error.h"
#include "common/hash.h"

namespace hullft::coordinator {
namespace {

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\r\f\v";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) + 1 - begin);
}

std::vector<uint64_t> Grams(std::span<const int32_t> tokens) {
  std::vector<uint64_t> grams;
  for (size_t i = 0; i + kLeakGram <= tokens.size(); ++i) {
    grams.push_back(Hash64({reinterpret_cast<const char*>(&tokens[i]), kLeakGram * sizeof(int32_t)}));
  }
  std::sort(grams.begin(), grams.end());
  grams.erase(std::unique(grams.begin(), grams.end()), grams.end());
  return grams;
}

}  // namespace

GuardMode GuardModeFromName(const std::string& name) {
  if (name == "off") return GuardMode::kOff;
  if (name == "mark") return GuardMode::kMark;
  if (name == "drop") return GuardMode::kDrop;
  throw Error(Code::kUsage, fmt::format("--guard {}: it must be off, mark or drop", name));
}

LeakageCheck::LeakageCheck(std::string_view text, std::span<const int32_t> tokens, double threshold)
    : text_(Trimmed(text)), grams_(Grams(tokens)), threshold_(threshold) {}

double LeakageCheck::Share(std::span<const int32_t> tokens) const {
  const std::vector<uint64_t> grams = Grams(tokens);
  const size_t fewer = std::min(grams.size(), grams_.size());
  if (fewer == 0) return 0;
  size_t shared = 0;
  for (auto a = grams.begin(), b = grams_.begin(); a != grams.end() && b != grams_.end();) {
    if (*a == *b)
      ++shared, ++a, ++b;
    else if (*a < *b)
      ++a;
    else
      ++b;
  }
  return static_cast<double>(shared) / static_cast<double>(fewer);
}

bool LeakageCheck::Contains(std::string_view text) const {
  text = Trimmed(text);
  if (text.empty() || text_.empty()) return false;
  return text.size() <= text_.size() ? text_.find(text) != std::string::npos
                                     : text.find(text_) != std::string_view::npos;
}

}  // namespace hullft::coordinator
