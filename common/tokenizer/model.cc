#include "common/tokenizer/model.h"

#include "common/error.h"

namespace hullft::tokenizer {

Vocabulary::Vocabulary(const nlohmann::json& json, const Place& place) {
  if (json.empty()) FailUnimplemented(place, "is empty");
  constexpr int64_t kMaxId = 1 << 26;  // far above any vocabulary, far below what would exhaust the memory
  ids_.reserve(json.size());
  for (const auto& [content, id] : json.items()) {
    const int64_t value = id.is_number_integer() ? id.get<int64_t>() : -1;
    if (value < 0 || value > kMaxId)
      throw DataError("{}: {} gives the token '{}' the id {}, which is not an integer from 0 to {}", place.file,
                      place.field, content, id.dump(), kMaxId);
    const auto [entry, fresh] = ids_.emplace(content, static_cast<int32_t>(value));
    if (contents_.size() <= static_cast<size_t>(value)) contents_.resize(static_cast<size_t>(value) + 1, nullptr);
    const std::string*& slot = contents_[static_cast<size_t>(value)];
    if (slot != nullptr)
      throw DataError("{}: {} gives the id {} to both '{}' and '{}'", place.file, place.field, value, *slot, content);
    slot = &entry->first;
  }
}

std::unique_ptr<Model> MakeModel(const nlohmann::json& json, const Place& place) {
  Fields fields(json, place);
  std::string type;
  if (fields.Has("type")) {
    type = fields.String("type");
  } else {  // files written before the reference named the type
    type = fields.Has("merges") ? "BPE" : fields.Has("max_input_chars_per_word") ? "WordPiece" : "";
  }
  std::unique_ptr<Model> model;
  if (type == "BPE") {
    model = MakeBpe(fields);
  } else if (type == "WordPiece") {
    model = MakeWordPiece(fields);
  } else {
    FailUnimplemented(place, "names the model '" + type + "', which is not implemented (BPE and WordPiece are)");
  }
  fields.Done();
  return model;
}

}  // namespace hullft::tokenizer
