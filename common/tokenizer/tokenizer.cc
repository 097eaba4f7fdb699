#include "common/tokenizer/tokenizer.h"

#include <atomic>
#include <mutex>
#include <utility>

#include "common/error.h"
#include "common/gguf/gguf.h"
#include "common/log.h"
#include "common/tokenizer/pieces.h"
#include "common/tokenizer/pipeline.h"
#include "common/tokenizer/unicode.h"
#include "common/tokenizer/word_cache.h"

namespace hullft {
namespace {

// What one Encode call needs and the next one can use again.
struct Scratch {
  tokenizer::Pieces pieces;
  tokenizer::WordCache cache;
  std::vector<tokenizer::TokenFinder::Part> raw_parts, normalized_parts;
};

// Hands out scratch spaces: as many exist as calls ever ran at the same time.
class ScratchPool {
 public:
  std::unique_ptr<Scratch> Take() {
    {
      const std::lock_guard lock(mutex_);
      if (!free_.empty()) {
        auto scratch = std::move(free_.back());
        free_.pop_back();
        return scratch;
      }
    }
    return std::make_unique<Scratch>();
  }
  void GiveBack(std::unique_ptr<Scratch> scratch) {
    const std::lock_guard lock(mutex_);
    free_.push_back(std::move(scratch));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Scratch>> free_;
};

}  // namespace

struct Tokenizer::Impl {
  std::string path;
  tokenizer::Pipeline pipeline;
  int32_t vocab_size = 0;
  mutable ScratchPool scratch_pool;
  mutable std::atomic<int64_t> dropped_bytes{0};

