// Letters: T tokens, D width, H heads, E = D / H width of a head, F feed-forward width.
#include "worker/models/encoder_model.h"

#include <c10/core/InferenceMode.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/files.h"
#include "common/hash.h"
#include "worker/models/encoder_families.h"
#include "worker/models/id_tensor.h"

namespace hullft::worker {

// Plans all tensors first, then loads them, then hands them out in the same order.
class EncoderModel::Loader {
 public:
  Loader(const EncoderShape& shape, WeightPlan* plan) : shape_(shape), plan_(*plan) {}

  void Load(const Checkpoint& checkpoint) { loaded_ = plan_.Load(checkpoint, FlatSource{}, false).parameters; }

  // While planning an undefined tensor, once loaded the tensor. Both passes must ask for the same.
  at::Tensor Tensor(const std::string& name, std::vector<int64_t> shape) {
    if (!loaded_.empty()) return loaded_[next_++].value;
    plan_.Add(name, std::move(shape));
    return {};
  }
  Affine Pair(const std::string& name, const std::vector<int64_t>& weight, bool bias) {
    Affine result{Tensor(name + ".weight", weight), {}};
    if (bias) result.bias = Tensor(name + ".bias", {weight[0]});
    return result;
  }
  Affine Norm(const std::string& name) { return Pair(name, {shape_.width}, shape_.norm_bias); }

  Layer OneLayer(const std::string& at, bool attention_norm) {
    const EncoderNames& n = shape_.names;
    const int64_t width = shape_.width, mlp_width = shape_.mlp_width;
    Layer layer;
    if (n.qkv.empty()) {
      std::vector<at::Tensor> weights, biases;
      for (const std::string& name : {n.q, n.k, n.v}) {
        const Affine part = Pair(at + name, {width, width}, shape_.attention_bias);
        weights.push_back(part.weight);
        if (shape_.attention_bias) biases.push_back(part.bias);
      }
      if (!loaded_.empty()) layer.qkv = {at::cat(weights), biases.empty() ? at::Tensor() : at::cat(biases)};
    } else {
      layer.qkv = Pair(at + n.qkv, {3 * width, width}, shape_.attention_bias);
    }
    layer.out = Pair(at + n.out, {width, width}, shape_.attention_bias);
    if (attention_norm) layer.attention_norm = Norm(at + n.attention_norm);
    layer.up = Pair(at + n.up, {shape_.gated ? 2 * mlp_width : mlp_width, width}, shape_.mlp_bias);
    layer.down = Pair(at + n.down, {width, mlp_width}, shape_.mlp_bias);
    layer.mlp_norm = Norm(at + n.mlp_norm);
    return layer;
  }

  // One pass over all tensors of the model.
  void All(EncoderModel* model) {
    const EncoderNames& n = shape_.names;
    next_ = 0;
    model->layers_.clear();
    model->tokens_ = Tensor(n.tokens + ".weight", {shape_.vocabulary, shape_.width});
    if (!n.positions.empty()) model->positions_ = Tensor(n.positions + ".weight", {shape_.positions, shape_.width});
    if (!n.types.empty()) {
      const at::Tensor types = Tensor(n.types + ".weight", {shape_.types, shape_.width});
      if (types.defined()) model->type_ = types[0];
    }
    model->norm_ = Norm(n.norm);
    if (!n.distances.empty()) model->distances_ = Tensor(n.distances + ".weight", {kDistanceBuckets, shape_.heads});
    for (size_t i = 0; i < shape_.layers.size(); ++i) {
      model->layers_.push_back(OneLayer(n.layers + std::to_string(i) + ".", shape_.layers[i].attention_norm));
    }
    if (!n.final_norm.empty()) model->final_norm_ = Norm(n.final_norm);
  }

