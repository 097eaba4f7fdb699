#include "common/tokenizer/oniguruma.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>
#include <vector>

#include "common/tokenizer/unicode_sets.h"

namespace hullft::tokenizer {
namespace {

bool IsAlnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

// Rewrites one pattern from front to back.
class Rewriter {
 public:
  Rewriter(std::string_view pattern, const Place& place) : pattern_(pattern), place_(place) {}

  std::string Run() {
    while (at_ < pattern_.size()) Next();
    if (!groups_.empty()) Fail("a group without its end");
    return std::move(out_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    FailUnimplemented(place_,
                      "has " + what + " at byte " + std::to_string(at_) + " of '" + std::string(pattern_) + "'");
  }
  bool Sees(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }
  bool Take(std::string_view text) {
    const bool sees = Sees(text);
    if (sees) at_ += text.size();
    return sees;
  }

  // An atom that begins at the end of out_: what a quantifier behind it repeats.
  void Atom(std::string_view text) {
    atom_ = out_.size();
    out_ += text;
  }

  void Next() {
    const char c = pattern_[at_], previous = std::exchange(literal_, '\0');
    if (c == '\\') {
      Escape();
    } else if (c == '[') {
      ++at_;
      bool negated = false;
      const std::string inside = ClassInside(&negated);
      Atom((negated ? "[^" : "[") + inside + "]");
    } else if (c == '(') {
      BeginGroup();
    } else if (c == ')') {
      if (groups_.empty()) Fail("an end without a group");
      atom_ = groups_.back();
      groups_.pop_back();
      out_ += pattern_[at_++];
    } else if (c == '{') {
      Interval();
    } else if (c == '*' || c == '+' || c == '?' || c == '|') {
      out_ += pattern_[at_++];
    } else {  // a character, of which the bytes behind the first belong to the same atom
      if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) atom_ = out_.size();
      if (ignores_case_) CheckFolding(previous, c);
      literal_ = c;
      out_ += pattern_[at_++];
    }
  }

  void BeginGroup() {
    const size_t begin = at_;
    const bool leads = begin == 0 || pattern_[begin - 1] == '(' || pattern_[begin - 1] == ':';
    for (const char* plain : {"(?:", "(?=", "(?!", "(?>", "(?<=", "(?<!"}) {
      if (!Take(plain)) continue;
      groups_.push_back(out_.size());
      out_ += plain;
      return;
    }
    if (Sees("(*")) Fail("a callout");
    if (!Take("(?")) {
      ++at_;
      groups_.push_back(out_.size());
      out_ += '(';
      return;
    }
    const size_t group = out_.size();
    out_ += "(?";
    for (; at_ < pattern_.size() && (Sees("i") || Sees("m") || Sees("-")); ++at_) {
      ignores_case_ |= pattern_[at_] == 'i';
      out_ += pattern_[at_] == 'm' ? 's' : pattern_[at_];  // Ruby's (?m) lets the dot match a line's end
    }
    if (Take(":")) {
      groups_.push_back(group);
      out_ += ':';
    } else if (Take(")") && leads) {  // elsewhere it would bind alternatives in another way than PCRE2's
      out_ += ')';
    } else {
      Fail("an unknown kind of group");
    }
  }

  // At a "{".
  void Interval() {
    const size_t begin = at_++;
    const auto number = [&] {
      const size_t from = at_;
      while (at_ < pattern_.size() && std::isdigit(static_cast<unsigned char>(pattern_[at_])) != 0) ++at_;
      return std::string(pattern_.substr(from, at_ - from));
    };
    std::string least = number();
    const bool has_comma = Take(",");
    const std::string most = has_comma ? number() : "";
    if ((least.empty() && most.empty()) || !Take("}")) {  // an ordinary brace
      at_ = begin + 1;
      Atom("\\{");
      return;
    }
    if (least.empty()) least = "0";
    const std::string interval = "{" + least + (has_comma ? "," : "") + most + "}";
    // To Ruby {n}+ repeats the repetition, and so does {n}?; {n,m}? is lazy to both.
    if (Sees("+") || (Sees("?") && !has_comma)) {
      out_.insert(atom_, "(?:");
      out_ += interval + ")" + pattern_[at_++];
    } else {
      out_ += interval;
    }
  }

