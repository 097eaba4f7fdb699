// Letters: T tokens, D width, H heads, G key/value heads, E width of a head, F feed-forward width.
#include "worker/models/llama.h"

#include <string>
#include <utility>
#include <vector>

#include "worker/models/activation.h"
#include "worker/models/rope.h"
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
  at::Tensor Attention(const Layer& layer, const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                       double dropout) const;
  at::Tensor Mlp(const Layer& layer, const at::Tensor& x) const;
  at::Tensor Norm(const at::Tensor& x, int weight) const { return at::rms_norm(x, {width_}, P(weight), norm_epsilon_); }
  at::Tensor Project(const at::Tensor& x, const Projection& projection) const {
    return worker::Project(x, P(projection.weight), /*in_out=*/false,
                           projection.bias < 0 ? at::Tensor() : P(projection.bias), precision_);
  }

  int64_t width_, heads_, kv_heads_, head_width_, mlp_width_;
  double norm_epsilon_;
  Activation activation_;
  Rope rope_;
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
  }
  norm_ = plan.Add("model.norm.weight", {width_});
  head_ = tied ? embedding_ : plan.Add("lm_head.weight", {vocab_size_, width_});
  if (tied) plan.AddAlias("lm_head.weight", embedding_);
}

// x: [T, D] -> [T, D]
at::Tensor Llama::Attention(const Layer& layer, const at::Tensor& x, const at::Tensor& cos, const at::Tensor& sin,
                            double dropout) const {
  const int64_t length = x.size(0);
  const auto split = [&](const at::Tensor& y, int64_t heads) { return y.view({length, heads, head_width_}); };
  const auto batch = [](const at::Tensor& y) { return y.transpose(0, 1).unsqueeze(0); };  // [T, H, E] -> [1, H, T, E]
  const at::Tensor q = batch(Rope::Apply(split(Project(x, layer.q), heads_), cos, sin));
  const at::Tensor k = batch(Rope::Apply(split(Project(x, layer.k), kv_heads_), cos, sin));
  const at::Tensor v = batch(split(Project(x, layer.v), kv_heads_));
  const at::Tensor mixed =
      at::scaled_dot_product_attention(q, k, v, {}, dropout, /*is_causal=*/true, std::nullopt, heads_ != kv_heads_);
  return Project(mixed.squeeze(0).transpose(0, 1).reshape({length, heads_ * head_width_}), layer.o);
}

at::Tensor Llama::Mlp(const Layer& layer, const at::Tensor& x) const {
  return Project(Activate(activation_, Project(x, layer.gate)) * Project(x, layer.up), layer.down);
}

at::Tensor Llama::Hidden(const at::Tensor& ids, double dropout) {
  CheckIds(ids);
  const auto [cos, sin] = rope_.Tables(ids.size(0), ids.device());
  at::Tensor x = at::embedding(P(embedding_), ids);
  for (const Layer& layer : layers_) {
    x = x + Attention(layer, Norm(x, layer.attention_norm), cos, sin, dropout);
    x = x + Mlp(layer, Norm(x, layer.mlp_norm));
  }
  return Norm(x, norm_);
}

}  // namespace

std::unique_ptr<LanguageModel> LoadLlama(ConfigReader& config, const std::filesystem::path& folder,
                                         const FlatSource& source) {
  return std::make_unique<Llama>(config, folder, source);
}

}  // namespace hullft::worker