 private:
  const EncoderShape& shape_;
  WeightPlan& plan_;
  std::vector<Parameter> loaded_;
  size_t next_ = 0;
};

EncoderModel::EncoderModel(const std::filesystem::path& folder)
    : EncoderModel(ConfigReader(folder / "config.json"), folder) {}

EncoderModel::EncoderModel(ConfigReader config, const std::filesystem::path& folder)
    : shape_(ReadEncoderShape(config)) {
  LoadWeights(folder);
  PrepareTables();
  digest_ = Hasher().Update(digest_).Update(ReadFile(folder / "config.json")).Hex();
}

void EncoderModel::LoadWeights(const std::filesystem::path& folder) {
  WeightPlan plan({shape_.names.prefix}, shape_.names.harmless);
  Loader loader(shape_, &plan);
  loader.All(this);
  const Checkpoint checkpoint(folder);
  digest_ = checkpoint.Digest();
  const c10::InferenceMode inference;
  loader.Load(checkpoint);
  loader.All(this);
}

// transformers modeling_mpnet.py, relative_position_bucket, with its float32 logarithms.
static at::Tensor BucketsOf(const at::Tensor& distances) {
  const int64_t half = kDistanceBuckets / 2, exact = half / 2;
  const at::Tensor n = -distances, far = n.abs();
  const at::Tensor by_logarithm = at::log(far.to(at::kFloat) / static_cast<double>(exact)) /
                                  std::log(static_cast<double>(kFarthestDistance) / static_cast<double>(exact)) *
                                  static_cast<double>(half - exact);
  const at::Tensor coarse = (exact + by_logarithm.clamp_min(0).to(at::kLong)).clamp_max(half - 1);
  return n.lt(0).to(at::kLong) * half + at::where(far.lt(exact), far, coarse);
}

void EncoderModel::PrepareTables() {
  const c10::InferenceMode inference;
  for (Rope& rope : shape_.ropes) turns_.push_back(rope.Tables(shape_.max_tokens, at::kCPU));
  if (distances_.defined()) buckets_ = BucketsOf(at::arange(1 - shape_.max_tokens, shape_.max_tokens, at::kLong));
}

void EncoderModel::MoveTo(at::Device device) {
  const c10::InferenceMode inference;
  const auto move = [device](at::Tensor* tensor) {
    if (tensor->defined()) *tensor = tensor->to(device);
  };
  const auto move_pair = [&move](Affine* pair) {
    move(&pair->weight);
    move(&pair->bias);
  };
  for (at::Tensor* tensor : {&tokens_, &positions_, &type_, &distances_, &buckets_}) move(tensor);
  for (Affine* pair : {&norm_, &final_norm_}) move_pair(pair);
  for (Layer& layer : layers_) {
    for (Affine* pair : {&layer.qkv, &layer.out, &layer.attention_norm, &layer.up, &layer.down, &layer.mlp_norm}) {
      move_pair(pair);
    }
  }
  for (auto& [cos, sin] : turns_) {
    move(&cos);
    move(&sin);
  }
}

EncoderModel::Pass EncoderModel::Begin(int64_t length) const {
  Pass pass;
  for (const auto& [cos, sin] : turns_) pass.turns.emplace_back(cos.narrow(0, 0, length), sin.narrow(0, 0, length));
  const at::Tensor places = at::arange(length, at::TensorOptions(at::kLong).device(device()));
  const at::Tensor distances = places.unsqueeze(0) - places.unsqueeze(1);  // [T, T]: from query to key
  if (distances_.defined()) {
    const at::Tensor buckets = buckets_.index({distances + (shape_.max_tokens - 1)});
    pass.masks[0] = at::embedding(distances_, buckets).permute({2, 0, 1}).unsqueeze(0).contiguous();  // [1, H, T, T]
  }
  for (const EncoderLayerKind& kind : shape_.layers) {
    if (kind.reach == 0 || kind.reach >= length - 1 || pass.masks.contains(kind.reach)) continue;
    pass.masks[kind.reach] = distances.abs().le(kind.reach);
  }
  return pass;
}

at::Tensor EncoderModel::Norm(const at::Tensor& x, const Affine& a) const {
  if (!a.weight.defined()) return x;
  return at::layer_norm(x, {shape_.width}, a.weight, a.bias, shape_.norm_epsilon);
}

// ids: [T] -> [T, D]
at::Tensor EncoderModel::Embeddings(std::span<const int32_t> ids) const {
  at::Tensor x = at::embedding(tokens_, IdTensor(ids, device()));
  if (type_.defined()) x.add_(type_);
  if (!positions_.defined()) return Norm(x, norm_);
  if (shape_.padding_id < 0) {
    x.add_(positions_.narrow(0, 0, static_cast<int64_t>(ids.size())));
  } else {  // transformers, create_position_ids_from_input_ids: a padding token in the text does not advance
    std::vector<int32_t> places(ids.size());
    auto next = static_cast<int32_t>(shape_.padding_id);
    std::ranges::transform(ids, places.begin(), [&](int32_t id) {
      return id == shape_.padding_id ? static_cast<int32_t>(shape_.padding_id) : ++next;
    });
    x.add_(at::embedding(positions_, IdTensor(places, device())));
  }
  return Norm(x, norm_);
}

// x: [T, D] -> [T, D]
at::Tensor EncoderModel::Attention(const Layer& layer, const EncoderLayerKind& kind, const at::Tensor& x,
                                   const Pass& pass) const {
  const int64_t length = x.size(0), heads = shape_.heads;
  const at::Tensor qkv =
      at::linear(x, layer.qkv.weight, layer.qkv.bias).view({length, 3 * heads, shape_.width / heads});  // [T, 3H, E]
  const auto third = [&](int64_t i) {                                                                   // [1, H, T, E]
    at::Tensor part = qkv.narrow(1, i * heads, heads);
    if (kind.rope >= 0 && i < 2) {
      const auto& [cos, sin] = pass.turns[static_cast<size_t>(kind.rope)];
      part = Rope::Apply(part, cos, sin);
    }
    return part.unsqueeze(0).transpose(1, 2);
  };
  const auto mask = pass.masks.find(kind.reach);
  const at::Tensor mixed = at::scaled_dot_product_attention(
      third(0), third(1), third(2), mask == pass.masks.end() ? std::nullopt : std::optional(mask->second));
  return at::linear(mixed.squeeze(0).transpose(0, 1).reshape({length, shape_.width}), layer.out.weight, layer.out.bias);
}

// x: [T, D] -> [T, D]
at::Tensor EncoderModel::Mlp(const Layer& layer, const at::Tensor& x) const {
  at::Tensor up = at::linear(x, layer.up.weight, layer.up.bias);
  if (shape_.gated) {
    const std::vector<at::Tensor> half = up.chunk(2, 1);
    up = Activate(shape_.activation, half[0]).mul_(half[1]);
  } else {
    up = Activate(shape_.activation, up);
  }
  return at::linear(up, layer.down.weight, layer.down.bias);
}

at::Tensor EncoderModel::Hidden(std::span<const int32_t> ids) const {
  const auto length = static_cast<int64_t>(ids.size());
  if (length < 1 || length > shape_.max_tokens) {
    throw DataError("a text of {} tokens does not fit the encoder's 1 to {}", length, shape_.max_tokens);
  }
  for (const int32_t id : ids) {
    if (id < 0 || id >= shape_.vocabulary)
      throw DataError("token {} is outside the encoder's vocabulary of {}", id, shape_.vocabulary);
  }
  const c10::InferenceMode inference;
  const Pass pass = Begin(length);
  at::Tensor x = Embeddings(ids);
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Layer& layer = layers_[i];
    const EncoderLayerKind& kind = shape_.layers[i];
    if (shape_.norm_first) {
      x = x + Attention(layer, kind, Norm(x, layer.attention_norm), pass);
      x = x + Mlp(layer, Norm(x, layer.mlp_norm));
    } else {
      x = Norm(Attention(layer, kind, x, pass).add_(x), layer.attention_norm);
      x = Norm(Mlp(layer, x).add_(x), layer.mlp_norm);
    }
  }
  return Norm(x, final_norm_);
}

}  // namespace hullft::worker
