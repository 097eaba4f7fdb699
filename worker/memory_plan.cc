// Letters: T tokens, V vocabulary, D width, F feed-forward width, L layers, E width of a head.
#include "worker/memory_plan.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>
#include <set>
#include <sstream>

#include "common/error.h"
#include "common/progress.h"
#include "worker/models/config.h"

namespace hullft::worker {
namespace {

constexpr int64_t kFloat = 4;        // bytes
constexpr int64_t kLogitRows = 256;  // of head_loss.cc's chunk

// Kept between the passes, in floats a token and layer (worker/models/lean_blocks.h): the inputs of attention and
// feed-forward (2 D), query, key and value (3 D), attention's output (D), the activation's input (F). What comes on
// top, among it what the allocator holds back, is measured: 11,150 in all on GPT-2 small (2026-11-23, `hullft bench
// finetune`, peaks at 256, 512 and 1,024 tokens), 4.5 D more.
ModelShape Gpt2Shape(ConfigReader& config) {
  const int64_t D = config.Size("n_embd"), L = config.Size("n_layer"), F = config.Size("n_inner", 4 * D);
  ModelShape shape;
  shape.vocabulary = config.Size("vocab_size");
  const int64_t layer = 4 * D + (3 * D * D + 3 * D) + (D * D + D) + (D * F + F) + (F * D + D);
  const int64_t tables = config.Flag("tie_word_embeddings", true) ? 1 : 2;
  shape.parameters = (tables * shape.vocabulary + config.Size("n_positions")) * D + L * layer + 2 * D;
  shape.kept_floats = shape.kept_frozen = L * (21 * D / 2 + F);
  shape.layers = L;
  shape.layer_weights = {3 * D * D, D * D, D * F, F * D};
  shape.places = {{"q", 0, 0, D, D}, {"k", 0, D, D, D},  {"v", 0, 2 * D, D, D},
                  {"o", 1, 0, D, D}, {"up", 2, 0, F, D}, {"down", 3, 0, D, F}};
  return shape;
}

// Kept (worker/models/gated_blocks.h): the inputs of attention and feed-forward (2 D); query, key and value before the
// rotation, after it, and key and value once more, repeated for every head of query; attention's output; the two inner
// products (2 F). Measured in all on SmolLM2 (2026-11-23, `hullft tune`, peaks at 256, 512 and 1,024 tokens): 8,950,
// which is 2 D more; with adapters 10,740 and the inputs of adapted projections, 3 D + F more.
ModelShape LlamaShape(ConfigReader& config) {
  const int64_t D = config.Size("hidden_size"), L = config.Size("num_hidden_layers");
  const int64_t F = config.Size("intermediate_size"), heads = config.Size("num_attention_heads");
  const int64_t E = config.Size("head_dim", std::max<int64_t>(D / heads, 1));
  const int64_t query = heads * E, key = config.Size("num_key_value_heads", heads) * E;
  ModelShape shape;
  shape.vocabulary = config.Size("vocab_size");
  int64_t layer = 2 * D + 2 * D * query + 2 * D * key + 3 * D * F;
  if (config.Flag("attention_bias", false)) layer += query + 2 * key + D;
  if (config.Flag("mlp_bias", false)) layer += 2 * F + D;
  const int64_t tables = config.Flag("tie_word_embeddings", false) ? 1 : 2;
  shape.parameters = tables * shape.vocabulary * D + L * layer + D;
  const int64_t attention = (query + 2 * key) + (query + key) + (query == key ? 0 : 2 * query) + query;
  shape.kept_floats = L * (4 * D + attention + 2 * F);
  shape.kept_frozen = L * (5 * D + attention + 3 * F);
  shape.layers = L;
  shape.layer_weights = {D * query, D * key, D * key, query * D, D * F, D * F, F * D};
  shape.places = {{"q", 0, 0, query, D}, {"k", 1, 0, key, D}, {"v", 2, 0, key, D}, {"o", 3, 0, D, query},
                  {"gate", 4, 0, F, D},  {"up", 5, 0, F, D},  {"down", 6, 0, D, F}};
  return shape;
}

std::string Gb(int64_t bytes) {
  return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9);
}

std::string Plural(int count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

// The first whole number of a file; nothing when it is not there or says "max".
std::optional<int64_t> NumberIn(const std::filesystem::path& path) {
  std::ifstream file(path);
  int64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;
}

// The number after `field` of a file of lines "field number ...".
std::optional<int64_t> FieldIn(const std::filesystem::path& path, const std::string& field) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t number = 0;
    if (words >> name >> number && name == field) return number;
  }
  return std::nullopt;
}