  // At a backslash outside of a class.
  void Escape() {
    if (at_ + 1 >= pattern_.size()) Fail("a backslash at its end");
    if (const std::optional<std::string> set = Set(false)) {
      Atom("[" + *set + "]");
      return;
    }
    if (Take("\\b")) {
      const std::string word = "[" + WordSet() + LatinWordSet() + "]";
      Atom("(?:(?<=" + word + ")(?!" + word + ")|(?<!" + word + ")(?=" + word + "))");
    } else if (Take("\\B")) {
      const std::string word = "[" + WordSet() + LatinWordSet() + "]";
      Atom("(?:(?<=" + word + ")(?=" + word + ")|(?<!" + word + ")(?!" + word + "))");
    } else if (Take("\\R")) {
      Atom(R"((?>\r\n|[\x{a}-\x{d}\x{85}\x{2028}\x{2029}]))");
    } else if (Sees("\\A") || Sees("\\z") || Sees("\\Z") || Sees("\\G") ||
               std::isdigit(static_cast<unsigned char>(pattern_[at_ + 1])) != 0) {
      Atom(pattern_.substr(at_, 2));
      at_ += 2;
    } else {
      Atom(EscapedCharacter());
    }
  }

  // An escape that is one character, in or outside of a class.
  std::string EscapedCharacter() {
    if (Take("\\v")) return "\\x{b}";
    const char c = pattern_[at_ + 1];
    if (c == 'u') return CodeOf(2, 4, 0x10FFFF);
    if (Sees("\\x{")) {
      const size_t end = pattern_.find('}', at_);
      const size_t digits = end == std::string_view::npos ? 0 : end - at_ - 3;
      std::string code = CodeOf(3, digits, 0x10FFFF);
      ++at_;
      return code;
    }
    if (c == 'x') return CodeOf(2, 2, 0x7F);  // above it stands a byte, not a character
    if (IsAlnum(c) && std::string_view("nrtfae").find(c) == std::string_view::npos)
      Fail(std::string("the escape \\") + c);
    const std::string escape(pattern_.substr(at_, 2));
    at_ += 2;
    return escape;
  }

  // The character of so many hexadecimal digits, which begin `skip` bytes from here.
  std::string CodeOf(size_t skip, size_t digits, unsigned long most) {
    const std::string text(pattern_.substr(std::min(at_ + skip, pattern_.size())).substr(0, digits));
    const bool is_hex = text.find_first_not_of("0123456789abcdefABCDEF") == std::string::npos;
    if (text.empty() || text.size() != digits || digits > 6 || !is_hex || std::stoul(text, nullptr, 16) > most)
      Fail("a character code");
    at_ += skip + digits;
    return "\\x{" + text + "}";
  }

  // What an escape like \s or \p{L} means, as the inside of a class; nothing, and at_ stays, for another escape.
  std::optional<std::string> Set(bool in_class) {
    const auto word = [&] { return in_class ? WordSet() : WordSet() + LatinWordSet(); };
    if (Take("\\s")) return SpaceSet();
    if (Take("\\S")) return Complement(SpaceSet());
    if (Take("\\w")) return word();
    if (Take("\\W")) return Complement(word());
    if (Take("\\d")) return CategorySet("Nd");
    if (Take("\\D")) return Complement(*CategorySet("Nd"));
    if (Take("\\h")) return "0-9A-Fa-f";
    if (Take("\\H")) return Complement("0-9A-Fa-f");
    if (!Sees("\\p{") && !Sees("\\P{")) return std::nullopt;
    const size_t end = pattern_.find('}', at_);
    std::string_view name = pattern_.substr(at_ + 3, end == std::string_view::npos ? end : end - at_ - 3);
    const bool negated = (pattern_[at_ + 1] == 'P') != name.starts_with("^");
    if (name.starts_with("^")) name.remove_prefix(1);
    const std::optional<std::string> set = CategorySet(name);
    if (!set || end == std::string_view::npos) Fail("the property '" + std::string(name) + "'");
    at_ = end + 1;
    return negated ? Complement(*set) : *set;
  }

