#include "worker/models/config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/files.h"
#include "common/json_read.h"
#include "worker/checkpoint/gguf_model.h"

namespace hullft::worker {
namespace {

using nlohmann::json;

// Fields that say nothing about a float32 forward pass with an explicit dropout. model_type is read before the
// architecture is known.
constexpr std::string_view kHarmless[] = {
    // Where a file comes from, and how transformers computes it.
    "model_type", "architectures", "_name_or_path", "name_or_path", "transformers_version", "torch_dtype", "dtype",
    "auto_map", "_commit_hash", "transformers.js_config", "tokenizer_class", "language", "license", "unsloth_version",
    "unsloth_fixed", "_attn_implementation", "attn_implementation", "_attn_implementation_autoset",
    "_flash_attn_2_enabled", "use_cache", "output_past", "return_dict", "output_attentions", "output_hidden_states",
    "gradient_checkpointing", "chunk_size_feed_forward", "torchscript", "use_bfloat16",
    // What training begins with, and other heads and tasks. A decoder is one whatever is_decoder says; encoders read
    // it.
    "initializer_range", "id2label", "label2id", "num_labels", "_num_labels", "problem_type", "finetuning_task",
    "task_specific_params", "is_decoder", "is_llama_config",
    // Ids that mean something to a tokenizer or to generation; those that matter elsewhere are read.
    "pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "unk_token_id",
    "decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id",
    // Generation.
    "max_length", "min_length", "do_sample", "temperature", "top_k", "top_p", "typical_p", "num_beams",
    "num_beam_groups", "num_return_sequences", "repetition_penalty", "length_penalty", "diversity_penalty",
    "exponential_decay_length_penalty", "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "bad_words_ids",
    "suppress_tokens", "begin_suppress_tokens", "early_stopping", "output_scores", "return_dict_in_generate",
    "remove_invalid_values", "prefix"};

bool IsOff(const json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
         (value.is_number() && value.get<double>() == 0) ||
         ((value.is_structured() || value.is_string()) && (value.empty() || value == ""));
}

}  // namespace

ConfigReader::ConfigReader(const std::filesystem::path& path) : path_(path.string()) {
  if (!Exists(path)) {
    throw Error(Code::kData, path_ + " is missing", "point the option at a Hugging Face folder");
  }
  object_ = ParseJson(ReadFile(path), path_);
  if (!object_.is_object()) throw DataError("{}: not a JSON object", path_);
}

ConfigReader ConfigReader::OfModel(const std::filesystem::path& model) {
  if (IsGguf(model)) return ConfigReader(model.string(), "", GgufConfig(GgufFile(model)));
  return ConfigReader(model / "config.json");
}

ConfigReader::ConfigReader(std::string path, std::string prefix, json object)
    : path_(std::move(path)), prefix_(std::move(prefix)), object_(std::move(object)) {}

bool ConfigReader::Has(const std::string& field) const {
  const auto found = object_.find(field);
  return found != object_.end() && !found->is_null();
}

const json* ConfigReader::Find(const std::string& field) {
  read_.insert(field);
  return Has(field) ? &object_[field] : nullptr;
}

Error ConfigReader::Wrong(const std::string& field, std::string_view expected) const {
  if (!Has(field)) return DataError("{}: field {}{} is missing ({})", path_, prefix_, field, expected);
  return DataError("{}: field {}{} is {}, not {}", path_, prefix_, field, object_.at(field).dump(), expected);
}

Error ConfigReader::Unsupported(const std::string& field, std::string_view detail) const {
  const std::string value = object_.contains(field) ? object_.at(field).dump() : "missing";
  return Error(Code::kData, fmt::format("{}: field {}{} is {}: {}", path_, prefix_, field, value, detail),
               "this model needs something that hullft does not implement; use another model");
}

int64_t ConfigReader::Size(const std::string& field, std::optional<int64_t> fallback) {
  const json* value = Find(field);
  if (value == nullptr && fallback) return *fallback;
  constexpr int64_t kLimit = int64_t{1} << 31;  // products of two sizes stay within int64
  if (value == nullptr || !value->is_number_integer() || value->get<int64_t>() < 1 || value->get<int64_t>() >= kLimit) {
    throw Wrong(field, "a whole number from 1 up");
  }
  return value->get<int64_t>();
}

double ConfigReader::Number(const std::string& field, std::optional<double> fallback) {
  const json* value = Find(field);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr || !value->is_number() || !std::isfinite(value->get<double>())) throw Wrong(field, "a number");
  return value->get<double>();
}