  void EncodeText(std::string_view text, Scratch* scratch, std::vector<int32_t>* ids) const;
  // begins_text: text begins where the whole text began.
  void EncodeNormalized(std::string_view text, bool begins_text, Scratch* scratch, std::vector<int32_t>* ids) const;
  void EncodeWord(std::string_view word, tokenizer::WordCache* cache, std::vector<int32_t>* ids) const;
  void EncodePart(std::string_view part, tokenizer::WordCache* cache, std::vector<int32_t>* ids) const;
  void CountDropped(int64_t count) const;
  const std::string* Content(int32_t id) const;
};

void Tokenizer::Impl::CountDropped(int64_t count) const {
  if (dropped_bytes.fetch_add(count) > 0) return;
  WarnOnce("tokenizer dropped bytes " + path,
           path + ": the text has characters that this vocabulary cannot express; they vanish, as in the reference");
}

void Tokenizer::Impl::EncodeWord(std::string_view word, tokenizer::WordCache* cache, std::vector<int32_t>* ids) const {
  if (tokenizer::WordCache::MayHold(word)) return EncodePart(word, cache, ids);
  for (size_t at = 0, end = 0; at < word.size(); at = end) {
    end = pipeline.model->PartEnd(word, at);
    EncodePart(word.substr(at, end - at), cache, ids);
  }
}

void Tokenizer::Impl::EncodePart(std::string_view word, tokenizer::WordCache* cache, std::vector<int32_t>* ids) const {
  using tokenizer::WordCache;
  WordCache::Slot* slot = cache->SlotOf(word);
  if (slot != nullptr && WordCache::Holds(*slot, word)) {
    ids->insert(ids->end(), slot->ids.begin(), slot->ids.begin() + slot->count);
    return;
  }
  const size_t before = ids->size();
  if (const int64_t dropped = pipeline.model->Encode(word, ids)) {
    CountDropped(dropped);
  } else if (slot != nullptr) {  // words that lose characters are not kept, so that each loss is counted
    WordCache::Fill(slot, word, ids->data() + before, ids->size() - before);
  }
}

void Tokenizer::Impl::EncodeNormalized(std::string_view text, bool begins_text, Scratch* scratch,
                                       std::vector<int32_t>* ids) const {
  pipeline.normalized_finder.Cut(text, &scratch->normalized_parts);
  for (const auto& part : scratch->normalized_parts) {
    if (part.id >= 0) {
      ids->push_back(part.id);
      continue;
    }
    scratch->pieces.Reset(text.substr(part.begin, part.end - part.begin), begins_text && part.begin == 0);
    if (pipeline.pre_tokenizer) pipeline.pre_tokenizer->Apply(&scratch->pieces);
    for (const tokenizer::Span span : scratch->pieces.spans())
      EncodeWord(scratch->pieces.Text(span), &scratch->cache, ids);
  }
}

void Tokenizer::Impl::EncodeText(std::string_view text, Scratch* scratch, std::vector<int32_t>* ids) const {
  pipeline.raw_finder.Cut(text, &scratch->raw_parts);
  for (const auto& part : scratch->raw_parts) {
    const std::string_view piece = text.substr(part.begin, part.end - part.begin);
    if (part.id >= 0) {
      ids->push_back(part.id);
    } else if (pipeline.normalizer) {
      std::string normalized(piece), head(piece.substr(0, DecodeAt(piece, 0).bytes));
      pipeline.normalizer->ApplyWithHead(&normalized, &head);
      EncodeNormalized(normalized, part.begin == 0 && !head.empty(), scratch, ids);
    } else {
      EncodeNormalized(piece, part.begin == 0, scratch, ids);
    }
  }
}

const std::string* Tokenizer::Impl::Content(int32_t id) const {
  const auto added = pipeline.added_contents.find(id);
  return added != pipeline.added_contents.end() ? &added->second : pipeline.model->vocabulary().Content(id);
}

Tokenizer::Tokenizer() : impl_(std::make_unique<Impl>()) {}
Tokenizer::~Tokenizer() = default;

std::unique_ptr<Tokenizer> Tokenizer::Load(const std::filesystem::path& path) {
  auto file = std::filesystem::is_directory(path) ? path / "tokenizer.json" : path;
  if (const auto beside = path.parent_path() / "tokenizer.json"; IsGguf(path) && std::filesystem::exists(beside))
    file = beside;
  std::unique_ptr<Tokenizer> tokenizer(new Tokenizer);
  Impl& impl = *tokenizer->impl_;
  impl.path = file.string();
  impl.pipeline = tokenizer::ReadPipeline(file);
  impl.vocab_size = impl.pipeline.model->vocabulary().size();
  for (const auto& [content, id] : impl.pipeline.added_ids)
    impl.vocab_size += impl.pipeline.model->vocabulary().Id(content) < 0;
  const auto check = [&](const std::vector<int32_t>& ids) {
    for (const int32_t id : ids)
      if (impl.Content(id) == nullptr)
        throw DataError("{}: post_processor uses the id {}, which no token has", impl.path, id);
  };
  check(impl.pipeline.frame.front);
  check(impl.pipeline.frame.back);
  return tokenizer;
}

std::vector<int32_t> Tokenizer::Encode(std::string_view text, bool add_special) const {
  if (const size_t bad = FindInvalidUtf8(text); bad != std::string_view::npos)
    throw Error(
        Code::kData,
        fmt::format("the text is not valid UTF-8 at byte {} (0x{:02X})", bad, static_cast<unsigned char>(text[bad])),
        "convert it to UTF-8 first, e.g. with iconv");
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 3 + 8);
  const auto& frame = impl_->pipeline.frame;
  if (add_special) ids = frame.front;
  auto scratch = impl_->scratch_pool.Take();
  impl_->EncodeText(text, scratch.get(), &ids);
  constexpr size_t kKeep = size_t{16} << 20;  // the scratch space of a huge text is not worth keeping
  if (text.size() < kKeep) impl_->scratch_pool.GiveBack(std::move(scratch));
  if (add_special) ids.insert(ids.end(), frame.back.begin(), frame.back.end());
  return ids;
}

std::string Tokenizer::Decode(std::span<const int32_t> ids) const {
  std::vector<std::string> tokens;
  tokens.reserve(ids.size());
  for (const int32_t id : ids) {
    const std::string* content = impl_->Content(id);
    if (content == nullptr) throw DataError("no token of {} has the id {}", impl_->path, id);
    tokens.push_back(*content);
  }
  const bool join_by_spaces = impl_->pipeline.decoder == nullptr;
  if (!join_by_spaces) tokens = impl_->pipeline.decoder->Apply(std::move(tokens));
  std::string text;
  for (const std::string& token : tokens) {
    if (join_by_spaces && !text.empty()) text.push_back(' ');
    text += token;
  }
  return text;
}

int32_t Tokenizer::vocab_size() const {
  return impl_->vocab_size;
}

int32_t Tokenizer::TokenId(std::string_view content) const {
  const auto added = impl_->pipeline.added_ids.find(content);
  return added != impl_->pipeline.added_ids.end() ? added->second : impl_->pipeline.model->vocabulary().Id(content);
}

std::pair<int, int> Tokenizer::num_special() const {
  const auto& frame = impl_->pipeline.frame;
  return {static_cast<int>(frame.front.size()), static_cast<int>(frame.back.size())};
}

const std::string& Tokenizer::digest() const {
  return impl_->pipeline.digest;
}
int64_t Tokenizer::dropped_bytes() const {
  return impl_->dropped_bytes;
}

bool IsValidUtf8(std::string_view bytes) {
  return FindInvalidUtf8(bytes) == std::string_view::npos;
}

}  // namespace hullft
