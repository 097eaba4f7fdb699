#include "common/tokenizer/pre_tokenizer.h"

#include <functional>
#include <utility>
#include <vector>

#include "common/tokenizer/byte_level.h"
#include "common/tokenizer/metaspace.h"
#include "common/tokenizer/pattern.h"
#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {
namespace {

// What becomes of the separators that Split finds.
enum class Behavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

Behavior BehaviorOf(Fields& fields) {
  const std::string name = fields.String("behavior");
  if (name == "Removed") return Behavior::kRemoved;
  if (name == "Isolated") return Behavior::kIsolated;
  if (name == "MergedWithPrevious") return Behavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return Behavior::kMergedWithNext;
  if (name == "Contiguous") return Behavior::kContiguous;
  fields.Fail("behavior",
              "is '" + name + "'; known are Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous");
}

struct Part {
  size_t begin, end;
  bool is_match;
};

// Joins neighbouring parts as the behavior says and emits what remains. The reference's NormalizedString::split.
template <class Emit>
void EmitParts(const std::vector<Part>& parts, Behavior behavior, const Emit& emit) {
  std::vector<Span> joined;
  bool last_was_match = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    const Part& part = parts[i];
    bool join = false;
    switch (behavior) {
      case Behavior::kRemoved:
        if (part.is_match) continue;
        break;
      case Behavior::kIsolated:
        break;
      case Behavior::kMergedWithPrevious:
        join = part.is_match && !last_was_match;
        break;
      case Behavior::kMergedWithNext:
        // The reference goes from the back: a match joins the part behind it unless that is a match too.
        join = !part.is_match && last_was_match;
        break;
      case Behavior::kContiguous:
        join = part.is_match == last_was_match;
        break;
    }
    if (join && !joined.empty()) {
      joined.back().end = part.end;
    } else {
      joined.push_back({part.begin, part.end});
    }
    last_was_match = part.is_match;
  }
  for (const Span span : joined) emit(span.begin, span.end);
}

class Split : public PreTokenizer {
 public:
  explicit Split(Fields& fields)
      : pattern_(fields.Raw("pattern"), fields.place().Inside("pattern")),
        behavior_(BehaviorOf(fields)),
        invert_(fields.Bool("invert", false)) {}
  Split(Pattern pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void Apply(Pieces* pieces) const override {
    std::vector<Part> parts;
    pieces->Split([&](std::string_view piece, const auto& emit) {
      if (behavior_ == Behavior::kIsolated) {
        pattern_.ForEach(piece, [&](size_t begin, size_t end, bool) { emit(begin, end); });
        return;
      }
      parts.clear();
      pattern_.ForEach(piece, [&](size_t begin, size_t end, bool match) {
        parts.push_back({begin, end, match != invert_});
      });
      EmitParts(parts, behavior_, emit);
    });
  }

 private:
  Pattern pattern_;
  Behavior behavior_;
  bool invert_;
};

// Splits at the characters of some classes.
class SplitAtClass : public PreTokenizer {
 public:
  SplitAtClass(uint16_t classes, Behavior behavior) : classes_(classes), behavior_(behavior) {}

  void Apply(Pieces* pieces) const override {
    std::vector<Part> parts;
    pieces->Split([&](std::string_view piece, const auto& emit) {
      parts.clear();
      size_t gap = 0;
      for (size_t at = 0; at < piece.size();) {
        const Character c = DecodeAt(piece, at);
        if (IsA(c.code, classes_)) {
          if (gap < at) parts.push_back({gap, at, false});
          parts.push_back({at, at + c.bytes, true});
          gap = at + c.bytes;
        }
        at += c.bytes;
      }
      if (gap < piece.size()) parts.push_back({gap, piece.size(), false});
      EmitParts(parts, behavior_, emit);
    });
  }

 private:
  uint16_t classes_;
  Behavior behavior_;
};

// Cuts out the runs of characters of words and those of characters that are neither of words nor spaces.
class Whitespace : public PreTokenizer {
 public:
  void Apply(Pieces* pieces) const override {
    const auto kind_at = [](std::string_view piece, size_t at) {
      return CharacterClass(DecodeAt(piece, at).code) & kKinds;
    };
    pieces->Split([&](std::string_view piece, const auto& emit) {
      for (size_t begin = 0, end = 0; begin < piece.size(); begin = end) {
        const auto kind = kind_at(piece, begin);
        while (end < piece.size() && kind_at(piece, end) == kind) end += DecodeAt(piece, end).bytes;
        if (kind != kSpace) emit(begin, end);
      }
    });
  }

