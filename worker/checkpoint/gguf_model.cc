#include "worker/checkpoint/gguf_model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "common/error.h"
#include "worker/checkpoint/ggml_types.h"

namespace hullft::worker {
namespace {

using nlohmann::json;

// A key of the metadata, behind "ARCHITECTURE.", and the field of config.json that it becomes ("": none).
struct Key {
  const char* key;
  const char* field;
};

// A tensor's name in the file, without ".weight" and ".bias", its name of Hugging Face, and how its matrix lies.
struct Name {
  const char* gguf;
  const char* name;
  TensorLayout layout = TensorLayout::kPlain;
};

struct Architecture {
  const char* name;  // general.architecture
  const char* model_type;
  std::span<const Key> keys;
  std::span<const Name> names, layer_names;
  const char* layers;  // before a layer's number
  bool interleaved;    // rows of queries and keys lie as ggml's rotation wants them
};

constexpr Key kLlamaKeys[] = {{"context_length", "max_position_embeddings"},
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
                              {"vocab_size", ""}};
constexpr Key kGpt2Keys[] = {{"context_length", "n_positions"},
                             {"embedding_length", "n_embd"},
                             {"block_count", "n_layer"},
                             {"feed_forward_length", "n_inner"},
                             {"attention.head_count", "n_head"},
                             {"attention.layer_norm_epsilon", "layer_norm_epsilon"},
                             {"vocab_size", ""}};

constexpr Name kLlamaNames[] = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
constexpr Name kLlamaLayerNames[] = {{"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj"},
                                     {"attn_k", "self_attn.k_proj"},      {"attn_v", "self_attn.v_proj"},
                                     {"attn_q_norm", "self_attn.q_norm"}, {"attn_k_norm", "self_attn.k_norm"},
                                     {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
                                     {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
                                     {"ffn_down", "mlp.down_proj"}};
constexpr Name kGpt2Names[] = {{"token_embd", "transformer.wte"},
                               {"position_embd", "transformer.wpe"},
                               {"output_norm", "transformer.ln_f"},
                               {"output", "lm_head"}};
constexpr Name kGpt2LayerNames[] = {{"attn_norm", "ln_1"},
                                    {"attn_qkv", "attn.c_attn", TensorLayout::kTransposed},
                                    {"attn_output", "attn.c_proj", TensorLayout::kTransposed},
                                    {"ffn_norm", "ln_2"},
                                    {"ffn_up", "mlp.c_fc", TensorLayout::kTransposed},
                                    {"ffn_down", "mlp.c_proj", TensorLayout::kTransposed}};

constexpr Architecture kArchitectures[] = {
    {"gpt2", "gpt2", kGpt2Keys, kGpt2Names, kGpt2LayerNames, "transformer.h.", false},
    {"llama", "llama", kLlamaKeys, kLlamaNames, kLlamaLayerNames, "model.layers.", true},
    {"qwen2", "qwen2", kLlamaKeys, kLlamaNames, kLlamaLayerNames, "model.layers.", false},
    {"qwen3", "qwen3", kLlamaKeys, kLlamaNames, kLlamaLayerNames, "model.layers.", false},
};

[[noreturn]] void Fail(const GgufFile& file, const std::string& what) {
  throw Error(Code::kData, file.path() + ": " + what,
              "give the model as a Hugging Face folder (config.json, model.safetensors, tokenizer.json)");
}

const Architecture& ArchitectureOf(const GgufFile& file) {
  const json& value = file.Get("general.architecture");
  std::vector<std::string> known;
  for (const Architecture& architecture : kArchitectures) {
    if (value == architecture.name) return architecture;
    known.emplace_back(architecture.name);
  }
  Fail(file, fmt::format("general.architecture is {}; of GGUF files {} are implemented", value.dump(),
                         fmt::join(known, ", ")));
}

// Linear and yarn scaling of rotations; the others are kept in tensors or not at all.
void AddRope(const GgufFile& file, const std::string& prefix, json* config) {
  const json& type = file.Get(prefix + "rope.scaling.type");
  if (type.is_null() || type == "none") return;
  if (type != "linear" && type != "yarn")
    Fail(file, prefix + "rope.scaling.type is " + type.dump() + ", not implemented");
  json scaling = {{"rope_type", type}, {"factor", file.Get(prefix + "rope.scaling.factor")}};
  if (const json& original = file.Get(prefix + "rope.scaling.original_context_length"); type == "yarn")
    scaling["original_max_position_embeddings"] = original;
  (*config)["rope_scaling"] = std::move(scaling);
}

// A key of the architecture that is neither known nor off may change the numbers.
void RejectUnknown(const GgufFile& file, const Architecture& architecture) {
  const std::string prefix = std::string(architecture.name) + ".";
  for (const auto& [key, value] : file.metadata()) {
    if (!key.starts_with(prefix)) continue;
    const std::string rest = key.substr(prefix.size());
    const bool known = rest.starts_with("rope.scaling.") ||
                       std::ranges::any_of(architecture.keys, [&](const Key& k) { return rest == k.key; });
    const bool off = value == false || (value.is_number() && value.get<double>() == 0);
    if (!known && !off) Fail(file, fmt::format("{} is {}, which is not implemented", key, value.dump()));
  }
}

// The Hugging Face name of a tensor, and how it lies; its own where the architecture has no such.
std::pair<std::string, TensorLayout> NameOf(const Architecture& architecture, const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {name, TensorLayout::kPlain};
  std::string part = name.substr(0, dot), prefix;
  const std::string leaf = name.substr(dot);  // ".weight" or ".bias"
  std::span<const Name> names = architecture.names;
  if (part.starts_with("blk.")) {
    const size_t end = part.find('.', 4);
    if (end == std::string::npos) return {name, TensorLayout::kPlain};
    prefix = architecture.layers + part.substr(4, end - 4) + ".";
    part = part.substr(end + 1);
    names = architecture.layer_names;
  }
  for (const Name& entry : names) {
    if (part != entry.gguf) continue;
    const bool turned = architecture.interleaved && (part == "attn_q" || part == "attn_k");
    const TensorLayout layout = turned              ? TensorLayout::kInterleaved
                                : leaf == ".weight" ? entry.layout
                                                    : TensorLayout::kPlain;
    return {prefix + entry.name + leaf, layout};
  }
  return {name, TensorLayout::kPlain};
}

TensorView ViewOf(const GgufFile& file, const std::string& name, const GgufTensor& tensor) {
  const std::string where = fmt::format("tensor {}", name);
  const GgmlType* type = FindGgmlType(tensor.type);
  if (type == nullptr)
    Fail(file, fmt::format("{} has ggml's type {}; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K and Q6_K are implemented",
                           where, tensor.type));
  const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (row % type->elements != 0) Fail(file, fmt::format("{}: rows of {} are not whole blocks", where, row));
  int64_t bytes = 0;
  if (__builtin_mul_overflow(ElementCount(tensor.shape) / type->elements, type->bytes, &bytes))
    Fail(file, where + " is too large");
  if (tensor.offset > file.data().size() || static_cast<uint64_t>(bytes) > file.data().size() - tensor.offset)
    Fail(file, fmt::format("{} lies beyond the file's end: it is cut off or damaged", where));
  return {file.path(), std::string(type->name), tensor.shape,
          file.data().subspan(tensor.offset, static_cast<size_t>(bytes))};
}

}  // namespace

json GgufConfig(const GgufFile& file) {
  const Architecture& architecture = ArchitectureOf(file);
  const std::string prefix = std::string(architecture.name) + ".";
  RejectUnknown(file, architecture);
  json config = {{"model_type", architecture.model_type}};
  for (const Key& key : architecture.keys) {
    const json& value = file.Get(prefix + key.key);
    if (*key.field != '\0' && !value.is_null()) config[key.field] = value;
  }
  const auto tokens = file.tensors().find("token_embd.weight");
  if (tokens == file.tensors().end() || tokens->second.shape.size() != 2) Fail(file, "token_embd.weight is no matrix");
  config["vocab_size"] = tokens->second.shape[0];
  for (const char* name : {"bos", "eos"}) {
    config[fmt::format("{}_token_id", name)] = file.Get(fmt::format("tokenizer.ggml.{}_token_id", name));
  }
  const bool gpt2 = config["model_type"] == "gpt2";
  config["tie_word_embeddings"] = gpt2 || !file.tensors().contains("output.weight");
  if (gpt2) return config;
  AddRope(file, prefix, &config);
  if (config["model_type"] == "llama" && file.tensors().contains("blk.0.attn_q.bias")) config["attention_bias"] = true;
  const json &heads = file.Get(prefix + "attention.head_count"), &width = file.Get(prefix + "embedding_length"),
             &given = file.Get(prefix + "attention.key_length"), &turned = file.Get(prefix + "rope.dimension_count");
  if (!heads.is_number_unsigned() || heads.get<uint64_t>() == 0 || !width.is_number_unsigned())
    Fail(file, prefix + "attention.head_count and embedding_length must be whole numbers from 1 up");
  const json head = given.is_null() ? json(width.get<uint64_t>() / heads.get<uint64_t>()) : given;
  if (!turned.is_null() && turned != head)
    Fail(file, fmt::format("{}rope.dimension_count is {}, a head has {}", prefix, turned.dump(), head.dump()));
  config["head_dim"] = head;
  return config;
}

std::map<std::string, TensorView> GgufTensors(const GgufFile& file) {
  const Architecture& architecture = ArchitectureOf(file);
  std::map<std::string, TensorView> views;
  for (const auto& [name, tensor] : file.tensors()) {
    TensorView view = ViewOf(file, name, tensor);
    auto [hf_name, layout] = NameOf(architecture, name);
    view.layout = layout;
    if (layout == TensorLayout::kTransposed) {
      if (view.shape.size() != 2) Fail(file, "tensor " + name + " is no matrix");
      std::swap(view.shape[0], view.shape[1]);
    }
    if (layout == TensorLayout::kInterleaved) {
      const bool query = name.find("attn_q") != std::string::npos;
      const json& kv = file.Get(std::string(architecture.name) + ".attention.head_count_kv");
      const json& heads =
          query || kv.is_null() ? file.Get(std::string(architecture.name) + ".attention.head_count") : kv;
      if (view.shape.empty() || !heads.is_number_unsigned() || heads.get<int64_t>() < 1 ||
          view.shape[0] % heads.get<int64_t>() != 0 || view.shape[0] / heads.get<int64_t>() % 2 != 0)
        Fail(file, "tensor " + name + " is not made of an even number of rows a head");
      view.heads = heads.get<int64_t>();
    }
    if (!views.emplace(hf_name, std::move(view)).second) Fail(file, "tensor " + name + " is there under two names");
  }
  return views;
}

}  // namespace hullft::worker
