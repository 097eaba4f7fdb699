#include "common/tokenizer/unicode_sets.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "common/tokenizer/regex.h"
#include "common/tokenizer/unicode.h"
#include "common/tokenizer/unicode_tables.h"

namespace hullft::tokenizer {
namespace {

using Ranges = std::vector<std::pair<char32_t, char32_t>>;

std::string Write(const Ranges& ranges) {
  std::string out;
  for (const auto& [first, last] : ranges)
    out += fmt::format("\\x{{{:x}}}-\\x{{{:x}}}", static_cast<uint32_t>(first), static_cast<uint32_t>(last));
  return out;
}

void Append(char32_t code, Ranges* ranges) {
  if (ranges->empty() || ranges->back().second + 1 != code) ranges->emplace_back(code, code);
  ranges->back().second = code;
}

// The characters from first to last that PCRE2 finds in a set.
Ranges Members(const std::string& set, char32_t first, char32_t last) {
  std::string all;
  for (char32_t code = first; code <= last; ++code)
    if (code < 0xD800 || code > 0xDFFF) AppendUtf8(code, &all);
  const Regex regex = Regex::Pcre("[" + set + "]", {"unicode_sets.cc", set});
  Ranges ranges;
  for (auto match = regex.Find(all, 0); match; match = regex.Find(all, match->end))
    Append(DecodeAt(all, match->begin).code, &ranges);
  return ranges;
}

bool IsIn(const CategoryRange& range, std::string_view name) {
  return std::string_view(range.name).starts_with(name);
}

std::string MakeCategorySet(std::string_view name) {
  const std::string own = fmt::format("\\p{{{}}}", name);
  const CategoryRange* const end = kNewCategories + kNewCategoriesCount;
  Ranges added;
  bool takes_away = false;
  for (const CategoryRange* range = kNewCategories; range != end; ++range) {
    if (IsIn(*range, name)) {
      added.emplace_back(range->first, range->last);
    } else {
      takes_away |= !Members(own, range->first, range->last).empty();
    }
  }
  if (!takes_away) return own + Write(added);
  // A class can only add, so what is in it must be spelled out.
  Ranges all;
  for (const auto& [first, last] : Members(own, 0, 0x10FFFF)) {
    for (char32_t code = first; code <= last; ++code) {
      const bool is_new = std::any_of(kNewCategories, end, [&](const CategoryRange& range) {
        return code >= range.first && code <= range.last && !IsIn(range, name);
      });
      if (!is_new) Append(code, &all);
    }
  }
  return Write(all) + Write(added);
}

// Remembers the sets: files of models repeat a few of them, and each takes some 10 ms to make.
template <class Make>
std::string Remembered(const std::string& key, const Make& make) {
  static std::mutex mutex;
  static std::map<std::string, std::string> sets;
  {
    const std::lock_guard lock(mutex);
    if (const auto found = sets.find(key); found != sets.end()) return found->second;
  }
  std::string set = make();
  const std::lock_guard lock(mutex);
  return sets.emplace(key, std::move(set)).first->second;
}

constexpr std::string_view kCategories[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",  "Nd",
                                            "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm",
                                            "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co", "Cn"};

}  // namespace

std::string SpaceSet() {
  return R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
}

std::string WordSet() {
  return *CategorySet("L") + *CategorySet("M") + *CategorySet("Nd") + *CategorySet("Nl") + *CategorySet("Pc") +
         R"(\x{24b6}-\x{24e9}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";
}

std::string LatinWordSet() {
  return R"(\x{b2}\x{b3}\x{b9}\x{bc}-\x{be})";
}

std::optional<std::string> CategorySet(std::string_view name) {
  if (std::find(std::begin(kCategories), std::end(kCategories), name) == std::end(kCategories)) return std::nullopt;
  return Remembered(std::string(name), [&] { return MakeCategorySet(name); });
}

std::string Complement(const std::string& set) {
  return Remembered("^" + set, [&] { return Write(Members("^" + set, 0, 0x10FFFF)); });
}

}  // namespace hullft::tokenizer
