// hullft tokenize: text on standard input to token ids, and back.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "common/error.h"
#include "common/json_read.h"
#include "common/options.h"
#include "common/tokenizer/tokenizer.h"
#include "coordinator/commands/commands.h"

namespace hullft::coordinator {
namespace {

std::string ReadStandardInput() {
  std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  if (std::cin.bad()) throw IoError("read", "standard input");
  return text;
}

// The ids of {"ids": [...]} or of a plain array.
std::vector<int32_t> ParseIds(const std::string& text) {
  constexpr const char* kHint = "--decode reads {\"ids\": [1, 2, 3]} or [1, 2, 3]";
  CheckJsonDepth(text, "standard input");
  nlohmann::json json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) throw Error(Code::kData, "standard input is not JSON", kHint);
  if (json.is_object() && json.contains("ids")) json = nlohmann::json(json["ids"]);
  if (!json.is_array()) throw Error(Code::kData, "standard input has no array of ids", kHint);
  std::vector<int32_t> ids;
  for (size_t i = 0; i < json.size(); ++i) {
    const bool is_id = json[i].is_number_integer() && json[i].get<int64_t>() >= 0 &&
                       json[i].get<int64_t>() <= std::numeric_limits<int32_t>::max();
    if (!is_id)
      throw Error(Code::kData, "ids[" + std::to_string(i) + "] is " + json[i].dump() + ", not a token id", kHint);
    ids.push_back(json[i].get<int32_t>());
  }
  return ids;
}

void Print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) throw IoError("write to", "standard output");
}

}  // namespace

int TokenizeCommand(const Arguments& args) {
  std::string model;
  bool special = true, decode = false, json = false;
  OptionTable table(
      "hullft tokenize",
      "Reads a text from standard input (all of it) and prints {\"ids\": [...]}. With --decode reads ids and prints "
      "their text.");
  table.Add("model", &model, "Hugging Face folder with a tokenizer.json, or the file itself").Required();
  table.Add("special", &special, "add the tokens that the model expects around a text (--no-special: none)");
  table.Add("decode", &decode, "ids on standard input, as {\"ids\": [...]} or [...], to text");
  table.Add("json", &json, "with --decode: print {\"text\": \"...\"}; ids are JSON anyway");
  table.Example("echo \"some text\" | hullft tokenize --model MODEL");
  if (table.Parse(args)) return 0;

  const auto tokenizer = Tokenizer::Load(model);
  const std::string input = ReadStandardInput();
  if (!decode) {
    Print(nlohmann::json{{"ids", tokenizer->Encode(input, special)}}.dump() + "\n");
  } else {
    const std::string text = tokenizer->Decode(ParseIds(input));
    Print(json ? nlohmann::json{{"text", text}}.dump() + "\n" : text);
  }
  return 0;
}

}  // namespace hullft::coordinator
