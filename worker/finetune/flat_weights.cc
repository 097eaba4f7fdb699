#include "worker/finetune/flat_weights.h"

#include <sys/mman.h>

#include <utility>

#include "common/error.h"
#include "common/hash.h"

namespace hullft::worker {
namespace {
constexpr int64_t kAlignFloats = 16;         // 64 bytes: MKL's results depend on the alignment within a cache line
constexpr size_t kStaggerBytes = 64 * 1037;  // odd multiple of a cache line, spreads over sets and pages
constexpr size_t kHugePage = size_t{2} << 20U;
}  // namespace

FlatBuffer::FlatBuffer(int64_t floats, int index) {
  const size_t shift = kStaggerBytes * static_cast<size_t>(index);
  bytes_ = (static_cast<size_t>(floats) * sizeof(float) + shift + kHugePage - 1) / kHugePage * kHugePage;
  memory_ = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory_ == MAP_FAILED) {
    memory_ = nullptr;
    throw Error(Code::kMemory, fmt::format("cannot get {} MB for the model's weights", bytes_ >> 20U),
                "finetuning needs about 5 times the size of the float32 weights: use a smaller model or fewer workers");
  }
  madvise(memory_, bytes_, MADV_HUGEPAGE);  // a wish: without huge pages it is only slower
  data_ = reinterpret_cast<float*>(static_cast<std::byte*>(memory_) + shift);
}

FlatBuffer::FlatBuffer(FlatBuffer&& other) noexcept {
  *this = std::move(other);
}

FlatBuffer& FlatBuffer::operator=(FlatBuffer&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(bytes_, other.bytes_);
  std::swap(data_, other.data_);
  return *this;
}

FlatBuffer::~FlatBuffer() {
  if (memory_ != nullptr) munmap(memory_, bytes_);
}

FlatWeights::FlatWeights(LanguageModel* model) : model_(model), base_(model->flat()) {
  HULLFT_CHECK(base_.scalar_type() == at::kFloat && base_.is_cpu() && base_.is_contiguous());
  for (const Parameter& parameter : model->parameters()) count_ += parameter.count;
}

void FlatWeights::UseBase() {
  model_->UseFlat(base_);
}

void FlatWeights::UseWorking() {
  model_->UseFlat(at::from_blob(working_.data(), base_.sizes(), base_.options()));
}

std::vector<AdamSegment> FlatWeights::Segments(bool fresh) {
  if (working_.data() == nullptr) {
    FlatBuffer working(base_.numel(), 1), m(base_.numel(), 2), v(base_.numel(), 3);
    working_ = std::move(working);
    m_ = std::move(m);
    v_ = std::move(v);
  }
  std::vector<AdamSegment> segments;
  for (Parameter& parameter : model_->parameters()) {
    at::Tensor& gradient = parameter.value.mutable_grad();
    HULLFT_CHECK(gradient.defined() && gradient.numel() == parameter.count);
    if (!gradient.is_contiguous()) gradient = gradient.contiguous();
    const float* base = base_.const_data_ptr<float>() + parameter.offset;
    float* working = working_.data() + parameter.offset;
    segments.push_back({fresh ? base : working, working, m_.data() + parameter.offset, v_.data() + parameter.offset,
                        gradient.const_data_ptr<float>(), parameter.count});
  }
  return segments;
}

void FlatWeights::DropGradients() {
  for (Parameter& parameter : model_->parameters()) parameter.value.mutable_grad().reset();
}

std::string FlatWeights::Digest() const {
  Hasher hasher;
  for (const Parameter& parameter : model_->parameters()) {
    hasher.Update(parameter.name);
    for (const int64_t size : parameter.value.sizes()) hasher.Update(std::to_string(size));
    hasher.Update({reinterpret_cast<const char*>(base_.const_data_ptr<float>() + parameter.offset),
                   static_cast<size_t>(parameter.count) * sizeof(float)});
  }
  return hasher.Hex();
}

}  // namespace hullft::worker
