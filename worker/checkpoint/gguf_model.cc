#include "worker/checkpoint/gguf_model.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "common/error.h"
#include "worker/checkpoint/ggml_types.h"
#include "worker/checkpoint/gguf_architectures.h"

namespace hullft::worker {
namespace {

using nlohmann::json;

[[noreturn]] void Fail(const GgufFile& file, const std::string& what) {
  throw Error(Code::kData, file.path() + ": " + what,
              "give the model as a Hugging Face folder (config.json, model.safetensors, tokenizer.json)");
}

const GgufArchitecture& ArchitectureOf(const GgufFile& file) {
  const json& value = file.Get("general.architecture");
  std::vector<std::string> known;
  for (const GgufArchitecture& architecture : GgufArchitectures()) {
    if (value == architecture.name) return architecture;
    known.emplace_back(architecture.name);
  }
  Fail(file, fmt::format("general.architecture is {}; of GGUF files {} are implemented", value.dump(),
                         fmt::join(known, ", ")));
}

// A key of the architecture that is neither known nor off may change the numbers.
void RejectUnknown(const GgufFile& file, const GgufArchitecture& architecture) {
  const std::string prefix = std::string(architecture.name) + ".";
  for (const auto& [key, value] : file.metadata()) {
    if (!key.starts_with(prefix)) continue;
    const auto is_it = [rest = key.substr(prefix.size())](const GgufKey& k) { return rest == k.key; };
    const bool known =
        std::ranges::any_of(architecture.keys, is_it) || std::ranges::any_of(architecture.own_keys, is_it);
    const bool off = value == false || (value.is_number() && value.get<double>() == 0);
    if (!known && !off) Fail(file, fmt::format("{} is {}, which is not implemented", key, value.dump()));
  }
}

// The Hugging Face name of a tensor, and how it lies; its own where the architecture has no such.
std::pair<std::string, TensorLayout> NameOf(const GgufArchitecture& architecture, const std::string& name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {name, TensorLayout::kPlain};
  std::string part = name.substr(0, dot), prefix;
  const std::string leaf = name.substr(dot);  // ".weight" or ".bias"
  std::span<const GgufName> names = architecture.names;
  if (part.starts_with("blk.")) {
    const size_t end = part.find('.', 4);
    if (end == std::string::npos) return {name, TensorLayout::kPlain};
    prefix = architecture.layers + part.substr(4, end - 4) + ".";
    part = part.substr(end + 1);
    names = architecture.layer_names;
  }
  for (const GgufName& entry : names) {
    if (part != entry.gguf) continue;
    const bool turned = architecture.interleaved && (part == "attn_q" || part == "attn_k");
    const bool flat = entry.layout == TensorLayout::kTransposed && leaf != ".weight";  // a bias has one dimension
    const TensorLayout layout = turned ? TensorLayout::kInterleaved : flat ? TensorLayout::kPlain : entry.layout;
    return {fmt::format("{}{}{}", prefix, entry.name, leaf), layout};
  }
  return {name, TensorLayout::kPlain};
}

TensorView ViewOf(const GgufFile& file, const std::string& name, const GgufTensor& tensor) {
  const std::string where = fmt::format("tensor {}", name);
  const GgmlType* type = FindGgmlType(tensor.type);
  if (type == nullptr)
    Fail(file, fmt::format("{} has ggml's type {}; {} are implemented", where, tensor.type, GgmlTypeNames()));
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

// The values of a tensor that is no weight: factors of the rotations' frequencies.
std::vector<float> Factors(const GgufFile& file, const std::string& name) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end()) Fail(file, "tensor " + name + " is missing");
  const TensorView view = ViewOf(file, name, found->second);
  std::vector<float> values(static_cast<size_t>(ElementCount(view.shape)));
  CopyAsFloat32(name, view, values);
  return values;
}

constexpr const char *kFactors = "rope_freqs.weight", *kShort = "rope_factors_short.weight",
                     *kLong = "rope_factors_long.weight";

// The kind of scaling. A factor alone is linear: older files say no more.
std::string ScalingOf(const GgufFile& file, const std::string& prefix) {
  const json &type = file.Get(prefix + "rope.scaling.type"), &factor = file.Get(prefix + "rope.scaling.factor");
  if (type.is_string()) return type.get<std::string>();
  if (!type.is_null()) Fail(file, prefix + "rope.scaling.type is no text");
  return factor.is_number() && factor != 0 && factor != 1 ? "linear" : "none";
}

// The numbers of linear scaling and of yarn.
json ScalingByFactor(const GgufFile& file, const std::string& prefix, const std::string& type) {
  json scaling = {{"rope_type", type}, {"factor", file.Get(prefix + "rope.scaling.factor")}};
  if (type == "linear") return scaling;
  const json& outer = file.Get(prefix + "rope.scaling.yarn_ext_factor");
  if (!outer.is_null() && outer != 1) Fail(file, prefix + "rope.scaling.yarn_ext_factor is not 1, not implemented");
  for (const auto& [key, field] : {std::pair("original_context_length", "original_max_position_embeddings"),
                                   {"yarn_attn_factor", "attention_factor"},
                                   {"yarn_beta_fast", "beta_fast"},
                                   {"yarn_beta_slow", "beta_slow"}}) {
    if (const json& value = file.Get(prefix + "rope.scaling." + key); !value.is_null()) scaling[field] = value;
  }
  return scaling;
}

// Scaling of rotations: linear and yarn by numbers; by a factor for each frequency, which is what Llama 3's comes to;
// and by two lists of such factors, for short and for long sequences.
void AddRope(const GgufFile& file, const std::string& prefix, json* config) {
  const std::string type = ScalingOf(file, prefix);
  const bool same = file.tensors().contains(kFactors);
  if (same || file.tensors().contains(kLong)) {
    if (type != "none" && type != "longrope")
      Fail(file, fmt::format("{}rope.scaling is {} beside the tensor {}", prefix, type, kFactors));
    const json &original = file.Get(prefix + "rope.scaling.original_context_length"),
               &attention = file.Get(prefix + "rope.scaling.attn_factor");
    json scaling = {{"rope_type", "longrope"},
                    {"short_factor", Factors(file, same ? kFactors : kShort)},
                    {"long_factor", Factors(file, same ? kFactors : kLong)},
                    {"attention_factor", attention.is_null() ? json(1) : attention}};
    if (!original.is_null()) scaling["original_max_position_embeddings"] = original;
    (*config)["rope_scaling"] = std::move(scaling);
  } else if (type == "linear" || type == "yarn") {
    (*config)["rope_scaling"] = ScalingByFactor(file, prefix, type);
  } else if (type != "none") {
    Fail(file, fmt::format("{}rope.scaling.type is \"{}\", not implemented", prefix, type));
  }
}

// What depends on a head's width: the width itself, how much of it is rotated, and the scale of products.
void AddHead(const GgufFile& file, const GgufArchitecture& architecture, json* config) {
  const std::string prefix = std::string(architecture.name) + ".";
  const json &heads = file.Get(prefix + "attention.head_count"), &width = file.Get(prefix + "embedding_length"),
             &given = file.Get(prefix + "attention.key_length"), &turned = file.Get(prefix + "rope.dimension_count");
  if (!heads.is_number_unsigned() || heads.get<uint64_t>() == 0 || !width.is_number_unsigned())
    Fail(file, prefix + "attention.head_count and embedding_length must be whole numbers from 1 up");
  const json by_width = width.get<uint64_t>() / heads.get<uint64_t>(), head = given.is_null() ? by_width : given;
  if (architecture.head_width_given) (*config)["head_dim"] = head;
  if (*architecture.head_scale != '\0')
    (*config)[architecture.head_scale] =
        config->value("num_hidden_layers", json()) == architecture.whole_width_layers ? by_width : head;
  if (turned.is_null() || turned == head) {
    if (architecture.partly_rotated) (*config)["partial_rotary_factor"] = 1;  // GPT-NeoX's own default is 0.25
    return;
  }
  if (!architecture.partly_rotated || !turned.is_number_unsigned() || !head.is_number_unsigned() ||
      turned.get<uint64_t>() > head.get<uint64_t>())
    Fail(file, fmt::format("{}rope.dimension_count is {}, a head has {}", prefix, turned.dump(), head.dump()));
  // The reader cuts width x factor off to a whole number: a little more keeps rounding from taking one away.
  (*config)["partial_rotary_factor"] = (turned.get<double>() + 1e-6) / head.get<double>();
}

// How many heads' rows a matrix of queries, of keys or of both with the values is made of.
int64_t HeadsOf(const GgufFile& file, const GgufArchitecture& architecture, const std::string& name,
                const TensorView& view) {
  const std::string prefix = std::string(architecture.name) + ".attention.head_count";
  const json& of_keys = file.Get(prefix + "_kv");
  const bool keys = name.find("attn_k") != std::string::npos && !of_keys.is_null();
  const json& heads = keys ? of_keys : file.Get(prefix);
  const int64_t parts = view.layout == TensorLayout::kByPart ? 3 : 2;
  if (view.shape.empty() || !heads.is_number_unsigned() || !std::in_range<int32_t>(heads.get<uint64_t>()) ||
      heads == 0 || view.shape[0] % (heads.get<int64_t>() * parts) != 0)
    Fail(file, fmt::format("tensor {} is not made of heads that have {} parts", name, parts));
  return heads.get<int64_t>();
}

}  // namespace

