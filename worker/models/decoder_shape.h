// What tells one decoder language model from another, as data: its sizes, how its layers are put together, and the
// names of its tensors. families.h makes one from a config.json, decoder.h runs any.
//
// Letters: D width, H heads, G key/value heads, E width of a head, F feed-forward width.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/models/activation.h"
#include "worker/models/rope.h"

namespace hullft::worker {

// The names of tensors, without ".weight" and ".bias". Those of a layer follow `layers` and its number. An empty name
// says that a model has no such thing: without `gate` and `gate_up` the feed-forward part is not gated, for example.
struct DecoderNames {
  std::string prefix = "model.";                 // of all but the head; some checkpoints leave it off
  std::vector<std::string> other_prefixes = {};  // that some checkpoints have in its place
  std::string tokens = "embed_tokens", positions = {}, layers = "layers.", norm = "norm", head = "lm_head";

  std::string attention_norm = "input_layernorm";  // of the attention's input
  std::string q = "self_attn.q_proj", k = "self_attn.k_proj", v = "self_attn.v_proj";
  std::string qkv = {};                  // in place of the three: one weight
  std::string q_norm = {}, k_norm = {};  // of queries and keys, before they are rotated
  std::string out = "self_attn.o_proj";
  std::string attention_out_norm = {};  // of what the attention adds
  std::string attention_sum_norm = {};  // of the sum after it

  std::string mlp_norm = "post_attention_layernorm";
  std::string gate = "mlp.gate_proj", up = "mlp.up_proj";
  std::string gate_up = {};  // in place of the two: one weight, the gate's rows first
  std::string down = "mlp.down_proj";
  std::string mlp_out_norm = {}, mlp_sum_norm = {};

  std::string project_in = {}, project_out = {};  // between the table of tokens and the layers

  std::vector<std::string> harmless = {R"((layers\.\d+\.self_attn\.)?rotary_emb\.inv_freq)"};  // see WeightPlan
};

struct LayerKind {
  int64_t window = 0;  // a token attends to itself and the window - 1 tokens before it; 0: to all before it
  int rope = 0;        // index into DecoderShape::ropes; -1: queries and keys are not rotated
  double scale = 1;    // of the products of queries and keys
};

struct DecoderShape {
  int64_t vocabulary = 0, positions = 0;  // tokens; the longest sequence
  int64_t token_width = 0;                // of the table of tokens; 0: width
  int64_t width = 0, heads = 0, kv_heads = 0, head_width = 0, mlp_width = 0;
  int64_t bos = -1, eos = -1;  // token ids, -1: none
  std::vector<LayerKind> layers;
  std::vector<Rope> ropes;
  DecoderNames names;

  bool rms_norm = true;          // else layer norm, with biases
  bool norm_adds_one = false;    // a norm multiplies by 1 + weight
  bool whole_head_norm = false;  // q_norm and k_norm are over all heads together, [H E] and [G E], else over each, [E]
  double norm_epsilon = 1e-5;
  Activation activation = Activation::kSilu;
  double embedding_scale = 1;
  double attention_cap = 0, logit_cap = 0;  // c: products of queries and keys, logits become c tanh(x / c); 0: none
  int64_t position_offset = 0;              // learned positions: rows before that of the first token

  bool in_out = false;   // weights lie [inputs, outputs]
  bool by_head = false;  // qkv's rows: query, key, value of the first head, ...; else all queries, all keys, all values
  bool qkv_bias = false, out_bias = false, mlp_bias = false;
  bool parallel = false;          // attention and feed-forward part read the same input, and both are added to it
  bool tied = false;              // the head is the table of tokens
  bool residual_dropout = false;  // dropout of embeddings and of what is added too, not of attention alone
};

}  // namespace hullft::worker
