#include "common/tokenizer/post_processor.h"

#include <limits>

#include "common/error.h"

namespace hullft::tokenizer {
namespace {

int32_t ReadId(const nlohmann::json& json, const Place& place) {
  if (!json.is_number_integer() || json.get<int64_t>() < 0 || json.get<int64_t>() > std::numeric_limits<int32_t>::max())
    throw DataError("{}: {} must be a token id but is {}", place.file, place.field, json.dump());
  return json.get<int32_t>();
}

// ["[SEP]", 102] of BertProcessing and RobertaProcessing.
int32_t ReadNamedId(Fields& fields, const std::string& name) {
  const nlohmann::json& pair = fields.Array(name);
  if (pair.size() != 2) fields.Fail(name, "must be [\"content\", id]");
  return ReadId(pair[1], fields.place().Inside(name).At(1));
}

// special_tokens of TemplateProcessing: {"[CLS]": {"id": "[CLS]", "ids": [101], "tokens": ["[CLS]"]}}.
std::vector<int32_t> ReadTemplateIds(const nlohmann::json& special, const std::string& name, const Place& place) {
  if (!special.contains(name))
    throw DataError("{}: {} lacks '{}', which the template names", place.file, place.field, name);
  Fields fields(special[name], place.Inside(name));
  fields.Ignore("id");      // repeats the key
  fields.Ignore("tokens");  // the contents of ids
  const nlohmann::json& list = fields.Array("ids");
  std::vector<int32_t> ids;
  for (size_t i = 0; i < list.size(); ++i) ids.push_back(ReadId(list[i], fields.place().Inside("ids").At(i)));
  fields.Done();
  return ids;
}

SpecialFrame ReadTemplate(Fields& fields) {
  fields.Ignore("pair");  // only single texts are encoded here
  const nlohmann::json& special = fields.Object("special_tokens");
  const nlohmann::json& single = fields.Array("single");
  SpecialFrame frame;
  int texts = 0;
  for (size_t i = 0; i < single.size(); ++i) {
    const Place place = fields.place().Inside("single").At(i);
    Fields piece(single[i], place);
    if (piece.Has("Sequence")) {
      Fields sequence(piece.Object("Sequence"), place.Inside("Sequence"));
      sequence.Ignore("type_id");  // token types are the encoder's business; all are 0 for a single text
      if (sequence.String("id") != "A") sequence.Fail("id", "must be \"A\" in the template of a single text");
      sequence.Done();
      ++texts;
    } else {
      Fields token(piece.Object("SpecialToken"), place.Inside("SpecialToken"));
      token.Ignore("type_id");
      const auto ids = ReadTemplateIds(special, token.String("id"), fields.place().Inside("special_tokens"));
      token.Done();
      auto& side = texts == 0 ? frame.front : frame.back;
      side.insert(side.end(), ids.begin(), ids.end());
    }
    piece.Done();
  }
  if (texts != 1) FailUnimplemented(fields.place().Inside("single"), "does not hold the sequence A exactly once");
  return frame;
}

SpecialFrame ReadSequence(Fields& fields) {
  SpecialFrame frame;
  const nlohmann::json& list = fields.Array("processors");
  for (size_t i = 0; i < list.size(); ++i) {
    const Place place = fields.place().Inside("processors").At(i);
    SpecialFrame next = ReadPostProcessor(list[i], place);
    if (next.front.empty() && next.back.empty()) continue;
    // The reference's second one would frame every special token of the first, which no model means.
    if (!frame.front.empty() || !frame.back.empty())
      FailUnimplemented(place, "is the second post-processor of a sequence that adds special tokens");
    frame = std::move(next);
  }
  return frame;
}

SpecialFrame ReadOfType(const std::string& type, Fields& fields) {
  if (type == "ByteLevel" || type == "RobertaProcessing") {  // these change offsets only, which are not computed here
    for (const char* name : {"add_prefix_space", "trim_offsets", "use_regex"}) fields.Ignore(name);
  }
  if (type == "ByteLevel") return {};
  if (type == "BertProcessing" || type == "RobertaProcessing")
    return {{ReadNamedId(fields, "cls")}, {ReadNamedId(fields, "sep")}};
  if (type == "TemplateProcessing") return ReadTemplate(fields);
  if (type == "Sequence") return ReadSequence(fields);
  FailUnimplemented(fields.place(), "names the post-processor '" + type + "', which is not implemented");
}

}  // namespace

SpecialFrame ReadPostProcessor(const nlohmann::json& json, const Place& place) {
  if (json.is_null()) return {};
  Fields fields(json, place);
  SpecialFrame frame = ReadOfType(fields.String("type"), fields);
  fields.Done();
  return frame;
}

}  // namespace hullft::tokenizer
