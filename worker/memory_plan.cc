// Letters: T tokens, V vocabulary, D width, F feed-forward width, L layers, E width of a head.
#include "worker/memory_plan.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <sstream>

#include "common/error.h"
#include "common/progress.h"
#include "worker/models/decoder_weights.h"
#include "worker/models/families.h"

namespace hullft::worker {
namespace {

constexpr int64_t kFloat = 4;        // bytes
constexpr int64_t kLogitRows = 256;  // of head_loss.cc's chunk

// What one layer keeps between the passes (worker/models/lean_blocks.h), in floats a token. GPT-2: the inputs of
// attention and feed-forward (2 D), query, key and value (3 D), attention's output (D), the activation's input (F).
// What comes on top, among it what the allocator holds back, is measured: 11,150 in all on GPT-2 small (2026-11-23,
// `hullft bench finetune`, peaks at 256, 512 and 1,024 tokens), 4.5 D more.
int64_t KeptOfPlain(const DecoderShape& shape) {
  const bool rotated = !shape.ropes.empty(), fused = !shape.names.qkv.empty();
  return (21 * shape.width) / 2 + shape.mlp_width + (rotated ? 2 * shape.width : 0) + (fused ? 0 : shape.width);
}

struct Kept {
  int64_t all, frozen;
};

// Llama and its relatives (worker/models/gated_blocks.h): the inputs of attention and feed-forward (2 D); query, key
// and value before the rotation, after it, and key and value once more, repeated for every head of query; attention's
// output; the two inner products (2 F); what further norms read. Measured in all on SmolLM2 (2026-11-23, `hullft tune`,
// peaks at 256, 512 and 1,024 tokens): 8,950, which is 2 D more; with adapters 10,740 and the inputs of adapted
// projections, 3 D + F more.
Kept KeptOfGated(const DecoderShape& shape) {
  const int64_t D = shape.width, F = shape.mlp_width;
  const int64_t query = shape.heads * shape.head_width, key = shape.kv_heads * shape.head_width;
  int64_t attention = (query + 2 * key) + (query + key) + (query == key ? 0 : 2 * query) + query;
  if (!shape.names.q_norm.empty()) attention += query + key;
  if (!shape.names.attention_out_norm.empty()) attention += 2 * D;
  if (shape.names.attention_norm.empty()) return {5 * D + attention + 3 * F, 5 * D + attention + 3 * F};
  return {4 * D + attention + 2 * F, 5 * D + attention + 3 * F};
}

// With a soft cap (Gemma 2) a layer keeps its scores behind the tanh and behind the softmax, [H, T, T] each. Measured,
// with what the allocator holds back of those in between: 4 a layer and one more (2026-11-24, docs/performance.md).
int64_t KeptOfScores(const DecoderShape& shape) {
  return shape.attention_cap > 0 ? (4 * static_cast<int64_t>(shape.layers.size()) + 1) * shape.heads : 0;
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
  ConfigReader config = ConfigReader::OfModel(folder);
  const DecoderShape decoder = ReadShape(config);
  WeightPlan weights({decoder.names.prefix}, {});
  const DecoderWeights planned = PlanDecoder(decoder, &weights);
  ModelShape shape;
  shape.vocabulary = decoder.vocabulary;
  shape.parameters = weights.parameters();
  shape.layers = static_cast<int64_t>(decoder.layers.size());
  std::map<int, int> numbers;  // of the first layer's weights
  for (size_t i = 0; i < planned.adapter_places.size() / decoder.layers.size(); ++i) {
    AdapterPlace place = planned.adapter_places[i];
    const auto [number, first] = numbers.emplace(place.weight, static_cast<int>(numbers.size()));
    if (first) shape.layer_weights.push_back(weights.Elements(place.weight));
    place.weight = number->second;
    shape.places.push_back(place);
  }
  const Kept kept = decoder.rms_norm ? KeptOfGated(decoder) : Kept{KeptOfPlain(decoder), KeptOfPlain(decoder)};
  shape.kept_floats = shape.layers * kept.all;
  shape.kept_frozen = shape.layers * kept.frozen;
  shape.score_floats = KeptOfScores(decoder);
  return shape;
}

namespace {

// Projections of one input have one number.
int InputOf(const std::string& target) {
  if (target == "o") return 1;  // q, k, v and qkv: 0
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

MemoryPlan PlanMemory(const ModelShape& shape, int64_t tokens, int workers, int lanes, const AdapterOptions& adapter,
                      bool graphs) {
  HULLFT_CHECK(workers >= 1 && lanes >= 1);
  MemoryPlan plan{workers, lanes, tokens, kFloat * shape.parameters, 4 * kFloat * shape.parameters};
  plan.kept_bytes = kFloat * (shape.kept_floats * tokens + shape.score_floats * tokens * tokens +
                              std::min(tokens, kLogitRows) * shape.vocabulary);
  if (adapter.lora()) PlanAdapters(shape, adapter, &plan);
  if (graphs) plan.kept_bytes *= 2;
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
