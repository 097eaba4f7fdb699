// Letters: T tokens, B sequences, D width, H heads, G key/value heads, E width of a head, F feed-forward width.
#include "worker/models/decoder.h"

#include <cmath>
#include <map>
#include <utility>
#include <vector>

#include "worker/models/decoder_weights.h"
#include "worker/models/gated_blocks.h"
#include "worker/models/lean_blocks.h"
#include "worker/models/weight_gradient.h"

namespace hullft::worker {
namespace {

class Decoder final : public LanguageModel {
 public:
  Decoder(DecoderShape shape, const std::filesystem::path& folder, const FlatSource& source);
  at::Tensor Hidden(const at::Tensor& ids, double dropout) override;
  std::vector<at::Tensor> Tables(int64_t length) override {
    std::vector<at::Tensor> tables;
    for (Rope& rope : shape_.ropes) {
      const auto [cos, sin] = rope.Tables(length, flat_.device());
      tables.insert(tables.end(), {cos, sin});
    }
    return tables;
  }
  at::Tensor HeadWeight() override { return P(w_.head); }

 private:
  // What all layers of one forward pass share.
  struct Pass {
    int64_t length;                                        // T
    double dropout;                                        // of attention
    std::vector<std::pair<at::Tensor, at::Tensor>> turns;  // by rope: cos and sin, [B T, 1, dim / 2]
    std::map<int64_t, at::Tensor> masks;                   // by window: bool [T, T]
  };
  struct Heads {
    at::Tensor q, k, v;  // [B T, H or G, E]
  };
  Pass Begin(const at::Tensor& ids, double dropout);
  at::Tensor Attention(const DecoderLayer& layer, const LayerKind& kind, const at::Tensor& x, const Pass& pass) const;
  at::Tensor QueryKeyValue(const DecoderLayer& layer, const at::Tensor& x) const;
  Heads SplitHeads(const at::Tensor& qkv) const;
  at::Tensor NormHeads(const at::Tensor& x, const Affine& norm) const;
  at::Tensor Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const LayerKind& kind,
                    const Pass& pass) const;
  at::Tensor Mlp(const DecoderLayer& layer, const at::Tensor& x) const;
  at::Tensor Embeddings(const at::Tensor& ids) const;

  // What belongs to each of the weights, as the lean functions take it.
  std::vector<at::Tensor> Weights(const std::vector<Affine>& parts) const;
  at::Tensor Biases(const std::vector<Affine>& parts) const;
  RmsNorm Rms(const Affine& a) const {
    return {shape_.norm_adds_one ? P(a.weight) + 1 : P(a.weight), shape_.norm_epsilon};
  }
  // x itself where there is no such norm.
  at::Tensor Norm(const at::Tensor& x, const Affine& a) const {
    if (a.weight < 0) return x;
    if (shape_.rms_norm) return Normalize(x, Rms(a));
    return at::layer_norm(x, {x.size(1)}, P(a.weight), P(a.bias), shape_.norm_epsilon);
  }
  at::Tensor Project(const at::Tensor& x, const Affine& a) const {
    const at::Tensor bias = a.bias < 0 ? at::Tensor() : P(a.bias);
    return Adapt(worker::Project(x, P(a.weight), shape_.in_out, bias, precision_), x, a.weight);
  }
  at::Tensor Project(const at::Tensor& x, const std::vector<Affine>& parts) const {
    if (parts.size() == 1) return Project(x, parts[0]);
    std::vector<at::Tensor> products;
    for (const Affine& part : parts) products.push_back(Project(x, part));
    return at::cat(products, 1);
  }
  bool gated() const { return !shape_.names.gate.empty() || !shape_.names.gate_up.empty(); }

