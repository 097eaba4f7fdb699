// What tells one text encoder from another, as data (as decoder_shape.h for language models): its sizes, how its layers
// are put together, and the names of its tensors. encoder_families.h makes one from a config.json, encoder_model.h runs
// any.
//
// Letters: D width, H heads, F feed-forward width.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/models/activation.h"
#include "worker/models/rope.h"

namespace hullft::worker {

// The names of tensors, without ".weight" and ".bias"; those of a layer follow `layers` and its number. An empty name
// says that a model has no such thing.
struct EncoderNames {
  std::string prefix;  // of all; some checkpoints leave it off
  std::string tokens = "embeddings.word_embeddings", positions = "embeddings.position_embeddings";
  std::string types = "embeddings.token_type_embeddings", norm = "embeddings.LayerNorm";
  std::string distances = {};  // biases of attention by the distance of two tokens
  std::string layers = "encoder.layer.", final_norm = {};
  std::string q = "attention.self.query", k = "attention.self.key", v = "attention.self.value";
  std::string qkv = {};  // in place of the three: one weight
  std::string out = "attention.output.dense", attention_norm = "attention.output.LayerNorm";
  std::string up = "intermediate.dense", down = "output.dense", mlp_norm = "output.LayerNorm";
  std::vector<std::string> harmless = {R"(embeddings\.(position_ids|token_type_ids))",
                                       R"(pooler\.dense\.(weight|bias))", R"((cls|lm_head)\..*)"};  // see WeightPlan
};

struct EncoderLayerKind {
  int64_t reach = 0;  // a token attends to those at most so far away on either side; 0: to all
  int rope = -1;      // index into EncoderShape::ropes; -1: queries and keys are not rotated
  bool attention_norm = true;
};

struct EncoderShape {
  int64_t vocabulary = 0, types = 0;
  int64_t positions = 0;   // learned ones, rows of their table
  int64_t max_tokens = 0;  // the longest sequence, special tokens included
  int64_t width = 0, heads = 0, mlp_width = 0;
  std::vector<EncoderLayerKind> layers;
  std::vector<Rope> ropes;
  EncoderNames names;

  // RoBERTa: positions count from padding_id + 1, and a padding token keeps padding_id; -1: they count from 0.
  int64_t padding_id = -1;
  double norm_epsilon = 1e-12;
  Activation activation = Activation::kGelu;
  bool norm_first = false;  // norms are of what attention and feed-forward part read, else of the sums after them
  bool gated = false;       // `up` holds two halves: the second multiplies the activation of the first
  bool norm_bias = true, attention_bias = true, mlp_bias = true;
};

// MPNet's buckets of distances (transformers modeling_mpnet.py, relative_position_bucket), which are T5's.
inline constexpr int64_t kDistanceBuckets = 32, kFarthestDistance = 128;

}  // namespace hullft::worker
