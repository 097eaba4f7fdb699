#include "common/gguf/gguf_vocabulary.h"

#include <fmt/format.h>

#include "common/error.h"

namespace hullft::gguf {

using nlohmann::json;
using nlohmann::ordered_json;

void Fail(const GgufFile& file, const std::string& key, const std::string& what) {
  throw Error(Code::kData, fmt::format("{}: {} {}", file.path(), key, what),
              "put the model's tokenizer.json into the folder of the GGUF file");
}

const json& List(const GgufFile& file, const std::string& key, bool (json::*is_type)() const noexcept) {
  const json& list = file.Get(key);
  if (!list.is_array()) Fail(file, key, "is missing or not a list");
  for (const json& item : list)
    if (!(item.*is_type)()) Fail(file, key, "holds values of the wrong type");
  return list;
}

Vocabulary ReadVocabulary(const GgufFile& file, bool plain_spaces) {
  Vocabulary vocabulary{List(file, "tokenizer.ggml.tokens", &json::is_string),
                        List(file, "tokenizer.ggml.token_type", &json::is_number_integer)};
  json& tokens = vocabulary.tokens;
  const json& types = vocabulary.types;
  if (types.size() != tokens.size()) Fail(file, "tokenizer.ggml.token_type", "is not as long as tokenizer.ggml.tokens");
  for (size_t id = 0; id < tokens.size(); ++id) {
    auto& content = tokens[id].get_ref<std::string&>();
    const auto type = types[id].get<int64_t>();
    if (plain_spaces && type == kUserDefined && content.find_first_not_of(' ') == std::string::npos) {
      std::string run;
      for (size_t i = 0; i < content.size(); ++i) run += "\u2581";
      content = run;
    }
    if (!vocabulary.ids.emplace(content, id).second) Fail(file, "tokenizer.ggml.tokens", "has '" + content + "' twice");
    if (type != kControl && type != kUserDefined && type != kUnknown) continue;
    vocabulary.added.push_back({{"id", id},
                                {"content", content},
                                {"single_word", false},
                                {"lstrip", false},
                                {"rstrip", false},
                                {"normalized", false},
                                {"special", type != kUserDefined}});
  }
  return vocabulary;
}

ordered_json PostProcessor(const GgufFile& file, const json& tokens, bool by_default) {
  if (file.Get("tokenizer.ggml.add_eos_token") == true)
    Fail(file, "tokenizer.ggml.add_eos_token", "is true, which is not implemented");
  const json& add = file.Get("tokenizer.ggml.add_bos_token");
  if (add.is_null() ? !by_default : add != true) return nullptr;
  const json& id = file.Get("tokenizer.ggml.bos_token_id");
  if (!id.is_number_unsigned() || id.get<uint64_t>() >= tokens.size())
    Fail(file, "tokenizer.ggml.bos_token_id", "is not a token");
  const ordered_json bos = tokens[id.get<size_t>()];
  const ordered_json token = {{"SpecialToken", {{"id", bos}, {"type_id", 0}}}},
                     text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  ordered_json special;
  special[bos.get<std::string>()] = {
      {"id", bos}, {"ids", ordered_json::array({id.get<uint64_t>()})}, {"tokens", ordered_json::array({bos})}};
  return {{"type", "TemplateProcessing"},
          {"single", ordered_json::array({token, text})},
          {"pair", ordered_json::array()},
          {"special_tokens", special}};
}

}  // namespace hullft::gguf
