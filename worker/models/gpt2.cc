// Letters: T tokens, D width, H heads, E = D / H width of a head, F feed-forward width.
#include "worker/models/gpt2.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "worker/models/activation.h"
#include "worker/models/lean_blocks.h"
#include "worker/models/weight_gradient.h"
#include "worker/models/weights.h"

namespace hullft::worker {
namespace {

struct Affine {
  int weight, bias;
};

struct Layer {
  Affine attention_norm, qkv, out, mlp_norm, up, down;
};

class Gpt2 final : public LanguageModel {
 public:
  Gpt2(ConfigReader& config, const std::filesystem::path& folder, const FlatSource& source);
  at::Tensor Hidden(const at::Tensor& ids, double dropout) override;
  at::Tensor HeadWeight() override { return P(head_); }

 private:
  void PlanWeights(WeightPlan& plan, int64_t layers, bool tied);
  at::Tensor Attention(const Layer& layer, const at::Tensor& x, int64_t length, double scale, double dropout) const;
  at::Tensor Mlp(const Layer& layer, const at::Tensor& x) const;
  at::Tensor Norm(const at::Tensor& x, const Affine& a) const {
    return at::layer_norm(x, {width_}, P(a.weight), P(a.bias), norm_epsilon_);
  }
  at::Tensor Project(const at::Tensor& x, const Affine& a) const {
    return Adapt(worker::Project(x, P(a.weight), /*in_out=*/true, P(a.bias), precision_), x, a.weight);
  }

