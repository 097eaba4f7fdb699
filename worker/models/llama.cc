// Letters: T tokens, D width, H heads, G key/value heads, E width of a head, F feed-forward width.
#include "worker/models/llama.h"

#include <string>
#include <utility>
#include <vector>

#include "worker/models/activation.h"
#include "worker/models/gated_blocks.h"
#include "worker/models/rope.h"
#include "worker/models/weight_gradient.h"
#include "worker/models/weights.h"

namespace hullft::worker {
namespace {

struct Projection {
  int weight = -1, bias = -1;  // bias -1: none
};

struct Layer {
  int attention_norm, mlp_norm;
  Projection q, k, v, o, gate, up, down;
};

class Llama final : public LanguageModel {
 public:
  Llama(ConfigReader& config, const std::filesystem::path& folder, const FlatSource& source);
  at::Tensor Hidden(const at::Tensor& ids, double dropout) override;
  at::Tensor HeadWeight() override { return P(head_); }

 private:
  void PlanWeights(WeightPlan& plan, int64_t layers, bool attention_bias, bool mlp_bias, bool tied);
  struct Positions {
    int64_t length;       // T
    at::Tensor cos, sin;  // [B T, 1, E / 2]
  };
  at::Tensor Attention(const Layer& layer, const at::Tensor& x, const Positions& positions, double dropout) const;
  at::Tensor QueryKeyValue(const Layer& layer, const at::Tensor& x) const;
  at::Tensor Mlp(const Layer& layer, const at::Tensor& x) const;
  // The lean pieces know neither adapters nor biases.
  bool lean() const { return !adapted() && !biased_; }
  at::Tensor Norm(const at::Tensor& x, int weight) const { return Normalize(x, {P(weight), norm_epsilon_}); }
  at::Tensor Project(const at::Tensor& x, const Projection& projection) const {
    const at::Tensor bias = projection.bias < 0 ? at::Tensor() : P(projection.bias);
    return Adapt(worker::Project(x, P(projection.weight), /*in_out=*/false, bias, precision_), x, projection.weight);
  }

