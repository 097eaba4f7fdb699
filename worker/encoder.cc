#include "worker/encoder.h"

#include <ATen/Parallel.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "common/error.h"
#include "common/hash.h"
#include "common/parallel.h"
#include "common/tokenizer/lower_case.h"
#include "common/tokenizer/tokenizer.h"
#include "worker/device.h"
#include "worker/models/encoder_model.h"
#include "worker/pooling.h"
#include "worker/runtime.h"

namespace hullft::worker {
namespace {

// Tokens with special ones: as asked for, else the folder's own setting, else what the positions allow.
int ResolveMaxLength(const SentenceSettings& settings, int asked, int64_t model_limit) {
  if (asked < 0 || asked > model_limit) {
    throw UsageError("the encoder's max-length is {}, it must be from 1 to {} (or 0: the model's own)", asked,
                     model_limit);
  }
  if (asked > 0) return asked;
  return static_cast<int>(settings.max_tokens > 0 ? std::min(settings.max_tokens, model_limit) : model_limit);
}

}  // namespace

LongTexts LongTextsFromName(const std::string& name) {
  if (name == "cut") return LongTexts::kCut;
  if (name == "average") return LongTexts::kAverage;
  throw UsageError("long texts are cut or averaged (cut, average), not '{}'", name);
}

struct Encoder::Impl {
  EncoderModel model;
  std::unique_ptr<Tokenizer> tokenizer;
  SentenceSettings settings;
  int max_length;
  int threads;
  LongTexts long_texts;
  std::string digest, space;

  // Ids with special ones at both ends, at most max_length; of a text that is cut as the reference does it only the
  // first part remains.
  std::vector<std::vector<int32_t>> Parts(std::string_view text) const {
    const std::string whole = settings.prompt + std::string(text);
    std::vector<int32_t> ids = tokenizer->Encode(settings.lower_case ? LowerCase(whole) : whole, true);
    const auto limit = static_cast<std::ptrdiff_t>(max_length);
    if (std::ssize(ids) <= limit) return {std::move(ids)};
    const auto [front, back] = tokenizer->num_special();
    const auto begin = ids.begin() + front, end = ids.end() - back;
    std::vector<std::vector<int32_t>> parts;
    for (auto at = begin; at < end && (at == begin || long_texts == LongTexts::kAverage);) {
      const auto stop = at + std::min<std::ptrdiff_t>(limit - front - back, end - at);
      std::vector<int32_t> part(ids.begin(), begin);
      part.insert(part.end(), at, stop);
      part.insert(part.end(), end, ids.end());
      parts.push_back(std::move(part));
      at = stop;
    }
    return parts;
  }

  // [D], on the model's device
  at::Tensor Vector(std::string_view text) const {
    const std::vector<std::vector<int32_t>> parts = Parts(text);
    at::Tensor vector;
    if (parts.size() == 1) {
      vector = Pool(model.Hidden(parts[0]), settings.pooling);
    } else {
      double tokens = 0;
      vector = at::zeros({model.width()}, at::TensorOptions(at::kFloat).device(model.device()));
      for (const std::vector<int32_t>& part : parts) {
        vector.add_(Pool(model.Hidden(part), settings.pooling), static_cast<double>(part.size()));
        tokens += static_cast<double>(part.size());
      }
      vector.div_(tokens);
    }
    return vector.div(at::linalg_vector_norm(vector).clamp_min(1e-9));
  }

  // Both: a row of out, [D], for each text.
  void EmbedOnCpu(std::span<const std::string_view> texts, std::span<float> out) const;
  void EmbedOnGpu(std::span<const std::string_view> texts, std::span<float> out) const;
};

void Encoder::Impl::EmbedOnCpu(std::span<const std::string_view> texts, std::span<float> out) const {
  const auto width = static_cast<size_t>(model.width());
  std::vector<size_t> order(texts.size());  // the longest first, so that no thread is left with it at the end
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return texts[a].size() > texts[b].size(); });
  const IntraOpThreads restore(1);
  ParallelFor(static_cast<int64_t>(texts.size()), threads, [&](int64_t i) {
    if (at::get_num_threads() != 1) at::set_num_threads(1);  // a setting of each thread
    const size_t row = order[static_cast<size_t>(i)];
    CallTorch([&] {
      const c10::InferenceMode inference;
      const at::Tensor vector = Vector(texts[row]);
      std::copy_n(vector.const_data_ptr<float>(), width, out.begin() + static_cast<std::ptrdiff_t>(row * width));
    });
  });
}

