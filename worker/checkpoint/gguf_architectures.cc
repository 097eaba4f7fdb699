#include "worker/checkpoint/gguf_architectures.h"

namespace hullft::worker {
namespace {

constexpr GgufKey kLlamaKeys[] = {{"context_length", "max_position_embeddings"},
                                  {"embedding_length", "hidden_size"},
                                  {"block_count", "num_hidden_layers"},
                                  {"feed_forward_length", "intermediate_size"},
                                  {"attention.head_count", "num_attention_heads"},
                                  {"attention.head_count_kv", "num_key_value_heads"},
                                  {"attention.key_length", "head_dim"},
                                  {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
                                  {"rope.freq_base", "rope_theta"},
                                  {"attention.value_length", ""},
                                  {"rope.dimension_count", ""},
                                  {"rope.scaling.type", ""},
                                  {"rope.scaling.factor", ""},
                                  {"rope.scaling.original_context_length", ""},
                                  {"rope.scaling.finetuned", ""},
                                  {"rope.scaling.yarn_ext_factor", ""},
                                  {"rope.scaling.yarn_attn_factor", ""},
                                  {"rope.scaling.yarn_beta_fast", ""},
                                  {"rope.scaling.yarn_beta_slow", ""},
                                  {"vocab_size", ""}};
constexpr GgufKey kGpt2Keys[] = {{"context_length", "n_positions"},
                                 {"embedding_length", "n_embd"},
                                 {"block_count", "n_layer"},
                                 {"feed_forward_length", "n_inner"},
                                 {"attention.head_count", "n_head"},
                                 {"attention.layer_norm_epsilon", "layer_norm_epsilon"},
                                 {"vocab_size", ""}};
constexpr GgufKey kGptNeoXKeys[] = {{"context_length", "max_position_embeddings"},
                                    {"embedding_length", "hidden_size"},
                                    {"block_count", "num_hidden_layers"},
                                    {"feed_forward_length", "intermediate_size"},
                                    {"attention.head_count", "num_attention_heads"},
                                    {"attention.layer_norm_epsilon", "layer_norm_eps"},
                                    {"use_parallel_residual", "use_parallel_residual"},
                                    {"rope.freq_base", "rope_theta"},
                                    {"rope.dimension_count", ""},
                                    {"vocab_size", ""}};
constexpr GgufKey kMistralKeys[] = {{"attention.sliding_window", "sliding_window"}};
constexpr GgufKey kPhi3Keys[] = {{"attention.sliding_window", "sliding_window"}, {"rope.scaling.attn_factor", ""}};
constexpr GgufKey kGemma2Keys[] = {{"attention.sliding_window", "sliding_window"},
                                   {"attn_logit_softcapping", "attn_logit_softcapping"},
                                   {"final_logit_softcapping", "final_logit_softcapping"}};
constexpr GgufKey kGemma3Keys[] = {{"attention.sliding_window", "sliding_window"},
                                   {"attention.sliding_window_pattern", "sliding_window_pattern"},
                                   {"rope.freq_base_swa", "rope_local_base_freq"}};

constexpr GgufName kLlamaNames[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
constexpr GgufName kLlamaLayerNames[] = {{"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
                                         {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
                                         {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"},
                                         {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
                                         {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
                                         {"ffn_down", "mlp.down_proj"}};
constexpr GgufName kPhi3LayerNames[] = {{"attn_norm", "input_layernorm"},    {"attn_qkv", "self_attn.qkv_proj"},
                                        {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
                                        {"ffn_up", "mlp.gate_up_proj"},      {"ffn_down", "mlp.down_proj"}};
constexpr GgufName kGemma2LayerNames[] = {{"attn_norm", "input_layernorm"},
                                          {"attn_q", "self_attn.q_proj"},
                                          {"attn_k", "self_attn.k_proj"},
                                          {"attn_v", "self_attn.v_proj"},
                                          {"attn_q_norm", "self_attn.q_norm"},
                                          {"attn_k_norm", "self_attn.k_norm"},
                                          {"attn_output", "self_attn.o_proj"},
                                          {"post_attention_norm", "post_attention_layernorm"},
                                          {"ffn_norm", "pre_feedforward_layernorm"},
                                          {"ffn_gate", "mlp.gate_proj"},
                                          {"ffn_up", "mlp.up_proj"},
                                          {"ffn_down", "mlp.down_proj"},
                                          {"post_ffw_norm", "post_feedforward_layernorm"}};
constexpr GgufName kOlmo2LayerNames[] = {{"attn_q", "self_attn.q_proj"},
                                         {"attn_k", "self_attn.k_proj"},
                                         {"attn_v", "self_attn.v_proj"},
                                         {"attn_q_norm", "self_attn.q_norm"},
                                         {"attn_k_norm", "self_attn.k_norm"},
                                         {"attn_output", "self_attn.o_proj"},
                                         {"post_attention_norm", "post_attention_layernorm"},
                                         {"ffn_gate", "mlp.gate_proj"},
                                         {"ffn_up", "mlp.up_proj"},
                                         {"ffn_down", "mlp.down_proj"},
                                         {"post_ffw_norm", "post_feedforward_layernorm"}};
constexpr GgufName kGptNeoXNames[] = {
    {"token_embd", "gpt_neox.embed_in"}, {"output_norm", "gpt_neox.final_layer_norm"}, {"output", "embed_out"}};
constexpr GgufName kGptNeoXLayerNames[] = {
    {"attn_norm", "input_layernorm"},   {"attn_qkv", "attention.query_key_value", TensorLayout::kByPart},
    {"attn_output", "attention.dense"}, {"ffn_norm", "post_attention_layernorm"},
    {"ffn_up", "mlp.dense_h_to_4h"},    {"ffn_down", "mlp.dense_4h_to_h"}};
constexpr GgufName kGpt2Names[] = {{"token_embd", "transformer.wte"},
                                   {"position_embd", "transformer.wpe"},
                                   {"output_norm", "transformer.ln_f"},
                                   {"output", "lm_head"}};
constexpr GgufName kGpt2LayerNames[] = {{"attn_norm", "ln_1"},
                                        {"attn_qkv", "attn.c_attn", TensorLayout::kTransposed},
                                        {"attn_output", "attn.c_proj", TensorLayout::kTransposed},
                                        {"ffn_norm", "ln_2"},
                                        {"ffn_up", "mlp.c_fc", TensorLayout::kTransposed},
                                        {"ffn_down", "mlp.c_proj", TensorLayout::kTransposed}};

constexpr GgufArchitecture kArchitectures[] = {
    {.name = "gpt2",
     .model_type = "gpt2",
     .keys = kGpt2Keys,
     .own_keys = {},
     .names = kGpt2Names,
     .layer_names = kGpt2LayerNames,
     .layers = "transformer.h."},
    {.name = "gptneox",
     .model_type = "gpt_neox",
     .keys = kGptNeoXKeys,
     .own_keys = {},
     .names = kGptNeoXNames,
     .layer_names = kGptNeoXLayerNames,
     .layers = "gpt_neox.layers.",
     .partly_rotated = true,
     .head_width_given = false},
    {.name = "llama",  // Mistral's too
     .model_type = "llama",
     .keys = kLlamaKeys,
     .own_keys = kMistralKeys,
     .names = kLlamaNames,
     .layer_names = kLlamaLayerNames,
     .layers = "model.layers.",
     .interleaved = true},
    {.name = "qwen2",
     .model_type = "qwen2",
     .keys = kLlamaKeys,
     .own_keys = {},
     .names = kLlamaNames,
     .layer_names = kLlamaLayerNames,
     .layers = "model.layers."},
    {.name = "qwen3",
     .model_type = "qwen3",
     .keys = kLlamaKeys,
     .own_keys = {},
     .names = kLlamaNames,
     .layer_names = kLlamaLayerNames,
     .layers = "model.layers."},
    {.name = "olmo2",
     .model_type = "olmo2",
     .keys = kLlamaKeys,
     .own_keys = {},
     .names = kLlamaNames,
     .layer_names = kOlmo2LayerNames,
     .layers = "model.layers."},
    {.name = "phi3",
     .model_type = "phi3",
     .keys = kLlamaKeys,
     .own_keys = kPhi3Keys,
     .names = kLlamaNames,
     .layer_names = kPhi3LayerNames,
     .layers = "model.layers.",
     .partly_rotated = true},
    {.name = "gemma",
     .model_type = "gemma",
     .keys = kLlamaKeys,
     .own_keys = {},
     .names = kLlamaNames,
     .layer_names = kLlamaLayerNames,
     .layers = "model.layers.",
     .norms_hold_one = true},
    {.name = "gemma2",
     .model_type = "gemma2",
     .keys = kLlamaKeys,
     .own_keys = kGemma2Keys,
     .names = kLlamaNames,
     .layer_names = kGemma2LayerNames,
     .layers = "model.layers.",
     .norms_hold_one = true,
     .head_scale = "query_pre_attn_scalar",
     .whole_width_layers = 46},  // Gemma 2 27B
    {.name = "gemma3",
     .model_type = "gemma3_text",
     .keys = kLlamaKeys,
     .own_keys = kGemma3Keys,
     .names = kLlamaNames,
     .layer_names = kGemma2LayerNames,
     .layers = "model.layers.",
     .norms_hold_one = true,
     .head_scale = "query_pre_attn_scalar",
     .whole_width_layers = 62},  // Gemma 3 27B
};

}  // namespace

std::span<const GgufArchitecture> GgufArchitectures() {
  return kArchitectures;
}

}  // namespace hullft::worker
