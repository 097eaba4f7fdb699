#include "worker/encoder.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <vector>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/parallel.h"
#include "common/stays_inside.h"
#include "common/tokenizer/tokenizer.h"
#include "worker/models/bert.h"
#include "worker/models/config.h"
#include "worker/runtime.h"

namespace hullft::worker {
namespace {

namespace fs = std::filesystem;

// A sentence-transformers folder says how vectors are made of hidden states; anything but the mean is refused.
void CheckPooling(const fs::path& folder) {
  const fs::path modules = folder / "modules.json";
  if (!fs::exists(modules)) return;
  nlohmann::json list;
  try {
    list = nlohmann::json::parse(ReadFile(modules));
  } catch (const nlohmann::json::exception& error) {
    throw DataError("{}: not JSON: {}", modules.string(), error.what());
  }
  if (!list.is_array()) throw DataError("{}: not a list of modules", modules.string());
  for (const nlohmann::json& module : list) {
    const bool whole = module.is_object() && module.value("type", nlohmann::json()).is_string() &&
                       module.value("path", nlohmann::json()).is_string();
    if (!whole) throw DataError("{}: a module without type or path", modules.string());
    const std::string type = module["type"], kind = type.substr(type.rfind('.') + 1);
    if (kind == "Pooling") {
      const std::string path = module["path"];
      const fs::path config = fs::path(path) / "config.json";
      if (!StaysInsideModel(folder, config))
        throw DataError("{}: field path: '{}' leads out of this folder", modules.string(), path);
      ConfigReader pooling(folder / config);
      pooling.Size("word_embedding_dimension");
      if (!pooling.Flag("pooling_mode_mean_tokens", false)) {
        throw pooling.Unsupported("pooling_mode_mean_tokens", "only the mean over the tokens is implemented");
      }
      pooling.RejectUnknown({"include_prompt"});  // the other modes must be off; there is no prompt
    } else if (kind != "Transformer" && kind != "Normalize") {
      throw DataError("{}: field type: module {} is not implemented (Transformer, Pooling, Normalize are)",
                      modules.string(), type);
    }
  }
}

// Tokens with special ones: as asked for, else the folder's own setting, else what the positions allow.
int ResolveMaxLength(const fs::path& folder, int asked, int64_t model_limit) {
  if (asked < 0 || asked > model_limit) {
    throw UsageError("the encoder's max-length is {}, it must be from 1 to {} (or 0: the model's own)", asked,
                     model_limit);
  }
  if (asked > 0) return asked;
  const fs::path path = folder / "sentence_bert_config.json";
  int64_t limit = model_limit;
  if (fs::exists(path)) limit = std::min(ConfigReader(path).Size("max_seq_length", model_limit), model_limit);
  return static_cast<int>(limit);
}

}  // namespace

struct Encoder::Impl {
  BertModel model;
  std::unique_ptr<Tokenizer> tokenizer;
  int max_length;
  int threads;
  std::string digest;

  // Cut as the reference does: the special tokens at both ends stay, the text between them loses its end.
  std::vector<int32_t> Tokens(std::string_view text) const {
    std::vector<int32_t> ids = tokenizer->Encode(text, true);
    const size_t limit = static_cast<size_t>(max_length);
    if (ids.size() > limit) {
      const auto back = static_cast<std::ptrdiff_t>(tokenizer->num_special().second);
      ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(limit) - back, ids.end() - back);
    }
    return ids;
  }
};

Encoder::Encoder() = default;
Encoder::~Encoder() = default;

std::unique_ptr<Encoder> Encoder::Load(const EncoderOptions& options) {
  const fs::path folder = options.model_dir;
  CheckPooling(folder);
  BertModel model(folder);
  std::unique_ptr<Tokenizer> tokenizer = Tokenizer::Load(folder);
  if (tokenizer->vocab_size() > model.vocab_size()) {
    throw DataError("{}: tokenizer.json has {} tokens, config.json's vocab_size is {}", folder.string(),
                    tokenizer->vocab_size(), model.vocab_size());
  }
  const int max_length = ResolveMaxLength(folder, options.max_length, model.max_tokens());
  const auto [front, back] = tokenizer->num_special();
  if (max_length <= front + back) {
    throw UsageError("the encoder's max-length is {}, of which {} are special tokens: no text is left", max_length,
                     front + back);
  }
  std::string digest =
      Hasher().Update(model.digest()).Update(tokenizer->digest()).Update(std::to_string(max_length)).Hex();
  std::unique_ptr<Encoder> encoder(new Encoder);
  const int threads = options.threads > 0 ? options.threads : UsableCores();
  encoder->impl_.reset(new Impl{std::move(model), std::move(tokenizer), max_length, threads, std::move(digest)});
  return encoder;
}

int Encoder::dim() const {
  return static_cast<int>(impl_->model.width());
}
int Encoder::max_length() const {
  return impl_->max_length;
}
const std::string& Encoder::digest() const {
  return impl_->digest;
}

void Encoder::Embed(std::span<const std::string_view> texts, std::span<float> out) const {
  const size_t width = static_cast<size_t>(dim());
  HULLFT_CHECK(out.size() == texts.size() * width);
  std::vector<size_t> order(texts.size());  // the longest first, so that no thread is left with it at the end
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return texts[a].size() > texts[b].size(); });
  const IntraOpThreads restore(1);
  ParallelFor(static_cast<int64_t>(texts.size()), impl_->threads, [&](int64_t i) {
    if (at::get_num_threads() != 1) at::set_num_threads(1);  // a setting of each thread
    const size_t row = order[static_cast<size_t>(i)];
    const std::span<float> vector = out.subspan(row * width, width);
    CallTorch([&] { impl_->model.Embed(impl_->Tokens(texts[row]), vector); });
    if (!std::ranges::all_of(vector, [](float x) { return std::isfinite(x); })) {
      throw Error(Code::kNumeric, fmt::format("the embedding of text {} is not finite", row),
                  "the encoder's weights are damaged, or overflow in float32");
    }
  });
}

}  // namespace hullft::worker