  int64_t width_, heads_, mlp_width_;
  double norm_epsilon_;
  Activation activation_;
  bool scale_by_width_, scale_by_layer_;
  int tokens_ = -1, positions_ = -1, head_ = -1;
  Affine norm_{-1, -1};
  std::vector<Layer> layers_;
};

// Older files say n_ctx beside n_positions; some writers use the general names.
Gpt2::Gpt2(ConfigReader& config, const std::filesystem::path& folder, const FlatSource& source)
    : width_(config.Size("n_embd")),
      heads_(config.Size("n_head")),
      mlp_width_(config.Size("n_inner", 4 * width_)),
      norm_epsilon_(config.Number("layer_norm_epsilon", 1e-5)),
      activation_(ReadActivation(config, "activation_function", "gelu_new")),
      scale_by_width_(config.Flag("scale_attn_weights", true)),
      scale_by_layer_(config.Flag("scale_attn_by_inverse_layer_idx", false)) {
  vocab_size_ = config.Size("vocab_size");
  max_positions_ = config.Size("n_positions");
  bos_token_id_ = config.TokenId("bos_token_id");
  eos_token_id_ = config.TokenId("eos_token_id");
  if (width_ % heads_ != 0) throw config.Unsupported("n_head", "it must divide n_embd");
  if (config.Flag("add_cross_attention", false)) throw config.Unsupported("add_cross_attention", "not implemented");
  const int64_t layers = config.Size("n_layer");
  const bool tied = config.Flag("tie_word_embeddings", true);
  // Dropout is an argument; upcasting changes nothing in float32; summary_* belong to another head.
  config.RejectUnknown({"attn_pdrop", "embd_pdrop", "resid_pdrop", "reorder_and_upcast_attn", "n_ctx",
                        "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type",
                        "summary_use_proj"});
  WeightPlan plan("transformer.", {R"(h\.\d+\.attn\.(bias|masked_bias))"});
  PlanWeights(plan, layers, tied);
  WeightPlan::Result loaded = plan.Load(folder, source, true);
  flat_ = loaded.flat;
  parameters_ = std::move(loaded.parameters);
  OverwriteMatrixGradients();
}

void Gpt2::PlanWeights(WeightPlan& plan, int64_t layers, bool tied) {
  const auto norm = [&](const std::string& name) {
    const int weight = plan.Add(name + ".weight", {width_});
    return Affine{weight, plan.Add(name + ".bias", {width_})};
  };
  const auto project = [&](const std::string& name, int64_t in, int64_t out) {
    const int weight = plan.Add(name + ".weight", {in, out});
    return Affine{weight, plan.Add(name + ".bias", {out})};
  };
  tokens_ = plan.Add("transformer.wte.weight", {vocab_size_, width_});
  positions_ = plan.Add("transformer.wpe.weight", {max_positions_, width_});
  for (int64_t i = 0; i < layers; ++i) {
    const std::string prefix = "transformer.h." + std::to_string(i) + ".";
    Layer layer;
    layer.attention_norm = norm(prefix + "ln_1");
    layer.qkv = project(prefix + "attn.c_attn", width_, 3 * width_);
    layer.out = project(prefix + "attn.c_proj", width_, width_);
    layer.mlp_norm = norm(prefix + "ln_2");
    layer.up = project(prefix + "mlp.c_fc", width_, mlp_width_);
    layer.down = project(prefix + "mlp.c_proj", mlp_width_, width_);
    layers_.push_back(layer);
    for (int64_t third = 0; third < 3; ++third) {
      const char* const names[] = {"q", "k", "v"};
      adapter_places_.push_back({names[third], layer.qkv.weight, third * width_, width_, width_, true});
    }
    adapter_places_.push_back({"o", layer.out.weight, 0, width_, width_, true});
    adapter_places_.push_back({"up", layer.up.weight, 0, mlp_width_, width_, true});
    adapter_places_.push_back({"down", layer.down.weight, 0, width_, mlp_width_, true});
  }
  norm_ = norm("transformer.ln_f");
  head_ = tied ? tokens_ : plan.Add("lm_head.weight", {vocab_size_, width_});
  if (tied) plan.AddAlias("lm_head.weight", tokens_);
}

// x: [B T, D], before the norm; length: T -> [B T, D]
at::Tensor Gpt2::Attention(const Layer& layer, const at::Tensor& x, int64_t length, double scale,
                           double dropout) const {
  const at::Tensor flat_qkv = adapted()
                                  ? Project(Norm(x, layer.attention_norm), layer.qkv)
                                  : NormProject(x, P(layer.attention_norm.weight), P(layer.attention_norm.bias),
                                                norm_epsilon_, P(layer.qkv.weight), P(layer.qkv.bias), precision_);
  // [B T, 3D] -> [B, 3H, T, E]: the heads of query, key and value, in this order
  const at::Tensor qkv = flat_qkv.view({-1, length, 3 * heads_, width_ / heads_}).transpose(1, 2);
  const std::vector<at::Tensor> third = qkv.split(heads_, 1);  // its backward pass is one copy, narrow's are three sums
  const at::Tensor mixed =
      at::scaled_dot_product_attention(third[0], third[1], third[2], {}, dropout, /*is_causal=*/true, scale);
  return Project(mixed.transpose(1, 2).reshape({-1, width_}), layer.out);
}

// x: [B T, D], before the norm -> [B T, D]. With adapters plain operations: of frozen weights autograd keeps no more
// than the lean ones do.
at::Tensor Gpt2::Mlp(const Layer& layer, const at::Tensor& x) const {
  if (adapted()) return Project(Activate(activation_, Project(Norm(x, layer.mlp_norm), layer.up)), layer.down);
  const MlpWeights mlp{P(layer.mlp_norm.weight), P(layer.mlp_norm.bias), P(layer.up.weight),
                       P(layer.up.bias),         P(layer.down.weight),   P(layer.down.bias)};
  return NormMlp(x, mlp, norm_epsilon_, activation_, precision_);
}

at::Tensor Gpt2::Hidden(const at::Tensor& ids, double dropout) {
  CheckIds(ids);
  const auto drop = [dropout](const at::Tensor& y) { return dropout > 0 ? at::dropout(y, dropout, true) : y; };
  at::Tensor x = drop(Embed(P(tokens_), P(positions_), ids, /*onto=*/head_ == tokens_));
  const double by_width = scale_by_width_ ? 1 / std::sqrt(static_cast<double>(width_ / heads_)) : 1.0;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const double scale = scale_by_layer_ ? by_width / static_cast<double>(i + 1) : by_width;
    x = x + drop(Attention(layer, x, ids.size(-1), scale, dropout));
    x = x + drop(Mlp(layer, x));
  }
  return Norm(x, norm_);
}

}  // namespace

std::unique_ptr<LanguageModel> LoadGpt2(ConfigReader& config, const std::filesystem::path& folder,
                                        const FlatSource& source) {
  return std::make_unique<Gpt2>(config, folder, source);
}

}  // namespace hullft::worker
