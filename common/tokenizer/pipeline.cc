#include "common/tokenizer/pipeline.h"

#include <algorithm>

#include "common/error.h"
#include "common/files.h"
#include "common/gguf/gguf_tokenizer.h"
#include "common/hash.h"
#include "common/json_read.h"

namespace hullft::tokenizer {
namespace {

nlohmann::json ParseJson(const std::string& bytes, const std::string& file) {
  CheckJsonDepth(bytes, file);
  try {
    return nlohmann::json::parse(bytes);
  } catch (const nlohmann::json::parse_error& error) {
    std::string text = error.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    if (const size_t end = text.find("] "); end != std::string::npos) text.erase(0, end + 2);
    throw Error(Code::kData, file + " is not JSON: " + text, "fetch the file again, it may be cut off or damaged");
  }
}

// The id that the reference gives an added token when it loads the file: that of the vocabulary, or the next free one.
// It pays no heed to the id in the file; where the two differ, the model was trained with one of them, and nobody knows
// which.
void CheckId(const AddedToken& token, const Pipeline& pipeline, const Place& place) {
  const Vocabulary& vocabulary = pipeline.model->vocabulary();
  int32_t expected = vocabulary.Id(token.content);
  if (expected < 0) {
    expected = vocabulary.size();
    if (!pipeline.added_contents.empty()) expected = std::max(expected, pipeline.added_contents.rbegin()->first + 1);
  }
  if (pipeline.added_ids.contains(token.content))
    throw DataError("{}: {} repeats the added token '{}'", place.file, place.field, token.content);
  if (token.id != expected)
    throw DataError("{}: {} gives '{}' the id {}, but vocabulary and order of the file make it {}", place.file,
                    place.field, token.content, token.id, expected);
}

void ReadAdded(Fields& fields, Pipeline* pipeline) {
  if (!fields.Has("added_tokens")) {
    fields.Ignore("added_tokens");
    return;
  }
  const Place place = fields.place().Inside("added_tokens");
  std::vector<AddedToken> tokens = ReadAddedTokens(fields.Array("added_tokens"), place);
  for (size_t i = 0; i < tokens.size(); ++i) {
    const AddedToken& token = tokens[i];
    CheckId(token, *pipeline, place.At(i));
    pipeline->added_contents[token.id] = token.content;
    pipeline->added_ids[token.content] = token.id;
  }
  // Where two contents become equal when normalized, the reference lets special tokens go first.
  std::stable_partition(tokens.begin(), tokens.end(), [](const AddedToken& token) { return token.special; });
  for (const AddedToken& token : tokens) {
    if (!token.normalized) {
      pipeline->raw_finder.Add(token, token.content);
      continue;
    }
    const std::string content = pipeline->normalizer ? pipeline->normalizer->Apply(token.content) : token.content;
    pipeline->normalized_finder.Add(token, content);
    pipeline->added_contents[token.id] = content;  // the reference decodes to what it finds, not to what the file says
  }
}

}  // namespace

Pipeline ReadPipeline(const std::filesystem::path& path) {
  const std::string bytes = IsGguf(path) ? GgufTokenizer(GgufFile(path)).dump() : ReadFile(path);
  Pipeline pipeline;
  pipeline.digest = HashHex(bytes);
  const nlohmann::json json = ParseJson(bytes, path.string());
  Fields fields(json, {path.string(), ""});
  if (fields.Has("version") && fields.String("version") != "1.0")
    FailUnimplemented(fields.place().Inside("version"), "is not \"1.0\"");
  fields.Ignore("version");
  fields.Ignore("truncation");  // the caller cuts
  fields.Ignore("padding");     // the caller pads
  const auto optional = [&](const char* name, const auto& make) {
    fields.Ignore(name);
    return fields.Has(name) ? make(fields.Raw(name), fields.place().Inside(name)) : nullptr;
  };
  pipeline.normalizer = optional("normalizer", MakeNormalizer);
  pipeline.pre_tokenizer = optional("pre_tokenizer", MakePreTokenizer);
  pipeline.model = MakeModel(fields.Object("model"), fields.place().Inside("model"));
  pipeline.decoder = optional("decoder", MakeDecoder);
  fields.Ignore("post_processor");
  if (fields.Has("post_processor"))
    pipeline.frame = ReadPostProcessor(fields.Raw("post_processor"), fields.place().Inside("post_processor"));
  ReadAdded(fields, &pipeline);
  fields.Done();
  return pipeline;
}

}  // namespace hullft::tokenizer