bool ConfigReader::Flag(const std::string& field, bool fallback) {
  const json* value = Find(field);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) throw Wrong(field, "true or false");
  return value->get<bool>();
}

std::string ConfigReader::Text(const std::string& field, std::optional<std::string> fallback) {
  const json* value = Find(field);
  if (value == nullptr && fallback) return *fallback;
  if (value == nullptr || !value->is_string()) throw Wrong(field, "a string");
  return value->get<std::string>();
}

int64_t ConfigReader::TokenId(const std::string& field) {
  const json* value = Find(field);
  if (value != nullptr && value->is_array() && !value->empty()) value = &value->front();
  if (value == nullptr) return -1;
  if (!value->is_number_integer() || value->get<int64_t>() < 0) throw Wrong(field, "a token id");
  return value->get<int64_t>();
}

std::vector<double> ConfigReader::Numbers(const std::string& field) {
  const json* value = Find(field);
  if (value == nullptr || !value->is_array() ||
      !std::ranges::all_of(*value, [](const json& item) { return item.is_number(); })) {
    throw Wrong(field, "a list of numbers");
  }
  return value->get<std::vector<double>>();
}

std::vector<std::string> ConfigReader::Texts(const std::string& field) {
  const json* value = Find(field);
  if (value == nullptr || !value->is_array() ||
      !std::ranges::all_of(*value, [](const json& item) { return item.is_string(); })) {
    throw Wrong(field, "a list of strings");
  }
  return value->get<std::vector<std::string>>();
}

std::vector<std::pair<std::vector<std::string>, int64_t>> ConfigReader::Repeats(const std::string& field) {
  const json* value = Find(field);
  constexpr int64_t kMost = 10'000;
  try {
    if (value != nullptr) {
      auto repeats = value->get<std::vector<std::pair<std::vector<std::string>, int64_t>>>();
      if (std::ranges::all_of(repeats, [](const auto& item) { return item.second >= 1 && item.second <= kMost; })) {
        return repeats;
      }
    }
  } catch (const json::exception&) {  // ignored: of another kind, the error below says so
  }
  throw Wrong(field, "a list of [[TEXT, ...], TIMES]");
}

void ConfigReader::Defaults(const json& values) {
  for (const auto& [field, value] : values.items()) {
    if (!object_.contains(field)) object_[field] = value;
  }
}

void ConfigReader::Only(const std::string& field, const json& neutral) {
  const json* value = Find(field);
  if (value != nullptr && *value != neutral) {
    throw Unsupported(field, fmt::format("only {} is implemented", neutral.dump()));
  }
}

ConfigReader ConfigReader::Object(const std::string& field) {
  const json* value = Find(field);
  if (value == nullptr || !value->is_object()) throw Wrong(field, "an object");
  return ConfigReader(path_, prefix_ + field + ".", *value);
}

void ConfigReader::RejectUnknown(const std::vector<std::string_view>& harmless) const {
  std::vector<std::string> unknown;
  for (const auto& [field, value] : object_.items()) {
    if (read_.contains(field) || IsOff(value) || std::ranges::count(harmless, field) > 0 ||
        std::ranges::count(kHarmless, field) > 0) {
      continue;
    }
    unknown.push_back(fmt::format("{}{} = {}", prefix_, field, value.dump()));
  }
  if (unknown.empty()) return;
  throw Error(Code::kData, fmt::format("{}: fields that are not implemented: {}", path_, fmt::join(unknown, ", ")),
              "if a field does not change what the model computes, remove it from config.json");
}

}  // namespace hullft::worker
