#include "worker/models/weights.h"

#include <fmt/ranges.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <regex>

#include "common/error.h"
#include "common/parallel.h"

namespace hullft::worker {

namespace {

// Touching fresh memory for the first time is a large part of loading; with 2 MiB pages it is 512 times as few faults.
// A hint: where the system does not grant it, nothing changes.
void AskForHugePages(void* data, size_t bytes) {
  constexpr uintptr_t kPage = uintptr_t{2} << 20;
  const uintptr_t first = reinterpret_cast<uintptr_t>(data), begin = (first + kPage - 1) / kPage * kPage;
  const uintptr_t end = (first + bytes) / kPage * kPage;
  if (begin >= end) return;
  std::byte* const start = static_cast<std::byte*>(data) + (begin - first);
  (void)::madvise(start, end - begin, MADV_HUGEPAGE);  // ignored: only a hint
}

}  // namespace

int WeightPlan::Add(std::string name, std::vector<int64_t> shape) {
  const int64_t count = ElementCount(shape);
  wants_.push_back({std::move(name), std::move(shape), elements_});
  elements_ += (count + kAlignment - 1) / kAlignment * kAlignment;
  return static_cast<int>(wants_.size()) - 1;
}

void WeightPlan::AddAlias(std::string name, int index) {
  aliases_.emplace_back(std::move(name), index);
}

int64_t WeightPlan::Elements(int index) const {
  return ElementCount(wants_[static_cast<size_t>(index)].shape);
}

int64_t WeightPlan::parameters() const {
  int64_t count = 0;
  for (const Want& want : wants_) count += ElementCount(want.shape);
  return count;
}

// A name as checkpoints agree on it: without prefix; and a norm's as PyTorch has it, not as the first checkpoints of
// BERT do, which were made of TensorFlow's.
std::string WeightPlan::Bare(const std::string& name) const {
  const auto prefix = std::ranges::find_if(prefixes_, [&](const std::string& p) { return name.starts_with(p); });
  std::string bare = prefix == prefixes_.end() ? name : name.substr(prefix->size());
  for (const auto& [older, newer] : {std::pair("LayerNorm.gamma", "weight"), {"LayerNorm.beta", "bias"}}) {
    if (bare.ends_with(older)) bare.replace(bare.rfind('.') + 1, std::string::npos, newer);
  }
  return bare;
}

std::vector<const TensorView*> WeightPlan::Match(const Checkpoint& checkpoint) const {
  std::vector<const TensorView*> found;
  std::vector<std::string> missing, unused, wrong;
  std::map<std::string, const Entry*> left;  // by bare name: what nothing has asked for yet
  for (const Entry& entry : checkpoint.tensors()) {
    if (!left.emplace(Bare(entry.first), &entry).second) unused.push_back(entry.first);
  }
  for (const Want& want : wants_) {
    const auto node = left.extract(Bare(want.name));
    found.push_back(node.empty() ? nullptr : &node.mapped()->second);
    if (node.empty()) {
      missing.push_back(want.name);
    } else if (found.back()->shape != want.shape) {
      wrong.push_back(fmt::format("{} has shape {}, config.json makes it {}", node.mapped()->first,
                                  ShapeText(found.back()->shape), ShapeText(want.shape)));
    }
  }
  for (const auto& [alias, index] : aliases_) {
    const TensorView* original = found[static_cast<size_t>(index)];
    if (original == nullptr) continue;  // said to be missing
    const auto node = left.extract(Bare(alias));
    if (node.empty()) continue;
    const TensorView& copy = node.mapped()->second;
    if (copy.dtype != original->dtype || !std::ranges::equal(copy.bytes, original->bytes)) {
      wrong.push_back(fmt::format("{} differs from {}, though config.json ties them", node.mapped()->first,
                                  wants_[static_cast<size_t>(index)].name));
    }
  }
  const std::vector<std::regex> harmless(harmless_.begin(), harmless_.end());
  for (const auto& [bare, entry] : left) {
    const auto matches = [&name = bare](const std::regex& pattern) { return std::regex_match(name, pattern); };
    if (std::ranges::none_of(harmless, matches)) unused.push_back(entry->first);
  }
  std::vector<std::string> faults;
  if (!missing.empty()) faults.push_back(fmt::format("missing tensors: {}", fmt::join(missing, ", ")));
  if (!unused.empty()) faults.push_back(fmt::format("unused tensors: {}", fmt::join(unused, ", ")));
  if (!wrong.empty()) faults.push_back(fmt::format("wrong tensors: {}", fmt::join(wrong, ", ")));
  if (!faults.empty()) {
    throw Error(Code::kData, fmt::format("{}: {}", checkpoint.path(), fmt::join(faults, "; ")),
                "the weights and config.json of the folder do not belong together");
  }
  return found;
}

// flat: float32 [elements_] in host memory.
void WeightPlan::Read(const Checkpoint& checkpoint, at::Tensor flat) const {
  const std::vector<const TensorView*> found = Match(checkpoint);
  float* const data = flat.mutable_data_ptr<float>();
  ParallelFor(static_cast<int64_t>(wants_.size()), UsableCores(), [&](int64_t i) {
    const Want& want = wants_[static_cast<size_t>(i)];
    const int64_t count = ElementCount(want.shape);
    const int64_t end =
        i + 1 < static_cast<int64_t>(wants_.size()) ? wants_[static_cast<size_t>(i) + 1].offset : elements_;
    CopyAsFloat32(want.name, *found[static_cast<size_t>(i)], {data + want.offset, static_cast<size_t>(count)});
    std::fill(data + want.offset + count, data + end, 0.0f);
  });
}

WeightPlan::Result WeightPlan::Views(const at::Tensor& flat, bool requires_grad) const {
  HULLFT_CHECK(flat.scalar_type() == at::kFloat && flat.is_contiguous() && flat.numel() == elements_);
  Result result{flat, {}};
  for (const Want& want : wants_) {
    const int64_t count = ElementCount(want.shape);
    at::Tensor value = flat.narrow(0, want.offset, count).view(want.shape).detach();
    value.set_requires_grad(requires_grad);
    result.parameters.push_back({want.name, value, want.offset, count});
  }
  return result;
}

WeightPlan::Result WeightPlan::Load(const Checkpoint& checkpoint, const FlatSource& source, bool requires_grad) const {
  HULLFT_CHECK(!source.filled);
  if (!source.memory) {
    const at::Tensor flat = at::empty({elements_}, at::kFloat);
    AskForHugePages(flat.mutable_data_ptr(), flat.nbytes());
    Read(checkpoint, flat);
    return Views(flat.to(source.device), requires_grad);
  }
  const at::Tensor flat = source.memory(elements_);
  if (flat.is_cpu()) {
    Read(checkpoint, flat);
  } else {
    const at::Tensor host = at::empty({elements_}, at::kFloat);
    Read(checkpoint, host);
    flat.copy_(host);
  }
  return Views(flat, requires_grad);
}

WeightPlan::Result WeightPlan::Load(const std::filesystem::path& folder, const FlatSource& source,
                                    bool requires_grad) const {
  if (source.filled) return Views(source.memory(elements_), requires_grad);
  return Load(Checkpoint(folder), source, requires_grad);
}

}  // namespace hullft::worker
