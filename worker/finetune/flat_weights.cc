#include "worker/finetune/flat_weights.h"

#include <c10/core/GradMode.h>
#include <sys/mman.h>
#ifdef HULLFT_CUDA
#include <c10/cuda/CUDAStream.h>
#endif

#include <utility>

#include "common/error.h"
#include "common/hash.h"
#include "worker/cuda/adam_cuda.h"

namespace hullft::worker {
namespace {
constexpr int64_t kAlignFloats = 16;         // 64 bytes: MKL's results depend on the alignment within a cache line
constexpr size_t kStaggerBytes = size_t{64} * 1037;  // odd multiple of a cache line, spreads over sets and pages
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
  madvise(memory_, bytes_, MADV_HUGEPAGE);        // ignored: a wish: without huge pages it is only slower
  madvise(memory_, bytes_, MADV_POPULATE_WRITE);  // ignored: before Linux 5.14 the first step pays
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
  if (memory_ != nullptr) munmap(memory_, bytes_);  // ignored: fails for a wrong address only
}

FlatWeights::FlatWeights(FlatParameters* model) : model_(model), base_(model->flat()) {
  HULLFT_CHECK(base_.scalar_type() == at::kFloat && base_.is_contiguous());
  for (const Parameter& parameter : model->parameters()) count_ += parameter.count;
}

void FlatWeights::UseBase() {
  model_->UseFlat(base_);
}

void FlatWeights::UseWorking() {
  model_->UseFlat(working_);
}

at::Tensor FlatWeights::MakeArray(int index) {
  if (!base_.is_cpu()) return at::empty_like(base_);
  FlatBuffer& buffer = buffers_[index];
  buffer = FlatBuffer(base_.numel(), index + 1);
  return at::from_blob(buffer.data(), base_.sizes(), base_.options());
}

void FlatWeights::Reserve() {
  working_ = MakeArray(0);
  m_ = MakeArray(1);
  v_ = MakeArray(2);
  gradient_ = MakeArray(3);
}

at::Tensor FlatWeights::GradientPlace(const Parameter& parameter) const {
  HULLFT_CHECK(gradient_.defined());
  return gradient_.narrow(0, parameter.offset, parameter.count).view(parameter.value.sizes());
}

void FlatWeights::PrepareGradients() {
  for (Parameter& parameter : model_->parameters()) {
    if (parameter.overwritten) parameter.value.mutable_grad() = GradientPlace(parameter);
  }
}

void FlatWeights::GatherGradients() {
  for (Parameter& parameter : model_->parameters()) {
    if (parameter.overwritten) continue;
    at::Tensor& gradient = parameter.value.mutable_grad();
    HULLFT_CHECK(gradient.defined());
    const at::Tensor place = GradientPlace(parameter);
    place.copy_(gradient);
    gradient = place;
  }
}

void FlatWeights::ShowGradients() {
  for (Parameter& parameter : model_->parameters()) parameter.value.mutable_grad() = GradientPlace(parameter);
}

at::Tensor FlatWeights::IdleGradient(const at::Tensor& kept) const {
  for (const Parameter& parameter : model_->parameters()) {
    if (!parameter.value.is_same(kept)) continue;
    const int64_t end = parameter.offset + parameter.count, behind = gradient_.numel() - end;
    return parameter.offset > behind ? gradient_.narrow(0, 0, parameter.offset) : gradient_.narrow(0, end, behind);
  }
  return {};
}

std::vector<AdamSegment> FlatWeights::Segments(bool fresh) {
  HULLFT_CHECK(working_.defined());
  float* const working_data = working_.mutable_data_ptr<float>();
  float* const m = m_.mutable_data_ptr<float>();
  float* const v = v_.mutable_data_ptr<float>();
  std::vector<AdamSegment> segments;
  for (Parameter& parameter : model_->parameters()) {
    at::Tensor& gradient = parameter.value.mutable_grad();
    HULLFT_CHECK(gradient.defined() && gradient.numel() == parameter.count);
    if (!gradient.is_contiguous()) gradient = gradient.contiguous();
    const float* base = base_.const_data_ptr<float>() + parameter.offset;
    float* working = working_data + parameter.offset;
    segments.push_back({fresh ? base : working, working, m + parameter.offset, v + parameter.offset,
                        gradient.const_data_ptr<float>(), parameter.count});
  }
  return segments;
}

void FlatWeights::DropGradients() {
  for (Parameter& parameter : model_->parameters()) parameter.value.mutable_grad().reset();
}

void FlatWeights::RunAdam(const AdamSettings& settings, int64_t steps_done, int steps,
                          const std::vector<AdamSegment>& segments, int threads) {
  if (base_.is_cpu()) return AdamRun(settings, steps_done, steps, segments, threads);
#ifdef HULLFT_CUDA
  void* const stream = c10::cuda::getCurrentCUDAStream(base_.device().index()).stream();
  for (const AdamSegment& segment : segments) {
    if (const char* fault = AdamRunCuda(settings, steps_done, steps, segment, stream); fault != nullptr) {
      throw Error(Code::kInternal, fmt::format("Adam's kernel could not start: {}", fault),
                  "a GPU older than compute capability 8.0 needs a build with -DCMAKE_CUDA_ARCHITECTURES=...");
    }
  }
#endif
}

double FlatWeights::GradientsNorm(const std::vector<AdamSegment>& segments, int threads) const {
  if (base_.is_cpu()) return GradientNorm(segments, threads);
  const c10::NoGradGuard no_grad;
  std::vector<at::Tensor> norms;
  for (const Parameter& parameter : model_->parameters()) {
    norms.push_back(at::linalg_vector_norm(parameter.value.grad(), 2, std::nullopt, false, at::kDouble));
  }
  return at::linalg_vector_norm(at::stack(norms)).item<double>();
}

std::string FlatWeights::Digest() const {
  Hasher hasher;
  for (const Parameter& parameter : model_->parameters()) {
    hasher.Update(parameter.name);
    for (const int64_t size : parameter.value.sizes()) hasher.Update(std::to_string(size));
    const at::Tensor values = base_.narrow(0, parameter.offset, parameter.count).cpu();  // no copy on the CPU
    hasher.Update({reinterpret_cast<const char*>(values.const_data_ptr<float>()),
                   static_cast<size_t>(parameter.count) * sizeof(float)});
  }
  return hasher.Hex();
}

}  // namespace hullft::worker