  int64_t width_, heads_, kv_heads_, head_width_, mlp_width_;
  double norm_epsilon_;
  Activation activation_;
  Rope rope_;
  bool biased_ = false;
  int embedding_ = -1, norm_ = -1, head_ = -1;
  std::vector<Layer> layers_;
};

Llama::Llama(ConfigReader& config, const std::filesystem::path& folder, const FlatSource& source)
    : width_(config.Size("hidden_size")),
      heads_(config.Size("num_attention_heads")),
      kv_heads_(config.Size("num_key_value_heads", heads_)),
      head_width_(config.Size("head_dim", std::max<int64_t>(width_ / heads_, 1))),
      mlp_width_(config.Size("intermediate_size")),
      norm_epsilon_(config.Number("rms_norm_eps", 1e-6)),
      activation_(ReadActivation(config, "hidden_act", "silu")) {
  vocab_size_ = config.Size("vocab_size");
  max_positions_ = config.Size("max_position_embeddings");
  bos_token_id_ = config.TokenId("bos_token_id");
  eos_token_id_ = config.TokenId("eos_token_id");
  if (heads_ % kv_heads_ != 0) throw config.Unsupported("num_key_value_heads", "it must divide num_attention_heads");
  if (!config.Has("head_dim") && width_ % heads_ != 0) {
    throw config.Unsupported("num_attention_heads", "it must divide hidden_size when head_dim is not given");
  }
  rope_ = Rope(config, head_width_, max_positions_);
  const int64_t layers = config.Size("num_hidden_layers");
  const bool attention_bias = config.Flag("attention_bias", false), mlp_bias = config.Flag("mlp_bias", false);
  const bool tied = config.Flag("tie_word_embeddings", false);
  config.RejectUnknown({"attention_dropout", "pretraining_tp"});  // dropout is an argument; slicing gives the same sums
  WeightPlan plan("model.", {R"((layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq)"});
  PlanWeights(plan, layers, attention_bias, mlp_bias, tied);
  WeightPlan::Result loaded = plan.Load(folder, source, true);
  flat_ = loaded.flat;
  parameters_ = std::move(loaded.parameters);
  biased_ = attention_bias || mlp_bias;
  OverwriteMatrixGradients();
}

void Llama::PlanWeights(WeightPlan& plan, int64_t layers, bool attention_bias, bool mlp_bias, bool tied) {
  const auto project = [&](const std::string& name, int64_t out, int64_t in, bool bias) {
    Projection projection;
    projection.weight = plan.Add(name + ".weight", {out, in});
    if (bias) projection.bias = plan.Add(name + ".bias", {out});
    return projection;
  };
  embedding_ = plan.Add("model.embed_tokens.weight", {vocab_size_, width_});
  const int64_t query = heads_ * head_width_, key = kv_heads_ * head_width_;
  for (int64_t i = 0; i < layers; ++i) {
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    Layer layer;
    layer.attention_norm = plan.Add(prefix + "input_layernorm.weight", {width_});
    layer.q = project(prefix + "self_attn.q_proj", query, width_, attention_bias);
    layer.k = project(prefix + "self_attn.k_proj", key, width_, attention_bias);
    layer.v = project(prefix + "self_attn.v_proj", key, width_, attention_bias);
    layer.o = project(prefix + "self_attn.o_proj", width_, query, attention_bias);
    layer.mlp_norm = plan.Add(prefix + "post_attention_layernorm.weight", {width_});
    layer.gate = project(prefix + "mlp.gate_proj", mlp_width_, width_, mlp_bias);
    layer.up = project(prefix + "mlp.up_proj", mlp_width_, width_, mlp_bias);
    layer.down = project(prefix + "mlp.down_proj", width_, mlp_width_, mlp_bias);
    layers_.push_back(layer);
    const auto place = [&](const char* target, const Projection& projection, int64_t out, int64_t in) {
      adapter_places_.push_back({target, projection.weight, 0, out, in, false});
    };
    place("q", layer.q, query, width_);
    place("k", layer.k, key, width_);
    place("v", layer.v, key, width_);
    place("o", layer.o, width_, query);
    place("gate", layer.gate, mlp_width_, width_);
    place("up", layer.up, mlp_width_, width_);
    place("down", layer.down, width_, mlp_width_);
  }
  norm_ = plan.Add("model.norm.weight", {width_});
  head_ = tied ? embedding_ : plan.Add("lm_head.weight", {vocab_size_, width_});
  if (tied) plan.AddAlias("lm_head.weight", embedding_);
}

// x: [B T, D], before the norm -> [B T, (H + 2 G) E]
at::Tensor Llama::QueryKeyValue(const Layer& layer, const at::Tensor& x) const {
  if (lean()) {
    return RmsNormProject(x, {P(layer.attention_norm), norm_epsilon_}, P(layer.q.weight), P(layer.k.weight),
                          P(layer.v.weight), precision_);
  }
  const at::Tensor normed = Norm(x, layer.attention_norm);
  return at::cat({Project(normed, layer.q), Project(normed, layer.k), Project(normed, layer.v)}, 1);
}

// x: [B T, D], before the norm -> [B T, D]
at::Tensor Llama::Attention(const Layer& layer, const at::Tensor& x, const Positions& positions, double dropout) const {
  const int64_t rotated = heads_ + kv_heads_;
  const auto batch = [&](const at::Tensor& y) {  // [B T, H, E] -> [B, H, T, E]
    return y.view({-1, positions.length, y.size(1), head_width_}).transpose(1, 2);
  };
  // split: its backward pass is one copy, narrow's would be sums
  const std::vector<at::Tensor> qk_v =
      QueryKeyValue(layer, x).view({-1, rotated + kv_heads_, head_width_}).split_with_sizes({rotated, kv_heads_}, 1);
  const std::vector<at::Tensor> q_k =
      Rotate(qk_v[0], positions.cos, positions.sin).split_with_sizes({heads_, kv_heads_}, 1);
  const at::Tensor mixed = at::scaled_dot_product_attention(batch(q_k[0]), batch(q_k[1]), batch(qk_v[1]), {}, dropout,
                                                            /*is_causal=*/true, std::nullopt, heads_ != kv_heads_);
  return Project(mixed.transpose(1, 2).reshape({-1, heads_ * head_width_}), layer.o);
}

// x: [B T, D], before the norm -> [B T, D]
at::Tensor Llama::Mlp(const Layer& layer, const at::Tensor& x) const {
  if (lean()) {
    return RmsNormGatedMlp(x, {P(layer.mlp_norm), norm_epsilon_}, P(layer.gate.weight), P(layer.up.weight),
                           P(layer.down.weight), activation_, precision_);
  }
  const at::Tensor normed = Norm(x, layer.mlp_norm);
  return Project(Gated(Project(normed, layer.gate), Project(normed, layer.up), activation_), layer.down);
}

at::Tensor Llama::Hidden(const at::Tensor& ids, double dropout) {
  CheckIds(ids);
  const auto [cos, sin] = rope_.Tables(ids.size(-1), ids.device());
  Positions positions{ids.size(-1), cos, sin};
  if (const int64_t sequences = ids.numel() / ids.size(-1); sequences > 1) {
    positions.cos = cos.repeat({sequences, 1, 1});
    positions.sin = sin.repeat({sequences, 1, 1});
  }
  at::Tensor x = Embed(P(embedding_), {}, ids, /*onto=*/head_ == embedding_);
  for (const Layer& layer : layers_) {
    x = x + Attention(layer, x, positions, dropout);
    x = x + Mlp(layer, x);
  }
  return Norm(x, norm_);
}

}  // namespace

std::unique_ptr<LanguageModel> LoadLlama(ConfigReader& config, const std::filesystem::path& folder,
                                         const FlatSource& source) {
  return std::make_unique<Llama>(config, folder, source);
}

}  // namespace hullft::worker