 private:
  static constexpr uint16_t kKinds = kWord | kSpace;
};

class ByteLevel : public PreTokenizer {
 public:
  explicit ByteLevel(Fields& fields)
      : add_prefix_space_(fields.Bool("add_prefix_space")), use_regex_(fields.Bool("use_regex", true)) {
    fields.Ignore("trim_offsets");  // offsets only, which are not computed here
  }

  void Apply(Pieces* pieces) const override {
    std::string prefixed;
    pieces->Map([&](std::string_view piece, std::string* out, const auto& emit) {
      if (add_prefix_space_ && piece.front() != ' ') piece = prefixed = " " + std::string(piece);
      if (!use_regex_) {
        AppendByteLevel(piece, out);
        emit();
        return;
      }
      for (size_t at = 0; at < piece.size();) {
        const size_t end = Gpt2PieceEnd(piece, at);
        AppendByteLevel(piece.substr(at, end - at), out);
        emit();
        at = end;
      }
    });
  }

 private:
  bool add_prefix_space_, use_regex_;
};

class CutAtMetaspace : public PreTokenizer {
 public:
  explicit CutAtMetaspace(Fields& fields) : metaspace_(Metaspace::Read(fields)) {}

  void Apply(Pieces* pieces) const override {
    bool begins_text = pieces->begins_text() && !pieces->spans().empty() && pieces->spans().front().begin == 0;
    pieces->Map([&](std::string_view piece, std::string* out, const auto& emit) {
      metaspace_.Cut(piece, std::exchange(begins_text, false), out, emit);
    });
  }

 private:
  Metaspace metaspace_;
};

class Sequence : public PreTokenizer {
 public:
  void Add(std::unique_ptr<PreTokenizer> step) { steps_.push_back(std::move(step)); }
  void Apply(Pieces* pieces) const override {
    for (const auto& step : steps_) step->Apply(pieces);
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> steps_;
};

std::unique_ptr<PreTokenizer> MakeSequence(Fields& fields) {
  auto sequence = std::make_unique<Sequence>();
  const nlohmann::json& list = fields.Array("pretokenizers");
  for (size_t i = 0; i < list.size(); ++i)
    sequence->Add(MakePreTokenizer(list[i], fields.place().Inside("pretokenizers").At(i)));
  return sequence;
}

std::unique_ptr<PreTokenizer> MakeBert() {
  auto sequence = std::make_unique<Sequence>();
  sequence->Add(std::make_unique<SplitAtClass>(kSpace, Behavior::kRemoved));
  sequence->Add(std::make_unique<SplitAtClass>(kBertPunctuation, Behavior::kIsolated));
  return sequence;
}

std::unique_ptr<PreTokenizer> MakeOfType(const std::string& type, Fields& fields) {
  if (type == "ByteLevel") return std::make_unique<ByteLevel>(fields);
  if (type == "Metaspace") return std::make_unique<CutAtMetaspace>(fields);
  if (type == "Sequence") return MakeSequence(fields);
  if (type == "Split") return std::make_unique<Split>(fields);
  if (type == "BertPreTokenizer") return MakeBert();
  if (type == "WhitespaceSplit") return std::make_unique<SplitAtClass>(kSpace, Behavior::kRemoved);
  if (type == "Whitespace") return std::make_unique<Whitespace>();
  if (type == "Digits")
    return std::make_unique<SplitAtClass>(
        kNumeric, fields.Bool("individual_digits") ? Behavior::kIsolated : Behavior::kContiguous);
  if (type == "Punctuation") return std::make_unique<SplitAtClass>(kBertPunctuation, BehaviorOf(fields));
  FailUnimplemented(fields.place(), "names the pre-tokenizer '" + type + "', which is not implemented");
}

}  // namespace

std::unique_ptr<PreTokenizer> MakePreTokenizer(const nlohmann::json& json, const Place& place) {
  Fields fields(json, place);
  auto pre_tokenizer = MakeOfType(fields.String("type"), fields);
  fields.Done();
  return pre_tokenizer;
}

}  // namespace hullft::tokenizer