  // Behind a class's "[", up to and with its "]".
  std::string ClassInside(bool* negated) {
    *negated = Take("^");
    if (Sees("]")) Fail("an empty class");
    std::string inside;
    bool was_set = false;
    while (!Take("]")) {
      if (at_ >= pattern_.size()) Fail("a class without its end");
      if (Sees("&&")) Fail("an intersection of classes");
      // A range cannot begin or end with a set, there the dash is itself.
      if (Sees("-") && at_ + 1 < pattern_.size()) {
        const bool ends_class = pattern_[at_ + 1] == ']';
        ++at_;
        const bool is_range = !was_set && !inside.empty() && !ends_class;
        inside += is_range ? "-" : "\\-";
        if (is_range) EndOfRange(&inside);
        was_set = true;
        continue;
      }
      was_set = ClassItem(&inside);
    }
    return inside;
  }

  void EndOfRange(std::string* inside) {
    if (Sees("[") || ClassItem(inside)) Fail("a range that ends with a set");
  }

  // One item of a class; whether it is a set of characters.
  bool ClassItem(std::string* inside) {
    if (Sees("[:")) {
      *inside += PosixSet();
      return true;
    }
    if (Take("[")) {
      bool negated = false;
      const std::string nested = ClassInside(&negated);
      *inside += negated ? Complement(nested) : nested;
      return true;
    }
    if (pattern_[at_] != '\\') {
      *inside += pattern_[at_++];
      while (at_ < pattern_.size() && (static_cast<unsigned char>(pattern_[at_]) & 0xC0) == 0x80)
        *inside += pattern_[at_++];
      return false;
    }
    if (at_ + 1 >= pattern_.size()) Fail("a class without its end");
    if (const std::optional<std::string> set = Set(true)) {
      *inside += *set;
      return true;
    }
    *inside += EscapedCharacter();
    return false;
  }

  std::string PosixSet() {
    if (Take("[:digit:]")) return *CategorySet("Nd");
    if (Take("[:space:]")) return SpaceSet();
    if (Take("[:punct:]")) return *CategorySet("P") + *CategorySet("S");
    if (Take("[:xdigit:]")) return "0-9A-Fa-f";
    Fail("a named class");
  }

  // Oniguruma also takes one character for several letters when case is ignored: U+00DF for "ss", U+FB01 for "fi".
  void CheckFolding(char previous, char c) const {
    const auto lower = [](char letter) { return std::tolower(static_cast<unsigned char>(letter)); };
    const std::string_view seconds = lower(previous) == 's' ? "st" : lower(previous) == 'f' ? "fil" : "";
    if (seconds.find(static_cast<char>(lower(c))) != std::string_view::npos)
      Fail("letters that a ligature stands for, with case ignored,");
  }

  const std::string_view pattern_;
  const Place& place_;
  size_t at_ = 0;               // in pattern_
  std::string out_;             // what is rewritten
  size_t atom_ = 0;             // where the last atom begins in out_
  std::vector<size_t> groups_;  // where the open ones begin in out_
  char literal_ = '\0';         // the last character, where it stands for itself outside of a class
  bool ignores_case_ = false;
};

}  // namespace

std::string PcreOfOniguruma(std::string_view pattern, const Place& place) {
  return "(*LF)" + Rewriter(pattern, place).Run();  // the dot and the anchors know no other end of a line
}

}  // namespace hullft::tokenizer
