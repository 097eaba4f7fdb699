// Letters: T tokens, D width, H heads, E = D / H width of a head, F feed-forward width.
#include "worker/models/bert.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/files.h"
#include "common/hash.h"
#include "worker/models/weights.h"

namespace hullft::worker {

BertModel::BertModel(const std::filesystem::path& folder) : BertModel(ConfigReader(folder / "config.json"), folder) {}

BertModel::BertModel(ConfigReader config, const std::filesystem::path& folder)
    : width_(config.Size("hidden_size")),
      heads_(config.Size("num_attention_heads")),
      mlp_width_(config.Size("intermediate_size")),
      vocab_size_(config.Size("vocab_size")),
      norm_epsilon_(config.Number("layer_norm_eps", 1e-12)),
      activation_(ReadActivation(config, "hidden_act", "gelu")) {
  const std::string type = config.Text("model_type");
  if (type != "bert" && type != "roberta") {
    throw config.Unsupported("model_type", "encoders of this kind are not implemented (bert and roberta are)");
  }
  if (width_ % heads_ != 0) throw config.Unsupported("num_attention_heads", "it must divide hidden_size");
  if (config.Text("position_embedding_type", "absolute") != "absolute") {
    throw config.Unsupported("position_embedding_type", "only absolute positions are implemented");
  }
  for (const char* flag : {"is_decoder", "add_cross_attention", "is_encoder_decoder"}) {
    if (config.Flag(flag, false)) throw config.Unsupported(flag, "this is an encoder only");
  }
  const int64_t positions = max_tokens_ = config.Size("max_position_embeddings");
  if (type == "roberta") {
    padding_id_ = config.TokenId("pad_token_id");
    if (padding_id_ < 0) padding_id_ = 1;
    max_tokens_ = positions - padding_id_ - 1;
    if (max_tokens_ < 1) throw config.Unsupported("max_position_embeddings", "it must be above pad_token_id + 1");
  }
  const int64_t layers = config.Size("num_hidden_layers"), types = config.Size("type_vocab_size", 2);
  // Dropout is off in inference; chunking changes nothing; the classifier and the tied head are not used.
  config.RejectUnknown({"hidden_dropout_prob", "attention_probs_dropout_prob", "chunk_size_feed_forward",
                        "classifier_dropout", "tie_word_embeddings", "position_embedding_type"});
  LoadWeights(folder, type + ".", layers, positions, types);
  digest_ = Hasher().Update(digest_).Update(ReadFile(folder / "config.json")).Hex();
}

void BertModel::LoadWeights(const std::filesystem::path& folder, const std::string& prefix, int64_t layers,
                            int64_t positions, int64_t types) {
  WeightPlan plan(prefix, {R"(embeddings\.(position_ids|token_type_ids))", R"(pooler\.dense\.(weight|bias))",
                           R"((cls|lm_head)\..*)"});
  const auto affine = [&](const std::string& name, std::vector<int64_t> weight) {
    const int64_t out = weight[0];
    const int first = plan.Add(name + ".weight", std::move(weight));
    return std::pair(first, plan.Add(name + ".bias", {out}));
  };
  const int tokens = plan.Add("embeddings.word_embeddings.weight", {vocab_size_, width_});
  const int places = plan.Add("embeddings.position_embeddings.weight", {positions, width_});
  const int type = plan.Add("embeddings.token_type_embeddings.weight", {types, width_});
  const auto norm = affine("embeddings.LayerNorm", {width_});
  struct LayerIndex {
    std::pair<int, int> q, k, v, out, attention_norm, up, down, mlp_norm;
  };
  std::vector<LayerIndex> indices;
  for (int64_t i = 0; i < layers; ++i) {
    const std::string at = "encoder.layer." + std::to_string(i) + ".";
    indices.push_back(
        {affine(at + "attention.self.query", {width_, width_}), affine(at + "attention.self.key", {width_, width_}),
         affine(at + "attention.self.value", {width_, width_}), affine(at + "attention.output.dense", {width_, width_}),
         affine(at + "attention.output.LayerNorm", {width_}), affine(at + "intermediate.dense", {mlp_width_, width_}),
         affine(at + "output.dense", {width_, mlp_width_}), affine(at + "output.LayerNorm", {width_})});
  }
  const Checkpoint checkpoint(folder);
  digest_ = checkpoint.Digest();
  const c10::InferenceMode inference;
  const std::vector<Parameter> loaded = plan.Load(checkpoint, FlatSource{}, false).parameters;
  const auto weight = [&](int index) { return loaded[static_cast<size_t>(index)].value; };
  const auto pair = [&](std::pair<int, int> index) { return Affine{weight(index.first), weight(index.second)}; };
  tokens_ = weight(tokens), positions_ = weight(places), type_ = weight(type)[0], norm_ = pair(norm);
  for (const LayerIndex& index : indices) {
    const Affine q = pair(index.q), k = pair(index.k), v = pair(index.v);
    const Affine qkv{at::cat({q.weight, k.weight, v.weight}), at::cat({q.bias, k.bias, v.bias})};
    layers_.push_back(
        {qkv, pair(index.out), pair(index.attention_norm), pair(index.up), pair(index.down), pair(index.mlp_norm)});
  }
}

at::Tensor BertModel::Norm(const at::Tensor& x, const Affine& a) const {
  return at::layer_norm(x, {width_}, a.weight, a.bias, norm_epsilon_);
}

// transformers, create_position_ids_from_input_ids: a padding token inside the text does not advance the position.
at::Tensor BertModel::Positions(const at::Tensor& ids) const {
  if (padding_id_ < 0) return positions_.narrow(0, 0, ids.size(0));
  const at::Tensor real = ids.ne(padding_id_).to(at::kLong);
  return at::embedding(positions_, real.cumsum(0) * real + padding_id_);
}

// x: [T, D] -> [T, D]
at::Tensor BertModel::Attention(const Layer& layer, const at::Tensor& x) const {
  const int64_t length = x.size(0);
  const at::Tensor qkv = at::linear(x, layer.qkv.weight, layer.qkv.bias)
                             .view({1, length, 3 * heads_, width_ / heads_})
                             .transpose(1, 2);  // [1, 3H, T, E]
  const auto third = [&](int64_t i) { return qkv.narrow(1, i * heads_, heads_); };
  const at::Tensor mixed = at::scaled_dot_product_attention(third(0), third(1), third(2));
  return at::linear(mixed.squeeze(0).transpose(0, 1).reshape({length, width_}), layer.out.weight, layer.out.bias);
}

at::Tensor BertModel::Hidden(std::span<const int32_t> ids) const {
  const int64_t length = static_cast<int64_t>(ids.size());
  if (length < 1 || length > max_tokens_) {
    throw DataError("a text of {} tokens does not fit the encoder's 1 to {}", length, max_tokens_);
  }
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocab_size_)
      throw DataError("token {} is outside the encoder's vocabulary of {}", id, vocab_size_);
  }
  const c10::InferenceMode inference;
  const at::Tensor tokens = at::empty({length}, at::kLong);
  std::ranges::copy(ids, tokens.data_ptr<int64_t>());
  at::Tensor x = Norm(at::embedding(tokens_, tokens).add_(type_).add_(Positions(tokens)), norm_);
  for (const Layer& layer : layers_) {
    x = Norm(Attention(layer, x).add_(x), layer.attention_norm);
    const at::Tensor up = Activate(activation_, at::linear(x, layer.up.weight, layer.up.bias));
    x = Norm(at::linear(up, layer.down.weight, layer.down.bias).add_(x), layer.mlp_norm);
  }
  return x;
}

void BertModel::Embed(std::span<const int32_t> ids, std::span<float> out) const {
  HULLFT_CHECK(static_cast<int64_t>(out.size()) == width_);
  const at::Tensor hidden = Hidden(ids);
  const c10::InferenceMode inference;
  const at::Tensor mean = hidden.sum(0).div_(static_cast<double>(ids.size()));  // T >= 1: the clamp at 1e-9 never acts
  const at::Tensor unit = mean.div(at::linalg_vector_norm(mean).clamp_min(1e-9));
  std::copy_n(unit.data_ptr<float>(), width_, out.data());
}

}  // namespace hullft::worker
