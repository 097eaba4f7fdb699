#include "worker/models/encoder_families.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "worker/models/row_of_type.h"

namespace hullft::worker {
namespace {

EncoderShape ReadSizes(ConfigReader& config) {
  EncoderShape shape;
  shape.vocabulary = config.Size("vocab_size");
  shape.width = config.Size("hidden_size");
  shape.heads = config.Size("num_attention_heads");
  shape.mlp_width = config.Size("intermediate_size");
  shape.max_tokens = config.Size("max_position_embeddings");
  shape.layers.assign(static_cast<size_t>(config.Size("num_hidden_layers")), {});
  if (shape.width % shape.heads != 0) throw config.Unsupported("num_attention_heads", "it must divide hidden_size");
  for (const char* flag : {"is_decoder", "add_cross_attention", "is_encoder_decoder"}) {
    if (config.Flag(flag, false)) throw config.Unsupported(flag, "this is an encoder only");
  }
  return shape;
}

// What BERT and its relatives share: norms after the sums, learned positions.
EncoderShape ReadPostNorm(ConfigReader& config) {
  EncoderShape shape = ReadSizes(config);
  config.Only("position_embedding_type", "absolute");
  shape.positions = shape.max_tokens;
  shape.norm_epsilon = config.Number("layer_norm_eps", 1e-12);
  shape.activation = ReadActivation(config, "hidden_act", "gelu");
  return shape;
}

// Positions count from padding_id + 1.
void CountFromPadding(ConfigReader& config, int64_t padding_id, EncoderShape* shape) {
  shape->padding_id = padding_id;
  shape->max_tokens = shape->positions - padding_id - 1;
  if (shape->max_tokens < 1) {
    throw config.Unsupported("max_position_embeddings", "it must be above pad_token_id + 1");
  }
}

// Dropout is off in inference; the classifier, the tied head and the pooler (of which files that were made of
// TensorFlow's tell the sizes) are not used.
void RejectUnknownOfBert(const ConfigReader& config) {
  config.RejectUnknown({"hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout",
                        "tie_word_embeddings", "directionality", "pooler_fc_size", "pooler_num_attention_heads",
                        "pooler_num_fc_layers", "pooler_size_per_head", "pooler_type"});
}

EncoderShape ReadBert(ConfigReader& config) {
  EncoderShape shape = ReadPostNorm(config);
  shape.types = config.Size("type_vocab_size", 2);
  shape.names.prefix = "bert.";
  RejectUnknownOfBert(config);
  return shape;
}

EncoderShape ReadRoberta(ConfigReader& config) {
  EncoderShape shape = ReadPostNorm(config);
  shape.types = config.Size("type_vocab_size", 2);
  const int64_t padding_id = config.TokenId("pad_token_id");
  CountFromPadding(config, padding_id < 0 ? 1 : padding_id, &shape);
  shape.names.prefix = "roberta.";
  RejectUnknownOfBert(config);
  return shape;
}

EncoderShape ReadMpnet(ConfigReader& config) {
  EncoderShape shape = ReadPostNorm(config);
  CountFromPadding(config, 1, &shape);  // transformers pays no heed to pad_token_id here, ...
  config.Only("relative_attention_num_buckets", kDistanceBuckets);  // ... nor to this
  shape.names.prefix = "mpnet.";
  shape.names.types = "";
  shape.names.distances = "encoder.relative_attention_bias";
  shape.names.q = "attention.attn.q";
  shape.names.k = "attention.attn.k";
  shape.names.v = "attention.attn.v";
  shape.names.out = "attention.attn.o";
  shape.names.attention_norm = "attention.LayerNorm";
  RejectUnknownOfBert(config);
  return shape;
}

// The ropes of layers that see all and of those that see their neighbours.
void ReadModernBertRopes(ConfigReader& config, EncoderShape* shape) {
  const RopeDefaults all{shape->width / shape->heads, shape->max_tokens, config.Number("global_rope_theta", 160000)};
  const RopeDefaults near{all.head_width, all.max_positions, config.Number("local_rope_theta", 10000)};
  ConfigReader ropes = config.Has("rope_parameters") ? config.Object("rope_parameters")
                                                     : ConfigReader(config.path(), "", nlohmann::json::object());
  const auto read = [&](const std::string& name, const RopeDefaults& defaults) {
    ConfigReader rope =
        ropes.Has(name) ? ropes.Object(name) : ConfigReader(config.path(), "", nlohmann::json::object());
    if (rope.Text("rope_type", "default") != "default") {
      throw rope.Unsupported("rope_type", "of an encoder only default is implemented");
    }
    return Rope::OfObject(std::move(rope), defaults);
  };
  shape->ropes = {read("full_attention", all), read("sliding_attention", near)};
  ropes.RejectUnknown({});
}

EncoderShape ReadModernBert(ConfigReader& config) {
  EncoderShape shape = ReadSizes(config);
  shape.norm_epsilon = config.Number("norm_eps", 1e-5);
  shape.activation = ReadActivation(config, "hidden_activation", "gelu");
  shape.norm_first = shape.gated = true;
  shape.norm_bias = config.Flag("norm_bias", false);
  shape.attention_bias = config.Flag("attention_bias", false);
  shape.mlp_bias = config.Flag("mlp_bias", false);
  ReadModernBertRopes(config, &shape);
  const int64_t reach = config.Size("local_attention", 128) / 2;
  if (reach < 1) throw config.Unsupported("local_attention", "it must be 2 or more");
  const int64_t every = config.Size("global_attn_every_n_layers", 3);
  std::vector<std::string> types;
  if (config.Has("layer_types")) {
    types = config.Texts("layer_types");
    if (types.size() != shape.layers.size()) throw config.Unsupported("layer_types", "one for each layer is needed");
  }
  for (size_t i = 0; i < shape.layers.size(); ++i) {
    if (!types.empty() && types[i] != "full_attention" && types[i] != "sliding_attention") {
      throw config.Unsupported("layer_types", "only full_attention and sliding_attention are implemented");
    }
    const bool near = types.empty() ? static_cast<int64_t>(i) % every != 0 : types[i] == "sliding_attention";
    shape.layers[i] = {.reach = near ? reach : 0, .rope = near ? 1 : 0, .attention_norm = i > 0};
  }
  shape.names = {.prefix = "model.",
                 .tokens = "embeddings.tok_embeddings",
                 .positions = "",
                 .types = "",
                 .norm = "embeddings.norm",
                 .layers = "layers.",
                 .final_norm = "final_norm",
                 .qkv = "attn.Wqkv",
                 .out = "attn.Wo",
                 .attention_norm = "attn_norm",
                 .up = "mlp.Wi",
                 .down = "mlp.Wo",
                 .mlp_norm = "mlp_norm",
                 .harmless = {R"((head|decoder|classifier)\..*)"}};
  // Dropout is off; positions are always rotated; the rest is of the kernels, of training or of heads not used.
  config.RejectUnknown({"attention_dropout", "embedding_dropout", "mlp_dropout", "classifier_dropout",
                        "classifier_bias", "classifier_pooling", "classifier_activation", "decoder_bias",
                        "deterministic_flash_attn", "sparse_prediction", "sparse_pred_ignore_index",
                        "reference_compile", "repad_logits_with_grad", "initializer_cutoff_factor",
                        "tie_word_embeddings", "layer_norm_eps", "position_embedding_type"});
  return shape;
}

constexpr EncoderFamily kFamilies[] = {
    {"bert", "BERT, all-MiniLM, BGE, E5", "bert_tiny, minilm_max256, minilm_max512", ReadBert},
    {"roberta", "RoBERTa", "roberta_tiny", ReadRoberta},
    {"xlm-roberta", "XLM-R, multilingual E5, BGE-M3's vectors", "xlmr_tiny", ReadRoberta},
    {"mpnet", "MPNet, all-mpnet-base-v2", "mpnet_tiny", ReadMpnet},
    {"modernbert", "ModernBERT", "modernbert_tiny", ReadModernBert},
};

}  // namespace

std::span<const EncoderFamily> EncoderFamilies() {
  return kFamilies;
}

std::string ToText(const EncoderTolerance& tolerance) {
  return fmt::format("hidden states {:g}, vectors {:g}", tolerance.hidden, tolerance.vectors);
}

const EncoderFamily& EncoderFamilyOf(ConfigReader& config) {
  return RowOfType(std::span<const EncoderFamily>(kFamilies), config, "encoders");
}

EncoderShape ReadEncoderShape(ConfigReader& config) {
  return EncoderFamilyOf(config).read(config);
}

}  // namespace hullft::worker