// What the group in `folder` leaves of its limit.
std::optional<int64_t> FreeInGroup(const std::filesystem::path& folder, const char* limit_file,
                                   const char* usage_file) {
  const auto limit = NumberIn(folder / limit_file), usage = NumberIn(folder / usage_file);
  if (!limit || !usage) return std::nullopt;
  return *limit - *usage + FieldIn(folder / "memory.stat", "inactive_file").value_or(0);
}

}  // namespace

ModelShape ReadModelShape(const std::filesystem::path& folder) {
  ConfigReader config(folder / "config.json");
  const std::string type = config.Text("model_type");
  if (type == "llama") return LlamaShape(config);
  if (type == "gpt2") return Gpt2Shape(config);
  throw config.Unsupported("model_type", "language models of this kind are not implemented (llama and gpt2 are)");
}

namespace {

// Projections of one input have one number.
int InputOf(const std::string& target) {
  if (target == "o") return 1;
  if (target == "gate" || target == "up") return 2;
  return target == "down" ? 3 : 0;
}

// What adapters need in place of copies of all parameters, and their projections' inputs, which are kept.
void PlanAdapters(const ModelShape& shape, const AdapterOptions& adapter, MemoryPlan* plan) {
  std::set<int> merged, kept;
  int64_t adapters = 0, inputs = 0;
  for (const AdapterPlace& place : ChoosePlaces(adapter, shape.places)) {
    adapters += adapter.rank * (place.inputs + place.outputs);
    merged.insert(place.weight);
    if (kept.insert(InputOf(place.target)).second) inputs += place.inputs;
  }
  int64_t weights = 0;
  for (const int index : merged) weights += shape.layer_weights[static_cast<size_t>(index)];
  plan->adapters = true;
  plan->weights_bytes = kFloat * shape.layers * (5 * adapters + weights);
  plan->kept_bytes += kFloat * plan->tokens * (shape.kept_frozen + shape.layers * inputs - shape.kept_floats);
}

}  // namespace

MemoryPlan PlanMemory(const ModelShape& shape, int64_t tokens, int workers, int lanes, const AdapterOptions& adapter) {
  HULLFT_CHECK(workers >= 1 && lanes >= 1);
  MemoryPlan plan{workers, lanes, tokens, kFloat * shape.parameters, 4 * kFloat * shape.parameters};
  plan.kept_bytes = kFloat * (shape.kept_floats * tokens + std::min(tokens, kLogitRows) * shape.vocabulary);
  if (adapter.lora()) PlanAdapters(shape, adapter, &plan);
  return plan;
}

std::string MemoryPlan::Arithmetic() const {
  return fmt::format("{} = base weights {} + {} x {} x ({} of {} + {} of activations at {} tokens)", Gb(Total()),
                     Gb(base_bytes), Plural(workers, "worker", "workers"), Plural(lanes, "query", "queries"),
                     Gb(weights_bytes), adapters ? "adapters and merged weights" : "working copy, gradient and moments",
                     Gb(kept_bytes), tokens);
}

void CheckMemory(const MemoryPlan& plan, int64_t free_bytes, const std::string& where) {
  if (free_bytes < 0 || plan.Total() <= free_bytes) return;
  throw Error(Code::kMemory,
              fmt::format("finetuning needs {}; {} has {} left", plan.Arithmetic(), where, Gb(free_bytes)),
              "fewer workers or queries at a time, a shorter --max-length or a smaller model");
}

int64_t FreeHostMemory(const std::filesystem::path& root) {
  int64_t free = std::numeric_limits<int64_t>::max();
  if (const auto available = FieldIn(root / "proc/meminfo", "MemAvailable:")) free = *available * 1024;
  std::ifstream groups(root / "proc/self/cgroup");  // lines of "id:controllers:/path"
  for (std::string line; std::getline(groups, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::filesystem::path path = line.substr(second + 1);
    if (!controllers.empty() && controllers != "memory") continue;
    // A limit anywhere up the tree counts; inside a container the tree may begin at the group itself.
    for (path = path.relative_path();; path = path.parent_path()) {
      const auto left = controllers.empty() ? FreeInGroup(root / "sys/fs/cgroup" / path, "memory.max", "memory.current")
                                            : FreeInGroup(root / "sys/fs/cgroup/memory" / path, "memory.limit_in_bytes",
                                                          "memory.usage_in_bytes");
      if (left) free = std::min(free, std::max<int64_t>(*left, 0));
      if (path.empty()) break;
    }
  }
  return free == std::numeric_limits<int64_t>::max() ? -1 : free;
}

}  // namespace hullft::worker
