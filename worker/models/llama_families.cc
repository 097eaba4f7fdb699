// Llama and its relatives.
#include <algorithm>

#include "worker/models/family_readers.h"

namespace hullft::worker {

// The sizes: a head is hidden_size / num_attention_heads wide where the configuration does not say.
static DecoderShape ReadGatedSizes(ConfigReader& config) {
  DecoderShape shape;
  ReadTokens(config, &shape);
  shape.positions = config.Size("max_position_embeddings");
  shape.width = config.Size("hidden_size");
  shape.heads = config.Size("num_attention_heads");
  shape.kv_heads = config.Size("num_key_value_heads", shape.heads);
  shape.head_width = config.Size("head_dim", std::max<int64_t>(shape.width / shape.heads, 1));
  shape.mlp_width = config.Size("intermediate_size");
  shape.norm_epsilon = config.Number("rms_norm_eps", 1e-6);
  if (shape.heads % shape.kv_heads != 0) {
    throw config.Unsupported("num_key_value_heads", "it must divide num_attention_heads");
  }
  if (!config.Has("head_dim") && shape.width % shape.heads != 0) {
    throw config.Unsupported("num_attention_heads", "it must divide hidden_size when head_dim is not given");
  }
  RepeatLayers(config, "num_hidden_layers", {.scale = InverseRoot(shape.head_width)}, &shape);
  return shape;
}

// What all but Gemma share. partly: a head may be rotated in part.
static DecoderShape ReadGated(ConfigReader& config, bool partly = false) {
  DecoderShape shape = ReadGatedSizes(config);
  shape.ropes = {Rope(config, {.head_width = shape.head_width, .max_positions = shape.positions, .partly = partly})};
  shape.activation = ReadActivation(config, "hidden_act", "silu");
  shape.tied = config.Flag("tie_word_embeddings", false);
  return shape;
}

// Gives the layers that layer_types calls sliding their window; without layer_types those that `slides` says.
template <typename Slides>
static void ReadWindows(ConfigReader& config, int64_t window, const Slides& slides, DecoderShape* shape) {
  std::vector<std::string> types;
  if (config.Has("layer_types")) {
    types = config.Texts("layer_types");
    if (types.size() != shape->layers.size()) throw config.Unsupported("layer_types", "one for each layer is needed");
  }
  for (size_t i = 0; i < shape->layers.size(); ++i) {
    if (!types.empty() && types[i] != "full_attention" && types[i] != "sliding_attention") {
      throw config.Unsupported("layer_types", "only full_attention and sliding_attention are implemented");
    }
    if (types.empty() ? slides(i) : types[i] == "sliding_attention") shape->layers[i].window = window;
  }
}

DecoderShape ReadLlama(ConfigReader& config) {
  config.Defaults({{"max_position_embeddings", 2048}, {"bos_token_id", 1}, {"eos_token_id", 2}});
  DecoderShape shape = ReadGated(config);
  shape.qkv_bias = shape.out_bias = config.Flag("attention_bias", false);
  shape.mlp_bias = config.Flag("mlp_bias", false);
  // Dropout is an argument; slicing gives the same sums; Llama 1 says max_sequence_length too.
  config.RejectUnknown({"attention_dropout", "pretraining_tp", "max_sequence_length"});
  return shape;
}

// 0: none.
static int64_t ReadWindow(ConfigReader& config) {
  return config.Has("sliding_window") ? config.Size("sliding_window") : 0;
}

DecoderShape ReadMistral(ConfigReader& config) {
  config.Defaults({{"max_position_embeddings", 131072},
                   {"num_key_value_heads", 8},
                   {"sliding_window", 4096},
                   {"bos_token_id", 1},
                   {"eos_token_id", 2}});
  DecoderShape shape = ReadGated(config);
  ReadWindows(
      config, ReadWindow(config), [](size_t) { return true; }, &shape);
  config.RejectUnknown({"attention_dropout"});
  return shape;
}

// Qwen 2, 2.5 and 3. Without layer_types the first max_window_layers layers see all.
static DecoderShape ReadQwen(ConfigReader& config) {
  config.Defaults({{"max_position_embeddings", 32768}, {"num_key_value_heads", 32}, {"sliding_window", 4096}});
  DecoderShape shape = ReadGated(config);
  const bool windows = config.Flag("use_sliding_window", false);
  const int64_t window = ReadWindow(config);
  const double whole = config.Number("max_window_layers", 28);
  ReadWindows(
      config, windows ? window : 0, [&](size_t layer) { return static_cast<double>(layer) >= whole; }, &shape);
  return shape;
}

DecoderShape ReadQwen2(ConfigReader& config) {
  DecoderShape shape = ReadQwen(config);
  shape.qkv_bias = true;
  // Qwen2.5-1M's dual chunks are another program's; transformers attends to all.
  config.RejectUnknown({"attention_dropout", "dual_chunk_attention_config"});
  return shape;
}

DecoderShape ReadQwen3(ConfigReader& config) {
  config.Defaults({{"head_dim", 128}});
  DecoderShape shape = ReadQwen(config);
  shape.qkv_bias = shape.out_bias = config.Flag("attention_bias", false);
  shape.names.q_norm = "self_attn.q_norm";
  shape.names.k_norm = "self_attn.k_norm";
  config.RejectUnknown({"attention_dropout"});
  return shape;
}

DecoderShape ReadPhi3(ConfigReader& config) {
  config.Defaults({{"max_position_embeddings", 4096},
                   {"original_max_position_embeddings", 4096},
                   {"rms_norm_eps", 1e-5},
                   {"bos_token_id", 1},
                   {"eos_token_id", 32000}});
  DecoderShape shape = ReadGated(config, true);
  shape.residual_dropout = true;
  ReadWindows(
      config, ReadWindow(config), [](size_t) { return true; }, &shape);
  shape.names.qkv = "self_attn.qkv_proj";
  shape.names.gate_up = "mlp.gate_up_proj";
  config.Only("full_attn_mod", 1);  // Phi-4-mini says both of these
  config.Only("interpolate_factor", 1);
  config.RejectUnknown({"attention_dropout", "embd_pdrop", "resid_pdrop"});
  return shape;
}

DecoderShape ReadOlmo2(ConfigReader& config) {
  config.Defaults({{"max_position_embeddings", 2048}, {"rms_norm_eps", 1e-5}, {"eos_token_id", 50279}});
  DecoderShape shape = ReadGated(config);
  shape.qkv_bias = shape.out_bias = config.Flag("attention_bias", false);
  shape.whole_head_norm = true;
  shape.names.attention_norm = shape.names.mlp_norm = "";
  shape.names.attention_out_norm = "post_attention_layernorm";
  shape.names.mlp_out_norm = "post_feedforward_layernorm";
  shape.names.q_norm = "self_attn.q_norm";
  shape.names.k_norm = "self_attn.k_norm";
  config.RejectUnknown({"attention_dropout"});
  return shape;
}

// Layers that slide have a rope of their own, without scaling.
static void ReadGemma3Ropes(ConfigReader& config, DecoderShape* shape) {
  const RopeDefaults whole{shape->head_width, shape->positions, 1e6}, sliding{shape->head_width, shape->positions, 1e4};
  if (config.Has("rope_parameters")) {
    ConfigReader both = config.Object("rope_parameters");
    shape->ropes = {Rope::OfObject(both.Object("full_attention"), whole),
                    Rope::OfObject(both.Object("sliding_attention"), sliding)};
    both.RejectUnknown({});
  } else {
    ConfigReader plain(config.path(), "", nlohmann::json::object());
    plain.Defaults({{"rope_theta", config.Number("rope_local_base_freq", 1e4)}});
    shape->ropes = {Rope(config, whole), Rope::OfObject(plain, sliding)};
  }
  for (LayerKind& layer : shape->layers) layer.rope = layer.window > 0 ? 1 : 0;
}

// What all of Gemma share.
static DecoderShape ReadGemmaSizes(ConfigReader& config) {
  config.Defaults({{"max_position_embeddings", 8192}, {"head_dim", 256}, {"bos_token_id", 2}, {"eos_token_id", 1}});
  DecoderShape shape = ReadGatedSizes(config);
  shape.tied = config.Flag("tie_word_embeddings", true);
  shape.qkv_bias = shape.out_bias = config.Flag("attention_bias", false);
  shape.norm_adds_one = true;
  shape.embedding_scale = std::sqrt(static_cast<double>(shape.width));
  return shape;
}

// Files of the first release say "gelu" and mean its approximation by tanh, as transformers takes it.
DecoderShape ReadGemma1(ConfigReader& config) {
  config.Defaults({{"num_key_value_heads", 16}});
  DecoderShape shape = ReadGemmaSizes(config);
  shape.ropes = {Rope(config, {shape.head_width, shape.positions})};
  const Activation named = ReadActivation(config, "hidden_act", "gelu_pytorch_tanh");
  shape.activation = named == Activation::kGelu ? Activation::kGeluTanh : named;
  config.RejectUnknown({"attention_dropout", "hidden_activation"});  // Gemma 1.1 says it twice; hidden_act counts
  return shape;
}

// What Gemma 2 and 3 share; without layer_types all layers but every `every`-th have the window.
static DecoderShape ReadGemma(ConfigReader& config, size_t every) {
  config.Defaults({{"num_key_value_heads", 4}});
  DecoderShape shape = ReadGemmaSizes(config);
  shape.activation = ReadActivation(config, "hidden_activation", "gelu_pytorch_tanh");
  const double scale = 1 / std::sqrt(config.Number("query_pre_attn_scalar", 256));
  for (LayerKind& layer : shape.layers) layer.scale = scale;
  ReadWindows(
      config, config.Size("sliding_window", 4096), [&](size_t layer) { return (layer + 1) % every != 0; }, &shape);
  shape.names.attention_out_norm = "post_attention_layernorm";
  shape.names.mlp_norm = "pre_feedforward_layernorm";
  shape.names.mlp_out_norm = "post_feedforward_layernorm";
  return shape;
}

DecoderShape ReadGemma2(ConfigReader& config) {
  DecoderShape shape = ReadGemma(config, 2);
  shape.ropes = {Rope(config, {shape.head_width, shape.positions})};
  config.Defaults({{"attn_logit_softcapping", 50}, {"final_logit_softcapping", 30}});
  const auto cap = [&](const std::string& field) {
    if (!config.Has(field)) return 0.0;  // null: none
    const double value = config.Number(field);
    if (value <= 0) throw config.Unsupported(field, "it must be above 0");
    return value;
  };
  shape.attention_cap = cap("attn_logit_softcapping");
  shape.logit_cap = cap("final_logit_softcapping");
  // Older files repeat hidden_activation as hidden_act, and sliding_window.
  config.RejectUnknown({"attention_dropout", "cache_implementation", "hidden_act", "sliding_window_size"});
  return shape;
}

DecoderShape ReadGemma3(ConfigReader& config) {
  config.Defaults({{"max_position_embeddings", 131072}});
  const auto every =
      static_cast<size_t>(config.Size("sliding_window_pattern", config.Size("_sliding_window_pattern", 6)));
  DecoderShape shape = ReadGemma(config, every);
  ReadGemma3Ropes(config, &shape);
  shape.names.q_norm = "self_attn.q_norm";
  shape.names.k_norm = "self_attn.k_norm";
  config.RejectUnknown({"attention_dropout", "cache_implementation"});  // soft caps are refused unless they are off
  return shape;
}

// Gemma 3 that sees pictures too: here its text alone. Files leave out what the classes of transformers have anyway.
DecoderShape ReadGemma3Text(ConfigReader& config) {
  ConfigReader text = config.Object("text_config");
  text.Defaults({{"vocab_size", 262208},
                 {"hidden_size", 2304},
                 {"intermediate_size", 9216},
                 {"num_hidden_layers", 26},
                 {"num_attention_heads", 8}});
  if (!config.Flag("tie_word_embeddings", true)) throw config.Unsupported("tie_word_embeddings", "it must be true");
  DecoderShape shape = ReadGemma3(text);
  shape.names.prefix = "model.language_model.";
  shape.names.other_prefixes = {"language_model.model.", "language_model.", "model."};
  shape.names.harmless.push_back(R"((vision_tower|multi_modal_projector)\..*)");
  // What it does with pictures.
  config.RejectUnknown({"vision_config", "mm_tokens_per_image", "boi_token_index", "eoi_token_index",
                        "image_token_index", "boi_token_id", "eoi_token_id", "image_token_id"});
  return shape;
}

}  // namespace hullft::worker
