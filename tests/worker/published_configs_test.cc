// The config.json of published checkpoints (tests/goldens/published): each is read, and comes to the sizes that
// transformers makes of it (scripts/dev/count_published.py). Configurations of the same families that say something
// else about the numbers are refused by name.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <string>

#include "common/error.h"
#include "common/files.h"
#include "tests/caught.h"
#include "worker/models/decoder_weights.h"
#include "worker/models/encoder_families.h"
#include "worker/models/families.h"

namespace hullft::worker {
namespace {

using nlohmann::json;
using testing::HasSubstr;

std::vector<json> Published(const char* file) {
  std::istringstream lines(ReadFile(std::filesystem::path(HULLFT_GOLDENS) / "published" / file));
  std::vector<json> entries;
  for (std::string line; std::getline(lines, line);) entries.push_back(json::parse(line));
  return entries;
}

ConfigReader Reader(const json& config) {
  return ConfigReader("config.json", "", config);
}

// {"parameters", "positions", "sliding"}
json Facts(const DecoderShape& shape) {
  WeightPlan plan({shape.names.prefix}, {});
  PlanDecoder(shape, &plan);
  return {{"parameters", plan.parameters()},
          {"positions", shape.positions},
          {"sliding", std::ranges::count_if(shape.layers, [](const LayerKind& layer) { return layer.window > 0; })}};
}

// Of D elements with a bias or without.
int64_t Norm(const EncoderShape& s) {
  return (s.norm_bias ? 2 : 1) * s.width;
}

int64_t ParametersOfLayer(const EncoderShape& s, bool attention_norm) {
  const int64_t up = (s.gated ? 2 : 1) * s.mlp_width;
  return 4 * s.width * (s.width + (s.attention_bias ? 1 : 0)) + up * (s.width + (s.mlp_bias ? 1 : 0)) +
         s.width * (s.mlp_width + (s.mlp_bias ? 1 : 0)) + (attention_norm ? 2 : 1) * Norm(s);
}

json Facts(const EncoderShape& s) {
  int64_t count = (s.vocabulary + s.positions + s.types) * s.width + Norm(s), sliding = 0;
  if (!s.names.distances.empty()) count += kDistanceBuckets * s.heads;
  if (!s.names.final_norm.empty()) count += Norm(s);
  for (const EncoderLayerKind& layer : s.layers) {
    count += ParametersOfLayer(s, layer.attention_norm);
    sliding += layer.reach > 0 ? 1 : 0;
  }
  return {{"parameters", count}, {"positions", std::max(s.positions, s.max_tokens)}, {"sliding", sliding}};
}

// Reads every entry of the file and compares; all families must be among them.
template <typename Read, typename Families>
void ExpectAllRead(const char* file, const Read& read, const Families& families) {
  std::set<std::string> seen;
  for (const json& entry : Published(file)) {
    SCOPED_TRACE(entry.at("name"));
    ConfigReader config = Reader(entry.at("config"));
    try {
      const json facts = Facts(read(config));
      for (const auto& [fact, value] : facts.items()) EXPECT_EQ(value, entry.at(fact)) << fact;
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
    seen.insert(entry.at("config").at("model_type"));
  }
  for (const auto& family : families) EXPECT_TRUE(seen.contains(std::string(family.model_type))) << family.model_type;
}

TEST(PublishedConfigs, LanguageModelsAreRead) {
  ExpectAllRead("language_models.jsonl", ReadShape, Families());
}

TEST(PublishedConfigs, EncodersAreRead) {
  ExpectAllRead("encoders.jsonl", ReadEncoderShape, EncoderFamilies());
}

json ConfigOf(const char* file, const std::string& name) {
  for (const json& entry : Published(file)) {
    if (entry.at("name") == name) return entry.at("config");
  }
  throw std::out_of_range(name);
}

TEST(PublishedConfigs, WhatWouldChangeTheNumbersIsNamed) {
  for (const auto& [name, field, value] :
       {std::tuple<const char*, const char*, json>{"gpt2", "pruned_heads", {{"0", {1}}}},
        {"gpt-neox-20b", "hidden_act", "quick_gelu"},
        {"opt-125m", "layer_norm_elementwise_affine", false},
        {"SmolLM2-135M", "rope_interleaved", true},
        {"Llama-2-7b-hf", "partial_rotary_factor", 0.5},
        {"Qwen2.5-1.5B", "use_mrope", true},
        {"Phi-4-mini-instruct", "full_attn_mod", 2},
        {"Phi-4-mini-instruct", "interpolate_factor", 4},
        {"Phi-4-mini-instruct", "lm_head_bias", true},
        {"gemma-2-2b", "use_bidirectional_attention", true},
        {"gemma-3-1b-it", "attn_logit_softcapping", 50.0},
        {"gemma-3-4b-it", "tie_word_embeddings", false},
        {"gemma-3-4b-it", "text_config", {{"num_experts", 8}}}}) {
    json config = ConfigOf("language_models.jsonl", name);
    config[field] = value;
    ConfigReader reader = Reader(config);
    EXPECT_THAT(Caught([&] { ReadShape(reader); }).message(), HasSubstr(field)) << name;
  }
}

// What transformers' classes have where a file says nothing is not what they have where it says null.
TEST(PublishedConfigs, NullIsNotTheDefault) {
  const auto read = [](const std::string& name, const std::string& field, bool null) {
    json config = ConfigOf("language_models.jsonl", name);
    config.erase(field);
    if (null) config[field] = nullptr;
    ConfigReader reader = Reader(config);
    return ReadShape(reader);
  };
  EXPECT_EQ(read("Mistral-7B-v0.1", "sliding_window", false).layers[0].window, 4096);
  EXPECT_EQ(read("Mistral-7B-v0.1", "sliding_window", true).layers[0].window, 0);
  EXPECT_EQ(read("Mistral-7B-v0.1", "num_key_value_heads", false).kv_heads, 8);
  EXPECT_EQ(read("Mistral-7B-v0.1", "num_key_value_heads", true).kv_heads, 32);
  EXPECT_EQ(read("gemma-2-2b", "attn_logit_softcapping", false).attention_cap, 50);
  EXPECT_EQ(read("gemma-2-2b", "attn_logit_softcapping", true).attention_cap, 0);
  EXPECT_EQ(read("OLMo-2-0425-1B", "rms_norm_eps", false).norm_epsilon, 1e-5);
  EXPECT_EQ(read("Qwen3-0.6B", "head_dim", false).head_width, 128);
  EXPECT_EQ(read("Llama-2-7b-hf", "bos_token_id", false).bos, 1);
  EXPECT_EQ(read("gemma-3-4b-it", "torch_dtype", false).eos, 1);
}

}  // namespace
}  // namespace hullft::worker