  DecoderShape shape_;
  DecoderWeights w_;
};

Decoder::Decoder(DecoderShape shape, const std::filesystem::path& folder, const FlatSource& source)
    : shape_(std::move(shape)) {
  vocab_size_ = shape_.vocabulary;
  max_positions_ = shape_.positions;
  bos_token_id_ = shape_.bos;
  eos_token_id_ = shape_.eos;
  logit_cap_ = shape_.logit_cap;
  std::vector<std::string> prefixes = shape_.names.other_prefixes;
  prefixes.insert(prefixes.begin(), shape_.names.prefix);
  WeightPlan plan(std::move(prefixes), shape_.names.harmless);
  w_ = PlanDecoder(shape_, &plan);
  adapter_places_ = w_.adapter_places;
  WeightPlan::Result loaded = plan.Load(folder, source, true);
  flat_ = loaded.flat;
  parameters_ = std::move(loaded.parameters);
  // All matrices and tables go through functions that overwrite gradients.
  for (Parameter& parameter : parameters_) parameter.overwritten = parameter.value.dim() == 2;
  if (w_.project_in.weight >= 0 && w_.positions >= 0) {  // but for positions that are added behind a projection
    parameters_[static_cast<size_t>(w_.positions)].overwritten = false;
  }
}

std::vector<at::Tensor> Decoder::Weights(const std::vector<Affine>& parts) const {
  std::vector<at::Tensor> weights;
  for (const Affine& part : parts) weights.push_back(P(part.weight));
  return weights;
}

at::Tensor Decoder::Biases(const std::vector<Affine>& parts) const {
  if (parts.size() == 1) return P(parts[0].bias);
  std::vector<at::Tensor> biases;
  for (const Affine& part : parts) biases.push_back(P(part.bias));
  return at::cat(biases);
}

// x: [B T, D], before the norm -> [B T, (H + 2 G) E]. With adapters plain operations: of frozen weights autograd keeps
// no more than the lean ones do.
at::Tensor Decoder::QueryKeyValue(const DecoderLayer& layer, const at::Tensor& x) const {
  const bool biased = layer.qkv[0].bias >= 0;
  if (!adapted() && layer.attention_norm.weight >= 0 && shape_.rms_norm && !shape_.in_out) {
    const at::Tensor y = RmsNormProject(x, Rms(layer.attention_norm), Weights(layer.qkv), precision_);
    return biased ? y + Biases(layer.qkv) : y;
  }
  if (!adapted() && layer.attention_norm.bias >= 0 && layer.qkv.size() == 1 && biased) {
    return NormProject(x, {P(layer.attention_norm.weight), P(layer.attention_norm.bias), shape_.norm_epsilon},
                       {P(layer.qkv[0].weight), P(layer.qkv[0].bias), shape_.in_out}, precision_);
  }
  return Project(Norm(x, layer.attention_norm), layer.qkv);
}

// split and unbind: their backward passes are one copy each, narrow's would be sums
Decoder::Heads Decoder::SplitHeads(const at::Tensor& qkv) const {
  const int64_t heads = shape_.heads, kv_heads = shape_.kv_heads, width = shape_.head_width;
  const std::vector<at::Tensor> parts =
      shape_.by_head ? qkv.view({-1, heads, 3, width}).unbind(2)
                     : qkv.view({-1, heads + 2 * kv_heads, width}).split_with_sizes({heads, kv_heads, kv_heads}, 1);
  return {parts[0], parts[1], parts[2]};
}

// x: [B T, H, E]
at::Tensor Decoder::NormHeads(const at::Tensor& x, const Affine& norm) const {
  if (norm.weight < 0) return x;
  return Norm(x.reshape({-1, P(norm.weight).size(0)}), norm).view(x.sizes());
}

// q: [B, H, T, E], k and v: [B, G, T, E] -> [B, H, T, E]
at::Tensor Decoder::Attend(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const LayerKind& kind,
                           const Pass& pass) const {
  const auto mask = pass.masks.find(kind.window);
  const bool masked = mask != pass.masks.end();
  const int64_t shared = shape_.heads / shape_.kv_heads;
  const auto repeat = [&](const at::Tensor& y) { return shared > 1 ? y.repeat_interleave(shared, 1) : y; };
  if (shape_.attention_cap <= 0) {
    // On a GPU the only fused kernel for float32 (memory-efficient attention; ATen's sdp_utils.cpp) takes no shared
    // heads: without copies ATen would make all scores.
    const bool copied = shared > 1 && q.is_cuda();
    return at::scaled_dot_product_attention(q, copied ? repeat(k) : k, copied ? repeat(v) : v,
                                            masked ? std::optional(mask->second) : std::nullopt, pass.dropout,
                                            /*is_causal=*/!masked, kind.scale, shared > 1 && !copied);
  }
  const at::Tensor scores = at::matmul(q, repeat(k).transpose(2, 3)) * (kind.scale / shape_.attention_cap);
  const at::Tensor capped = (scores.tanh() * shape_.attention_cap)
                                .masked_fill(mask->second.logical_not(), -INFINITY);  // Begin makes them all
  at::Tensor weights = capped.softmax(3);
  if (pass.dropout > 0) weights = at::dropout(weights, pass.dropout, true);
  return at::matmul(weights, repeat(v));
}

// x: [B T, D], before the norm -> [B T, D]
at::Tensor Decoder::Attention(const DecoderLayer& layer, const LayerKind& kind, const at::Tensor& x,
                              const Pass& pass) const {
  Heads heads = SplitHeads(QueryKeyValue(layer, x));
  const auto prepare = [&](const at::Tensor& y, const Affine& norm) {
    at::Tensor normed = NormHeads(y, norm);
    if (kind.rope < 0) return normed;
    const auto& [cos, sin] = pass.turns[static_cast<size_t>(kind.rope)];
    return Rotate(normed, cos, sin);
  };
  const auto batch = [&](const at::Tensor& y) {  // [B T, H, E] -> [B, H, T, E]
    return y.view({-1, pass.length, y.size(1), y.size(2)}).transpose(1, 2);
  };
  const at::Tensor q = batch(prepare(heads.q, layer.q_norm)), k = batch(prepare(heads.k, layer.k_norm));
  const at::Tensor mixed = Attend(q, k, batch(heads.v), kind, pass);
  const at::Tensor y = Project(mixed.transpose(1, 2).reshape({-1, shape_.heads * shape_.head_width}), layer.out);
  return Norm(y, layer.attention_out_norm);
}

// x: [B T, D], before the norm -> [B T, D]
at::Tensor Decoder::Mlp(const DecoderLayer& layer, const at::Tensor& x) const {
  const auto activation = shape_.activation;
  at::Tensor y;
  const bool lean = !adapted() && layer.mlp_norm.weight >= 0;
  if (lean && gated() && shape_.rms_norm && !shape_.mlp_bias && !shape_.in_out) {
    y = RmsNormGatedMlp(x, Rms(layer.mlp_norm), Weights(layer.gate_up), P(layer.down.weight), activation, precision_);
  } else if (lean && !gated() && !shape_.rms_norm && shape_.mlp_bias) {
    const Affine &up = layer.gate_up[0], &down = layer.down;
    y = NormMlp(x, {P(layer.mlp_norm.weight), P(layer.mlp_norm.bias), shape_.norm_epsilon},
                {P(up.weight), P(up.bias), shape_.in_out}, {P(down.weight), P(down.bias), shape_.in_out}, activation,
                precision_);
  } else if (gated()) {
    const std::vector<at::Tensor> half = Project(Norm(x, layer.mlp_norm), layer.gate_up).chunk(2, 1);
    y = Project(Gated(half[0], half[1], activation), layer.down);
  } else {
    y = Project(Activate(activation, Project(Norm(x, layer.mlp_norm), layer.gate_up)), layer.down);
  }
  return Norm(y, layer.mlp_out_norm);
}

Decoder::Pass Decoder::Begin(const at::Tensor& ids, double dropout) {
  Pass pass{ids.size(-1), dropout, {}, {}};
  const int64_t sequences = ids.numel() / pass.length;
  for (Rope& rope : shape_.ropes) {
    auto [cos, sin] = rope.Tables(pass.length, ids.device());
    if (sequences > 1) cos = cos.repeat({sequences, 1, 1}), sin = sin.repeat({sequences, 1, 1});
    pass.turns.emplace_back(cos, sin);
  }
  for (const LayerKind& kind : shape_.layers) {
    const bool whole = kind.window == 0 || kind.window >= pass.length;
    if ((whole && shape_.attention_cap <= 0) || pass.masks.contains(kind.window)) continue;
    const at::Tensor before =
        at::ones({pass.length, pass.length}, at::TensorOptions(at::kBool).device(ids.device())).tril();
    pass.masks[kind.window] = whole ? before : before.triu(1 - kind.window);
  }
  return pass;
}

// ids: [T] or [B, T] -> [B T, D]
at::Tensor Decoder::Embeddings(const at::Tensor& ids) const {
  const at::Tensor positions = w_.positions < 0 ? at::Tensor() : P(w_.positions);
  if (w_.project_in.weight < 0) {
    const at::Tensor x = Embed(P(w_.tokens), positions, ids, /*onto=*/shape_.tied, shape_.position_offset);
    return shape_.embedding_scale == 1 ? x : x * shape_.embedding_scale;
  }
  at::Tensor x = Project(Embed(P(w_.tokens), at::Tensor(), ids, /*onto=*/shape_.tied), w_.project_in);
  if (!positions.defined()) return x;
  const at::Tensor places = positions.narrow(0, shape_.position_offset, ids.size(-1));
  return (x.view({-1, ids.size(-1), x.size(1)}) + places).view(x.sizes());
}

at::Tensor Decoder::Hidden(const at::Tensor& ids, double dropout) {
  CheckIds(ids);
  const auto drop = [&](const at::Tensor& y) {
    return dropout > 0 && shape_.residual_dropout ? at::dropout(y, dropout, true) : y;
  };
  const Pass pass = Begin(ids, dropout);
  at::Tensor x = drop(Embeddings(ids));
  for (size_t i = 0; i < shape_.layers.size(); ++i) {
    const DecoderLayer& layer = w_.layers[i];
    const at::Tensor attended = Norm(x + drop(Attention(layer, shape_.layers[i], x, pass)), layer.attention_sum_norm);
    x = Norm(attended + drop(Mlp(layer, shape_.parallel ? x : attended)), layer.mlp_sum_norm);
  }
  x = Norm(x, w_.norm);
  return w_.project_out.weight < 0 ? x : Project(x, w_.project_out);
}

}  // namespace

std::unique_ptr<LanguageModel> LoadDecoder(DecoderShape shape, const std::filesystem::path& folder,
                                           const FlatSource& source) {
  return std::make_unique<Decoder>(std::move(shape), folder, source);
}

}  // namespace hullft::worker
