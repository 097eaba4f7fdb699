// How much memory finetuning needs, known from config.json alone and before any work, and how much there is.
//
// float32 throughout. A host's workers share one copy of the base weights; each lane (a query that is finetuned at a
// time) has a working copy, a gradient and Adam's two moments of all parameters, and what one forward pass keeps for
// the backward pass. With adapters it has these of the adapters, their beginning, and the adapted weights merged with
// them. Thread safety: free functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "worker/adapter_options.h"

namespace hullft::worker {

struct ModelShape {
  int64_t parameters = 0;
  int64_t vocabulary = 0;
  int64_t kept_floats = 0;  // a token's in one forward pass, for the backward pass
  int64_t layers = 0;
  std::vector<AdapterPlace> places = {};    // of one layer; AdapterPlace::weight is an index into the next
  std::vector<int64_t> layer_weights = {};  // elements
  int64_t score_floats = 0;                 // of a pair of tokens: attention whose scores are kept whole
  int64_t kept_frozen = 0;  // kept_floats when adapters are trained, without the inputs of adapted projections
};

// From a folder's config.json. Throws kData as LoadLanguageModel does.
ModelShape ReadModelShape(const std::filesystem::path& folder);

struct MemoryPlan {
  int workers = 1, lanes = 1;  // of one host; lanes: of each worker
  int64_t tokens = 0;          // of the longest training sequence
  int64_t base_bytes = 0;      // once a host
  int64_t weights_bytes = 0;   // of a lane: working copy, gradient, two moments; or adapters and merged weights
  bool adapters = false;
  int64_t kept_bytes = 0;  // of a lane: activations, and a chunk of logits
  int64_t Total() const { return base_bytes + int64_t{workers} * lanes * (weights_bytes + kept_bytes); }
  // "2.9 GB = base 0.5 GB + 1 worker x 2 queries x (...)".
  std::string Arithmetic() const;
};

// workers, lanes >= 1; tokens: max_length.
// Throws kUsage for targets that the model does not have.
// graphs: passes are recorded (TunerOptions::cuda_graphs), and have memory of their own beside that of the others.
MemoryPlan PlanMemory(const ModelShape& shape, int64_t tokens, int workers, int lanes,
                      const AdapterOptions& adapter = {}, bool graphs = false);

// Throws kMemory with the arithmetic when the plan needs more than `free_bytes` of `where` ("host n1").
void CheckMemory(const MemoryPlan& plan, int64_t free_bytes, const std::string& where);

// What this process may still take: MemAvailable, and what its cgroups (v1 or v2) leave of their limits. Page cache
// counts as free. root: of the file system, for tests. -1: the system does not say.
int64_t FreeHostMemory(const std::filesystem::path& root = "/");

}  // namespace hullft::worker
