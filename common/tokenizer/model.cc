#include "common/tokenizer/model.h"

#include <fmt/format.h>

#include <algorithm>

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
    Add(content, static_cast<int32_t>(value), place);
  }
}

Vocabulary::Vocabulary(const std::vector<std::string>& contents, const Place& place) {
  ids_.reserve(contents.size());
  for (size_t id = 0; id < contents.size(); ++id) Add(contents[id], static_cast<int32_t>(id), place);
}

void Vocabulary::Add(const std::string& content, int32_t id, const Place& place) {
  const auto [entry, fresh] = ids_.emplace(content, id);
  if (!fresh) throw DataError("{}: {} lists the token '{}' twice", place.file, place.field, content);
  if (contents_.size() <= static_cast<size_t>(id)) contents_.resize(static_cast<size_t>(id) + 1, nullptr);
  const std::string*& slot = contents_[static_cast<size_t>(id)];
  if (slot != nullptr)
    throw DataError("{}: {} gives the id {} to both '{}' and '{}'", place.file, place.field, id, *slot, content);
  slot = &entry->first;
}

std::vector<int32_t> ByteFallbackIds(const Vocabulary& vocabulary) {
  std::vector<int32_t> ids;
  for (int byte = 0; byte < 256; ++byte) ids.push_back(vocabulary.Id(fmt::format("<0x{:02X}>", byte)));
  return ids;
}

bool AppendByteIds(std::string_view text, const std::vector<int32_t>& byte_ids, std::vector<int32_t>* ids) {
  if (byte_ids.empty()) return false;
  const auto id_of = [&](char c) { return byte_ids[static_cast<unsigned char>(c)]; };
  if (std::any_of(text.begin(), text.end(), [&](char c) { return id_of(c) < 0; })) return false;
  for (const char c : text) ids->push_back(id_of(c));
  return true;
}

std::unique_ptr<Model> MakeModel(const nlohmann::json& json, const Place& place) {
  Fields fields(json, place);
  std::string type;
  if (fields.Has("type")) {
    type = fields.String("type");
  } else {  // files written before the reference named the type
    type = fields.Has("merges")                     ? "BPE"
           : fields.Has("max_input_chars_per_word") ? "WordPiece"
           : fields.Has("unk_id")                   ? "Unigram"
                                                    : "";
  }
  std::unique_ptr<Model> model;
  if (type == "BPE") {
    model = MakeBpe(fields);
  } else if (type == "WordPiece") {
    model = MakeWordPiece(fields);
  } else if (type == "Unigram") {
    model = MakeUnigram(fields);
  } else {
    FailUnimplemented(place,
                      "names the model '" + type + "', which is not implemented (BPE, WordPiece and Unigram are)");
  }
  fields.Done();
  return model;
}

}  // namespace hullft::tokenizer
