// WordPiece: the longest token that begins the word, then the longest continuation, and so on; a word that cannot be
// written so is one unknown token.
#include "common/tokenizer/model.h"
#include "common/tokenizer/unicode.h"

namespace hullft::tokenizer {
namespace {

class WordPiece : public Model {
 public:
  WordPiece(Vocabulary vocabulary, int32_t unknown, std::string prefix, int64_t max_characters)
      : Model(std::move(vocabulary)), unknown_(unknown), prefix_(std::move(prefix)), max_characters_(max_characters) {}

  int64_t Encode(std::string_view word, std::vector<int32_t>* ids) const override {
    const size_t before = ids->size();
    if (CountCharacters(word) > max_characters_ || !Cut(word, ids)) {
      ids->resize(before);
      ids->push_back(unknown_);
    }
    return 0;
  }

 private:
  static int64_t CountCharacters(std::string_view word) {
    int64_t count = 0;
    for (const char c : word) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
    return count;
  }

  bool Cut(std::string_view word, std::vector<int32_t>* ids) const {
    std::string candidate;
    for (size_t begin = 0; begin < word.size();) {
      candidate.assign(begin > 0 ? prefix_ : "");
      const size_t prefix = candidate.size();
      candidate.append(word.substr(begin));
      int32_t id = -1;
      while (candidate.size() > prefix && (id = vocabulary().Id(candidate)) < 0)
        candidate.resize(candidate.size() - DecodeLast(candidate).bytes);
      if (id < 0) return false;
      ids->push_back(id);
      begin += candidate.size() - prefix;
    }
    return true;
  }

  const int32_t unknown_;
  const std::string prefix_;
  const int64_t max_characters_;
};

}  // namespace

std::unique_ptr<Model> MakeWordPiece(Fields& fields) {
  Vocabulary vocabulary(fields.Object("vocab"), fields.place().Inside("vocab"));
  const std::string unknown_token = fields.String("unk_token");
  const int32_t unknown = vocabulary.Id(unknown_token);
  if (unknown < 0) fields.Fail("unk_token", "is '" + unknown_token + "', which is not in the vocabulary");
  std::string prefix = fields.String("continuing_subword_prefix");
  const int64_t max_characters = fields.Integer("max_input_chars_per_word");
  return std::make_unique<WordPiece>(std::move(vocabulary), unknown, std::move(prefix), max_characters);
}

}  // namespace hullft::tokenizer
