// The "model" of a tokenizer.json: one word to ids. Internal to common/tokenizer. Three exist: BPE, WordPiece and
// Unigram.
// Thread safety: immutable; the Scratch is one thread's.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/tokenizer/json_fields.h"

namespace hullft::tokenizer {

// Lets a map with std::string keys be asked with a std::string_view.
struct StringHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

// Token contents and their ids.
class Vocabulary {
 public:
  // json: {"content": id, ...}.
  Vocabulary(const nlohmann::json& json, const Place& place);
  // contents: by id.
  Vocabulary(const std::vector<std::string>& contents, const Place& place);

  int32_t Id(std::string_view content) const {  // -1 when absent
    const auto found = ids_.find(content);
    return found == ids_.end() ? -1 : found->second;
  }
  // The content of an id, or null for an id that no token has.
  const std::string* Content(int32_t id) const {
    return id >= 0 && static_cast<size_t>(id) < contents_.size() ? contents_[static_cast<size_t>(id)] : nullptr;
  }
  int32_t size() const { return static_cast<int32_t>(ids_.size()); }

 private:
  void Add(const std::string& content, int32_t id, const Place& place);

  std::unordered_map<std::string, int32_t, StringHash, std::equal_to<>> ids_;
  std::vector<const std::string*> contents_;  // by id, pointing into ids_
};

class Model {
 public:
  explicit Model(Vocabulary vocabulary) : vocabulary_(std::move(vocabulary)) {}
  virtual ~Model() = default;
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // Appends the ids of one word (valid UTF-8, not empty). Returns how many characters had no token and vanished.
  virtual int64_t Encode(std::string_view word, std::vector<int32_t>* ids) const = 0;
  // The end of the part of a word that begins at `at`: the parts one by one have the ids of the word. The last part may
  // be all of it.
  virtual size_t PartEnd(std::string_view word, size_t /*at*/) const { return word.size(); }
  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  Vocabulary vocabulary_;
};

// kData error for what is not implemented.
std::unique_ptr<Model> MakeModel(const nlohmann::json& json, const Place& place);
std::unique_ptr<Model> MakeBpe(Fields& fields);
std::unique_ptr<Model> MakeWordPiece(Fields& fields);
std::unique_ptr<Model> MakeUnigram(Fields& fields);

// Byte fallback: the 256 ids of the tokens <0x00> to <0xFF>, -1 for one that is absent.
std::vector<int32_t> ByteFallbackIds(const Vocabulary& vocabulary);
// Appends the ids of all bytes of text; false, and nothing is appended, when one has none. byte_ids: 256, or empty.
bool AppendByteIds(std::string_view text, const std::vector<int32_t>& byte_ids, std::vector<int32_t>* ids);

}  // namespace hullft::tokenizer