json GgufConfig(const GgufFile& file) {
  const GgufArchitecture& architecture = ArchitectureOf(file);
  const std::string prefix = std::string(architecture.name) + ".";
  RejectUnknown(file, architecture);
  json config = {{"model_type", architecture.model_type}};
  for (const auto& keys : {architecture.keys, architecture.own_keys}) {
    for (const GgufKey& key : keys) {
      const json& value = file.Get(prefix + key.key);
      if (*key.field != '\0' && !value.is_null() && value != 0) config[key.field] = value;  // 0: there is no window
    }
  }
  config.emplace("num_key_value_heads", nullptr);  // without it, as many as heads, whatever the architecture
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
  if (config["model_type"] == "llama" && config.contains("sliding_window")) config["model_type"] = "mistral";
  AddHead(file, architecture, &config);
  return config;
}

std::map<std::string, TensorView> GgufTensors(const GgufFile& file) {
  const GgufArchitecture& architecture = ArchitectureOf(file);
  std::map<std::string, TensorView> views;
  for (const auto& [name, tensor] : file.tensors()) {
    if (name == kFactors || name == kShort || name == kLong) continue;  // in GgufConfig
    TensorView view = ViewOf(file, name, tensor);
    if (architecture.norms_hold_one && name.ends_with("norm.weight")) view.shift = -1;
    auto [hf_name, layout] = NameOf(architecture, name);
    view.layout = layout;
    if (layout == TensorLayout::kTransposed) {
      if (view.shape.size() != 2) Fail(file, "tensor " + name + " is no matrix");
      std::swap(view.shape[0], view.shape[1]);
    }
    if (layout == TensorLayout::kInterleaved || layout == TensorLayout::kByPart)
      view.heads = HeadsOf(file, architecture, name, view);
    if (!views.emplace(hf_name, std::move(view)).second) Fail(file, "tensor " + name + " is there under two names");
  }
  return views;
}

}  // namespace hullft::worker
