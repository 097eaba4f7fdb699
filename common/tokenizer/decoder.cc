#include "common/tokenizer/decoder.h"

#include <charconv>
#include <functional>
#include <optional>
#include <utility>

#include "common/tokenizer/byte_level.h"
#include "common/tokenizer/metaspace.h"
#include "common/tokenizer/pattern.h"
#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {
namespace {

using Tokens = std::vector<std::string>;

class Function : public Decoder {
 public:
  explicit Function(std::function<Tokens(Tokens)> function) : function_(std::move(function)) {}
  Tokens Apply(Tokens tokens) const override { return function_(std::move(tokens)); }

 private:
  std::function<Tokens(Tokens)> function_;
};

std::string Join(const Tokens& tokens) {
  std::string out;
  for (const std::string& token : tokens) out += token;
  return out;
}

// The bytes of a token that is written wholly in the byte-level alphabet; another token (an added one) is its own
// bytes.
void AppendBytes(const std::string& token, std::string* out) {
  const size_t before = out->size();
  for (size_t at = 0; at < token.size();) {
    const Character c = DecodeAt(token, at);
    const std::optional<unsigned char> byte = ByteOfStandIn(c.code);
    if (!byte) {
      out->resize(before);
      out->append(token);
      return;
    }
    out->push_back(static_cast<char>(*byte));
    at += c.bytes;
  }
}

Tokens DecodeByteLevel(const Tokens& tokens) {
  std::string bytes;
  for (const std::string& token : tokens) AppendBytes(token, &bytes);
  return {ToValidUtf8(bytes)};
}

void ReplaceAll(std::string_view from, std::string_view to, std::string* text) {
  for (size_t at = 0; (at = text->find(from, at)) != std::string::npos; at += to.size())
    text->replace(at, from.size(), to);
}

// The reference's clean-up of English text, in its order; it sees each token alone.
void CleanUp(std::string* token) {
  static constexpr std::pair<const char*, const char*> kRules[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) ReplaceAll(from, to, token);
}

Tokens DecodeWordPiece(Tokens tokens, const std::string& prefix, bool clean_up) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (i > 0) {
      if (tokens[i].starts_with(prefix)) {
        tokens[i].erase(0, prefix.size());
      } else {
        tokens[i].insert(0, " ");
      }
    }
    if (clean_up) CleanUp(&tokens[i]);
  }
  return tokens;
}

// The byte that a token like <0x0A> means.
std::optional<char> FallbackByte(const std::string& token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, value, 16);
  if (error != std::errc() || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(value);
}

Tokens DecodeByteFallback(const Tokens& tokens) {
  Tokens out;
  std::string bytes;
  const auto flush = [&] {
    if (bytes.empty()) return;
    if (FindInvalidUtf8(bytes) == std::string_view::npos) {
      out.push_back(bytes);
    } else {
      out.insert(out.end(), bytes.size(), "\uFFFD");
    }
    bytes.clear();
  };
  for (const std::string& token : tokens) {
    if (const std::optional<char> byte = FallbackByte(token)) {
      bytes.push_back(*byte);
    } else {
      flush();
      out.push_back(token);
    }
  }
  flush();
  return out;
}

// Cuts up to `start` copies of content off a token's front and up to `stop` off its end.
std::string Strip(std::string_view token, std::string_view content, int64_t start, int64_t stop) {
  for (; start > 0 && token.starts_with(content); --start) token.remove_prefix(content.size());
  for (; stop > 0 && token.ends_with(content); --stop) token.remove_suffix(content.size());
  return std::string(token);
}

std::unique_ptr<Decoder> EachToken(std::function<std::string(const std::string&)> function) {
  return std::make_unique<Function>([function = std::move(function)](Tokens tokens) {
    for (std::string& token : tokens) token = function(token);
    return tokens;
  });
}

std::unique_ptr<Decoder> MakeStrip(Fields& fields) {
  const std::string content = fields.String("content");
  if (content.empty() || DecodeAt(content, 0).bytes != content.size()) fields.Fail("content", "must be one character");
  const int64_t start = fields.Integer("start"), stop = fields.Integer("stop");
  return EachToken([=](const std::string& token) { return Strip(token, content, start, stop); });
}

std::unique_ptr<Decoder> MakeSequence(Fields& fields) {
  std::vector<std::shared_ptr<const Decoder>> steps;
  const nlohmann::json& list = fields.Array("decoders");
  for (size_t i = 0; i < list.size(); ++i)
    steps.push_back(MakeDecoder(list[i], fields.place().Inside("decoders").At(i)));
  return std::make_unique<Function>([steps = std::move(steps)](Tokens tokens) {
    for (const auto& step : steps) tokens = step->Apply(std::move(tokens));
    return tokens;
  });
}

std::unique_ptr<Decoder> MakeOfType(const std::string& type, Fields& fields) {
  if (type == "ByteLevel") {
    // These speak of encoding and of offsets; the reference's decoder does not look at them either.
    for (const char* name : {"add_prefix_space", "trim_offsets", "use_regex"}) fields.Ignore(name);
    return std::make_unique<Function>(DecodeByteLevel);
  }
  if (type == "WordPiece") {
    const std::string prefix = fields.String("prefix");
    const bool clean_up = fields.Bool("cleanup");
    return std::make_unique<Function>(
        [=](Tokens tokens) { return DecodeWordPiece(std::move(tokens), prefix, clean_up); });
  }
  if (type == "Metaspace") {
    return std::make_unique<Function>([metaspace = Metaspace::Read(fields)](Tokens tokens) {
      for (size_t i = 0; i < tokens.size(); ++i) tokens[i] = metaspace.Decode(tokens[i], i == 0);
      return tokens;
    });
  }
  if (type == "Replace") {
    auto pattern = std::make_shared<Pattern>(fields.Raw("pattern"), fields.place().Inside("pattern"));
    return EachToken([pattern, content = fields.String("content")](const std::string& token) {
      return pattern->Replace(token, content);
    });
  }
  if (type == "ByteFallback") return std::make_unique<Function>(DecodeByteFallback);
  if (type == "Fuse") return std::make_unique<Function>([](const Tokens& tokens) { return Tokens{Join(tokens)}; });
  if (type == "Strip") return MakeStrip(fields);
  if (type == "Sequence") return MakeSequence(fields);
  FailUnimplemented(fields.place(), "names the decoder '" + type + "', which is not implemented");
}

}  // namespace

std::unique_ptr<Decoder> MakeDecoder(const nlohmann::json& json, const Place& place) {
  Fields fields(json, place);
  auto decoder = MakeOfType(fields.String("type"), fields);
  fields.Done();
  return decoder;
}

}  // namespace hullft::tokenizer
