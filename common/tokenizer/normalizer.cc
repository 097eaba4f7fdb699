#include "common/tokenizer/normalizer.h"

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "common/tokenizer/byte_level.h"
#include "common/tokenizer/charsmap.h"
#include "common/tokenizer/pattern.h"
#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {
namespace {

// A normalizer that is a function.
class Function : public Normalizer {
 public:
  explicit Function(std::function<std::string(std::string)> function) : function_(std::move(function)) {}
  std::string Apply(std::string text) const override { return function_(std::move(text)); }

 private:
  std::function<std::string(std::string)> function_;
};

// Normalizers in turn.
class Sequence : public Normalizer {
 public:
  explicit Sequence(std::vector<std::unique_ptr<Normalizer>> steps) : steps_(std::move(steps)) {}
  std::string Apply(std::string text) const override {
    for (const auto& step : steps_) text = step->Apply(std::move(text));
    return text;
  }
  void ApplyWithHead(std::string* text, std::string* head) const override {
    for (const auto& step : steps_) step->ApplyWithHead(text, head);
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> steps_;
};

class Strip : public Normalizer {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  std::string Apply(std::string text) const override {
    std::string_view rest = text;
    while (left_ && !rest.empty() && IsA(DecodeAt(rest, 0).code, kSpace)) rest.remove_prefix(DecodeAt(rest, 0).bytes);
    while (right_ && !rest.empty() && IsA(DecodeLast(rest).code, kSpace)) rest.remove_suffix(DecodeLast(rest).bytes);
    return std::string(rest);
  }
  // A head of spaces is not at the text's right end, unless all of the text goes.
  void ApplyWithHead(std::string* text, std::string* head) const override {
    *text = Apply(std::move(*text));
    *head = Strip(left_, false).Apply(std::move(*head));
  }

 private:
  bool left_, right_;
};

class Precompiled : public Normalizer {
 public:
  explicit Precompiled(Fields& fields)
      : rules_(fields.String("precompiled_charsmap"), fields.place().Inside("precompiled_charsmap")) {}
  std::string Apply(std::string text) const override { return rules_.Normalize(text); }
  // To the reference what it leaves of a text always begins it.
  void ApplyWithHead(std::string* text, std::string* head) const override {
    *text = rules_.Normalize(*text);
    *head = rules_.Normalize(*head);
    if (head->empty() && !text->empty()) *head = text->substr(0, DecodeAt(*text, 0).bytes);
  }

 private:
  Charsmap rules_;
};

// out = each(character, &out) over all characters.
template <class Each>
std::string MapCharacters(std::string_view text, const Each& each) {
  std::string out;
  out.reserve(text.size() + text.size() / 8);
  for (size_t at = 0; at < text.size();) {
    const Character c = DecodeAt(text, at);
    at += c.bytes;
    each(c.code, &out);
  }
  return out;
}

std::string Lower(const std::string& text) {
  return MapCharacters(text, AppendLower);
}

std::string WithoutClass(const std::string& text, uint16_t classes) {
  return MapCharacters(text, [classes](char32_t c, std::string* out) {
    if (!IsA(c, classes)) AppendUtf8(c, out);
  });
}

std::string CleanForBert(const std::string& text) {
  return MapCharacters(text, [](char32_t c, std::string* out) {
    if (c == '\t' || c == '\n' || c == '\r') {
      out->push_back(' ');
    } else if (c == 0 || c == 0xFFFD || IsA(c, kBertControl)) {
      return;
    } else if (IsA(c, kSpace)) {
      out->push_back(' ');
    } else {
      AppendUtf8(c, out);
    }
  });
}

// The blocks as the reference has them, with its 0x2B920 where BERT's own code says 0x2B820.
bool IsChinese(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0x20000 && c <= 0x2A6DF) ||
         (c >= 0x2A700 && c <= 0x2B73F) || (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

std::string SpaceOutChinese(const std::string& text) {
  return MapCharacters(text, [](char32_t c, std::string* out) {
    const bool alone = IsChinese(c);
    if (alone) out->push_back(' ');
    AppendUtf8(c, out);
    if (alone) out->push_back(' ');
  });
}

std::unique_ptr<Normalizer> MakeBert(Fields& fields) {
  const bool clean = fields.Bool("clean_text"), chinese = fields.Bool("handle_chinese_chars"),
             lower = fields.Bool("lowercase");
  const bool strip_accents = fields.Bool("strip_accents", lower);  // null means: as lowercase
  return std::make_unique<Function>([=](std::string text) {
    if (clean) text = CleanForBert(text);
    if (IsAscii(text)) return lower ? Lower(text) : text;
    if (chinese) text = SpaceOutChinese(text);
    if (strip_accents) text = WithoutClass(Normalize(text, NormalForm::kNfd), kBertAccent);
    return lower ? Lower(text) : text;
  });
}

std::unique_ptr<Normalizer> MakeSequence(Fields& fields) {
  std::vector<std::unique_ptr<Normalizer>> steps;
  const nlohmann::json& list = fields.Array("normalizers");
  for (size_t i = 0; i < list.size(); ++i)
    steps.push_back(MakeNormalizer(list[i], fields.place().Inside("normalizers").At(i)));
  return std::make_unique<Sequence>(std::move(steps));
}

std::optional<NormalForm> FormOf(const std::string& type) {
  if (type == "NFC") return NormalForm::kNfc;
  if (type == "NFD") return NormalForm::kNfd;
  if (type == "NFKC") return NormalForm::kNfkc;
  if (type == "NFKD") return NormalForm::kNfkd;
  return std::nullopt;
}

std::unique_ptr<Normalizer> MakeOfType(const std::string& type, Fields& fields) {
  if (type == "BertNormalizer") return MakeBert(fields);
  if (type == "Sequence") return MakeSequence(fields);
  if (type == "Strip") return std::make_unique<Strip>(fields.Bool("strip_left"), fields.Bool("strip_right"));
  if (type == "Lowercase") return std::make_unique<Function>(Lower);
  if (type == "StripAccents")
    return std::make_unique<Function>([](const std::string& text) { return WithoutClass(text, kMark); });
  if (const auto form = FormOf(type))
    return std::make_unique<Function>([form = *form](const std::string& text) { return Normalize(text, form); });
  if (type == "Prepend")
    return std::make_unique<Function>(
        [prefix = fields.String("prepend")](const std::string& text) { return text.empty() ? text : prefix + text; });
  if (type == "Replace") {
    auto pattern = std::make_shared<Pattern>(fields.Raw("pattern"), fields.place().Inside("pattern"));
    return std::make_unique<Function>([pattern, content = fields.String("content")](const std::string& text) {
      return pattern->Replace(text, content);
    });
  }
  if (type == "Precompiled") return std::make_unique<Precompiled>(fields);
  if (type == "ByteLevel")
    return std::make_unique<Function>([](const std::string& text) {
      std::string out;
      AppendByteLevel(text, &out);
      return out;
    });
  FailUnimplemented(fields.place(), "names the normalizer '" + type + "', which is not implemented");
}

}  // namespace

void Normalizer::ApplyWithHead(std::string* text, std::string* head) const {
  *text = Apply(std::move(*text));
  *head = Apply(std::move(*head));
}

std::unique_ptr<Normalizer> MakeNormalizer(const nlohmann::json& json, const Place& place) {
  Fields fields(json, place);
  auto normalizer = MakeOfType(fields.String("type"), fields);
  fields.Done();
  return normalizer;
}

}  // namespace hullft::tokenizer
