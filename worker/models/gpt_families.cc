// GPT-2 and its relatives.
#include <fmt/format.h>

#include <utility>

#include "worker/models/family_readers.h"

namespace hullft::worker {
namespace {

void ReadHeads(ConfigReader& config, const std::string& field, const std::string& width, DecoderShape* shape) {
  shape->heads = shape->kv_heads = config.Size(field);
  if (shape->width % shape->heads != 0) throw config.Unsupported(field, "it must divide " + width);
  shape->head_width = shape->width / shape->heads;
}

}  // namespace

DecoderShape ReadGpt2(ConfigReader& config) {
  config.Defaults({{"bos_token_id", 50256}, {"eos_token_id", 50256}});
  DecoderShape shape;
  ReadTokens(config, &shape);
  shape.positions = config.Size("n_positions");
  shape.width = config.Size("n_embd");
  ReadHeads(config, "n_head", "n_embd", &shape);
  shape.mlp_width = config.Size("n_inner", 4 * shape.width);
  shape.norm_epsilon = config.Number("layer_norm_epsilon", 1e-5);
  shape.activation = ReadActivation(config, "activation_function", "gelu_new");
  shape.tied = config.Flag("tie_word_embeddings", true);
  shape.rms_norm = false;
  shape.in_out = shape.qkv_bias = shape.out_bias = shape.mlp_bias = shape.residual_dropout = true;
  if (config.Flag("add_cross_attention", false)) throw config.Unsupported("add_cross_attention", "not implemented");
  const double scale = config.Flag("scale_attn_weights", true) ? InverseRoot(shape.head_width) : 1;
  RepeatLayers(config, "n_layer", {.rope = -1, .scale = scale}, &shape);
  if (config.Flag("scale_attn_by_inverse_layer_idx", false)) {
    for (size_t i = 0; i < shape.layers.size(); ++i) shape.layers[i].scale /= static_cast<double>(i + 1);
  }
  shape.names = {.prefix = "transformer.",
                 .tokens = "wte",
                 .positions = "wpe",
                 .layers = "h.",
                 .norm = "ln_f",
                 .attention_norm = "ln_1",
                 .qkv = "attn.c_attn",
                 .out = "attn.c_proj",
                 .mlp_norm = "ln_2",
                 .gate = "",
                 .up = "mlp.c_fc",
                 .down = "mlp.c_proj",
                 .harmless = {R"(h\.\d+\.attn\.(bias|masked_bias))"}};
  // Older files say n_ctx beside n_positions; upcasting changes nothing in float32; summary_* and
  // predict_special_tokens belong to other heads.
  config.RejectUnknown({"attn_pdrop", "embd_pdrop", "resid_pdrop", "reorder_and_upcast_attn", "n_ctx",
                        "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type",
                        "summary_use_proj", "predict_special_tokens"});
  return shape;
}

DecoderShape ReadGptNeo(ConfigReader& config) {
  config.Defaults({{"bos_token_id", 50256}, {"eos_token_id", 50256}});
  DecoderShape shape;
  ReadTokens(config, &shape);
  shape.positions = config.Size("max_position_embeddings");
  shape.width = config.Size("hidden_size");
  ReadHeads(config, "num_heads", "hidden_size", &shape);
  shape.mlp_width = config.Size("intermediate_size", 4 * shape.width);
  shape.norm_epsilon = config.Number("layer_norm_epsilon", 1e-5);
  shape.activation = ReadActivation(config, "activation_function", "gelu_new");
  shape.tied = config.Flag("tie_word_embeddings", true);
  shape.rms_norm = false;
  shape.out_bias = shape.mlp_bias = shape.residual_dropout = true;
  const int64_t window = config.Size("window_size", 256);
  for (const auto& [kinds, times] : config.Repeats("attention_types")) {
    for (int64_t i = 0; i < times; ++i) {
      for (const std::string& kind : kinds) {
        if (kind != "global" && kind != "local") throw config.Unsupported("attention_types", "not implemented");
        shape.layers.push_back({.window = kind == "local" ? window : 0, .rope = -1, .scale = 1});
      }
    }
  }
  if (config.Size("num_layers") != static_cast<int64_t>(shape.layers.size())) {
    throw config.Unsupported("num_layers", fmt::format("attention_types lists {} layers", shape.layers.size()));
  }
  shape.names = {.prefix = "transformer.",
                 .tokens = "wte",
                 .positions = "wpe",
                 .layers = "h.",
                 .norm = "ln_f",
                 .attention_norm = "ln_1",
                 .q = "attn.attention.q_proj",
                 .k = "attn.attention.k_proj",
                 .v = "attn.attention.v_proj",
                 .out = "attn.attention.out_proj",
                 .mlp_norm = "ln_2",
                 .gate = "",
                 .up = "mlp.c_fc",
                 .down = "mlp.c_proj",
                 .harmless = {R"(h\.\d+\.attn\.attention\.(bias|masked_bias))"}};
  // attention_layers repeats attention_types; the rest is dropout and another head.
  config.RejectUnknown({"attention_layers", "attention_dropout", "embed_dropout", "resid_dropout", "classifier_dropout",
                        "summary_activation", "summary_first_dropout", "summary_proj_to_labels", "summary_type",
                        "summary_use_proj"});
  return shape;
}

DecoderShape ReadGptNeoX(ConfigReader& config) {
  config.Defaults({{"bos_token_id", 0}, {"eos_token_id", 2}});
  DecoderShape shape;
  ReadTokens(config, &shape);
  shape.positions = config.Size("max_position_embeddings");
  shape.width = config.Size("hidden_size");
  ReadHeads(config, "num_attention_heads", "hidden_size", &shape);
  shape.mlp_width = config.Size("intermediate_size");
  shape.norm_epsilon = config.Number("layer_norm_eps", 1e-5);
  shape.activation = ReadActivation(config, "hidden_act", "gelu");
  shape.tied = config.Flag("tie_word_embeddings", false);
  shape.parallel = config.Flag("use_parallel_residual", true);
  shape.rms_norm = false;
  shape.by_head = shape.mlp_bias = shape.residual_dropout = true;
  shape.qkv_bias = shape.out_bias = config.Flag("attention_bias", true);
  shape.ropes = {Rope(config, {shape.head_width, shape.positions, 10000, 0.25, true})};
  RepeatLayers(config, "num_hidden_layers", {.scale = InverseRoot(shape.head_width)}, &shape);
  shape.names = {.prefix = "gpt_neox.",
                 .tokens = "embed_in",
                 .norm = "final_layer_norm",
                 .head = "embed_out",
                 .qkv = "attention.query_key_value",
                 .out = "attention.dense",
                 .gate = "",
                 .up = "mlp.dense_h_to_4h",
                 .down = "mlp.dense_4h_to_h",
                 .harmless = {R"(layers\.\d+\.attention\.(bias|masked_bias|rotary_emb\.inv_freq))"}};
  // Dropout; GPT-NeoX 20B has older names for two of them.
  config.RejectUnknown({"attention_dropout", "hidden_dropout", "classifier_dropout", "attention_probs_dropout_prob",
                        "hidden_dropout_prob"});
  return shape;
}

DecoderShape ReadOpt(ConfigReader& config) {
  config.Defaults({{"bos_token_id", 2}, {"eos_token_id", 2}});
  DecoderShape shape;
  ReadTokens(config, &shape);
  shape.positions = config.Size("max_position_embeddings");
  shape.position_offset = 2;
  shape.width = config.Size("hidden_size");
  ReadHeads(config, "num_attention_heads", "hidden_size", &shape);
  shape.mlp_width = config.Size("ffn_dim");
  shape.activation = ReadActivation(config, "activation_function", "relu");
  shape.tied = config.Flag("tie_word_embeddings", true);
  shape.rms_norm = false;
  shape.residual_dropout = true;
  shape.qkv_bias = shape.out_bias = shape.mlp_bias = config.Flag("enable_bias", true);
  config.Only("layer_norm_elementwise_affine", true);
  RepeatLayers(config, "num_hidden_layers", {.rope = -1, .scale = InverseRoot(shape.head_width)}, &shape);
  shape.names = {.prefix = "model.decoder.",
                 .other_prefixes = {"decoder."},
                 .positions = "embed_positions",
                 .norm = "final_layer_norm",
                 .attention_norm = "self_attn_layer_norm",
                 .out = "self_attn.out_proj",
                 .mlp_norm = "final_layer_norm",
                 .gate = "",
                 .up = "fc1",
                 .down = "fc2",
                 .harmless = {}};
  shape.token_width = config.Size("word_embed_proj_dim", shape.width);
  if (shape.token_width != shape.width) shape.names.project_in = "project_in", shape.names.project_out = "project_out";
  if (!config.Flag("do_layer_norm_before", true)) {  // opt-350m: norms of the sums, and none at the end
    shape.names.attention_sum_norm = std::exchange(shape.names.attention_norm, "");
    shape.names.mlp_sum_norm = std::exchange(shape.names.mlp_norm, "");
  }
  if (!config.Flag("do_layer_norm_before", true) || config.Flag("_remove_final_layer_norm", false)) {
    shape.names.norm = "";
  }
  config.RejectUnknown({"dropout", "attention_dropout", "activation_dropout", "layerdrop", "init_std"});
  return shape;
}

}  // namespace hullft::worker