// The device works behind this thread, which waits for it once, at the end.
void Encoder::Impl::EmbedOnGpu(std::span<const std::string_view> texts, std::span<float> out) const {
  if (texts.empty()) return;
  CallTorch([&] {
    const c10::InferenceMode inference;
    const c10::DeviceGuard guard(model.device());
    std::vector<at::Tensor> vectors;
    for (const std::string_view text : texts) vectors.push_back(Vector(text));
    const at::Tensor rows = at::stack(vectors).cpu();
    std::copy_n(rows.const_data_ptr<float>(), out.size(), out.data());
  });
}

Encoder::Encoder() = default;
Encoder::~Encoder() = default;

std::unique_ptr<Encoder> Encoder::Load(const EncoderOptions& options) {
  SentenceSettings settings = ReadSentenceSettings(options.model_dir, options.prompt);
  EncoderModel model(settings.model);
  // Older sentence-transformers folders keep the transformer's files, the tokenizer's among them, in a folder of their
  // own.
  std::unique_ptr<Tokenizer> tokenizer = Tokenizer::Load(settings.model);
  if (tokenizer->vocab_size() > model.vocab_size()) {
    throw DataError("{}: tokenizer.json has {} tokens, config.json's vocab_size is {}", settings.model.string(),
                    tokenizer->vocab_size(), model.vocab_size());
  }
  const int max_length = ResolveMaxLength(settings, options.max_length, model.max_tokens());
  const auto [front, back] = tokenizer->num_special();
  if (max_length <= front + back) {
    throw UsageError("the encoder's max-length is {}, of which {} are special tokens: no text is left", max_length,
                     front + back);
  }
  const auto digest = [&](const std::string& prompt) {
    Hasher hasher;
    hasher.Update(model.digest()).Update(tokenizer->digest()).Update(std::to_string(max_length));
    if (settings.lower_case) hasher.Update("lower case");
    if (settings.pooling != Pooling::kMean) hasher.Update("pooling").Update(PoolingName(settings.pooling));
    if (!prompt.empty()) hasher.Update("prompt").Update(prompt);
    if (options.long_texts == LongTexts::kAverage) hasher.Update("average of long texts");
    return hasher.Hex();
  };
  const std::string whole = digest(settings.prompt), space = digest("");
  std::unique_ptr<Encoder> encoder(new Encoder);
  const int threads = options.threads > 0 ? options.threads : UsableCores();
  encoder->impl_.reset(new Impl{std::move(model), std::move(tokenizer), std::move(settings), max_length, threads,
                                options.long_texts, whole, space});
  return encoder;
}

void Encoder::MoveTo(const std::string& device) {
  const at::Device parsed = ParseDevice(device);
  CallTorch([&] {
    InitDevice(parsed, /*tf32=*/false);
    const c10::DeviceGuard guard(parsed);
    impl_->model.MoveTo(parsed);
  });
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
const std::string& Encoder::space() const {
  return impl_->space;
}

void Encoder::Embed(std::span<const std::string_view> texts, std::span<float> out) const {
  const size_t width = static_cast<size_t>(dim());
  HULLFT_CHECK(out.size() == texts.size() * width);
  impl_->model.device().is_cpu() ? impl_->EmbedOnCpu(texts, out) : impl_->EmbedOnGpu(texts, out);
  for (size_t row = 0; row < texts.size(); ++row) {
    if (std::ranges::all_of(out.subspan(row * width, width), [](float x) { return std::isfinite(x); })) continue;
    throw Error(Code::kNumeric, fmt::format("the embedding of text {} is not finite", row),
                "the encoder's weights are damaged, or overflow in float32");
  }
}

}  // namespace hullft::worker
