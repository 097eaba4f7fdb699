#include "worker/models/decoder_weights.h"

namespace hullft::worker {
namespace {

class Planner {
 public:
  Planner(const DecoderShape& shape, WeightPlan* plan) : s_(shape), n_(shape.names), plan_(*plan) {}

  DecoderWeights Plan() {
    DecoderWeights weights;
    const int64_t token_width = s_.token_width > 0 ? s_.token_width : s_.width;
    weights.tokens = plan_.Add(n_.prefix + n_.tokens + ".weight", {s_.vocabulary, token_width});
    if (!n_.positions.empty()) {
      weights.positions =
          plan_.Add(n_.prefix + n_.positions + ".weight", {s_.positions + s_.position_offset, s_.width});
    }
    layer_ = n_.prefix;
    if (!n_.project_in.empty()) weights.project_in = Projections({n_.project_in}, {s_.width}, token_width, false)[0];
    for (size_t i = 0; i < s_.layers.size(); ++i) {
      layer_ = n_.prefix + n_.layers + std::to_string(i) + ".";
      weights.layers.push_back(PlanLayer());
    }
    layer_ = n_.prefix;
    weights.norm = Norm(n_.norm, s_.width);
    if (!n_.project_out.empty()) weights.project_out = Projections({n_.project_out}, {token_width}, s_.width, false)[0];
    if (s_.tied) {
      weights.head = weights.tokens;
      plan_.AddAlias(n_.head + ".weight", weights.tokens);
    } else {
      weights.head = plan_.Add(n_.head + ".weight", {s_.vocabulary, token_width});
    }
    weights.adapter_places = std::move(places_);
    return weights;
  }

 private:
  DecoderLayer PlanLayer() {
    const int64_t query = s_.heads * s_.head_width, key = s_.kv_heads * s_.head_width;
    DecoderLayer layer;
    layer.attention_norm = Norm(n_.attention_norm, s_.width);
    layer.qkv = n_.qkv.empty() ? Projections({n_.q, n_.k, n_.v}, {query, key, key}, s_.width, s_.qkv_bias)
                               : Projections({n_.qkv}, {query + 2 * key}, s_.width, s_.qkv_bias);
    if (s_.by_head) {
      Place("qkv", layer.qkv[0], 0, query + 2 * key, s_.width);
    } else {
      PlaceParts({"q", "k", "v"}, layer.qkv, {query, key, key});
    }
    layer.q_norm = Norm(n_.q_norm, s_.whole_head_norm ? query : s_.head_width);
    layer.k_norm = Norm(n_.k_norm, s_.whole_head_norm ? key : s_.head_width);
    layer.out = Projections({n_.out}, {s_.width}, query, s_.out_bias)[0];
    Place("o", layer.out, 0, s_.width, query);
    layer.attention_out_norm = Norm(n_.attention_out_norm, s_.width);
    layer.attention_sum_norm = Norm(n_.attention_sum_norm, s_.width);
    layer.mlp_norm = Norm(n_.mlp_norm, s_.width);
    if (!n_.gate_up.empty()) {
      layer.gate_up = Projections({n_.gate_up}, {2 * s_.mlp_width}, s_.width, s_.mlp_bias);
      PlaceParts({"gate", "up"}, layer.gate_up, {s_.mlp_width, s_.mlp_width});
    } else if (!n_.gate.empty()) {
      layer.gate_up = Projections({n_.gate, n_.up}, {s_.mlp_width, s_.mlp_width}, s_.width, s_.mlp_bias);
      PlaceParts({"gate", "up"}, layer.gate_up, {s_.mlp_width, s_.mlp_width});
    } else {
      layer.gate_up = Projections({n_.up}, {s_.mlp_width}, s_.width, s_.mlp_bias);
      Place("up", layer.gate_up[0], 0, s_.mlp_width, s_.width);
    }
    layer.down = Projections({n_.down}, {s_.width}, s_.mlp_width, s_.mlp_bias)[0];
    Place("down", layer.down, 0, s_.width, s_.mlp_width);
    layer.mlp_out_norm = Norm(n_.mlp_out_norm, s_.width);
    layer.mlp_sum_norm = Norm(n_.mlp_sum_norm, s_.width);
    return layer;
  }

  Affine Norm(const std::string& name, int64_t width) {
    if (name.empty()) return {};
    const int weight = plan_.Add(layer_ + name + ".weight", {width});
    return {weight, s_.rms_norm ? -1 : plan_.Add(layer_ + name + ".bias", {width})};
  }

  // Weights of one input lie side by side, so that their product can be one: their biases come after them.
  std::vector<Affine> Projections(const std::vector<std::string>& names, const std::vector<int64_t>& outputs,
                                  int64_t inputs, bool bias) {
    std::vector<Affine> result;
    for (size_t i = 0; i < names.size(); ++i) {
      const std::vector<int64_t> shape = s_.in_out ? std::vector{inputs, outputs[i]} : std::vector{outputs[i], inputs};
      result.push_back({plan_.Add(layer_ + names[i] + ".weight", shape), -1});
    }
    for (size_t i = 0; bias && i < names.size(); ++i) {
      result[i].bias = plan_.Add(layer_ + names[i] + ".bias", {outputs[i]});
    }
    return result;
  }

  void Place(const std::string& target, const Affine& projection, int64_t begin, int64_t outputs, int64_t inputs) {
    places_.push_back({target, projection.weight, begin, outputs, inputs, s_.in_out});
  }

  // Parts of one input: of a weight each, or one after the other in a single weight.
  void PlaceParts(const std::vector<std::string>& targets, const std::vector<Affine>& projections,
                  const std::vector<int64_t>& outputs) {
    int64_t begin = 0;
    for (size_t i = 0; i < targets.size(); ++i) {
      const bool single = projections.size() == 1;
      Place(targets[i], projections[single ? 0 : i], single ? begin : 0, outputs[i], s_.width);
      begin += outputs[i];
    }
  }

  const DecoderShape& s_;
  const DecoderNames& n_;
  WeightPlan& plan_;
  std::string layer_;  // before the names of the layer at hand
  std::vector<AdapterPlace> places_;
};

}  // namespace

DecoderWeights PlanDecoder(const DecoderShape& shape, WeightPlan* plan) {
  return Planner(shape, plan).Plan();
}

}  // namespace hullft::worker
