#include "worker/finetune/gradient_graphs.h"

#include <algorithm>
#include <exception>

#include "common/log.h"
#include "worker/finetune/device_head_loss.h"
#include "worker/models/id_tensor.h"

namespace hullft::worker {

void GradientPass(LanguageModel& model, FlatWeights& trained, const at::Tensor& ids, const at::Tensor& targets,
                  at::Tensor loss) {
  trained.PrepareGradients();
  const at::Tensor hidden = model.Hidden(ids, /*dropout=*/0), head = model.HeadWeight();
  const DeviceLoss result = DeviceGradients(hidden, head, targets, head.grad(), model.precision(), model.logit_cap());
  loss.copy_(result.loss);
  hidden.backward(result.hidden_gradient);
  trained.GatherGradients();
}

bool GradientGraphs::Record(LanguageModel& model, FlatWeights& trained, int64_t length, Bucket* bucket) {
  const at::TensorOptions ids = at::TensorOptions(at::kLong).device(model.flat().device());
  bucket->ids = at::zeros({length}, ids);
  bucket->targets = at::zeros({length}, ids);
  bucket->loss = at::zeros({}, ids.dtype(at::kDouble));
  bucket->tables = model.Tables(length);
  try {
    bucket->graph = recorder_(
        [&model, &trained, bucket] { GradientPass(model, trained, bucket->ids, bucket->targets, bucket->loss); });
    ++recorded_;
    return true;
  } catch (const std::exception& error) {
    spdlog::warn("no CUDA graphs: a pass over {} tokens could not be recorded ({}); kernels are launched one by one",
                 length, error.what());
    recorder_ = nullptr;
    buckets_.clear();
    trained.DropGradients();
    return false;
  }
}

std::optional<double> GradientGraphs::Compute(LanguageModel& model, FlatWeights& trained,
                                              std::span<const int32_t> tokens) {
  const auto length = static_cast<int64_t>(tokens.size()) - 1;
  if (!recorder_) return std::nullopt;
  if (!buckets_.contains(length) && buckets_.size() >= most_lengths_) return std::nullopt;
  Bucket& bucket = buckets_[length];
  if (!std::exchange(bucket.seen, true)) return std::nullopt;
  if (!bucket.graph && !Record(model, trained, length, &bucket)) return std::nullopt;
  bucket.ids.copy_(IdTensor(tokens.first(tokens.size() - 1)));
  bucket.targets.copy_(IdTensor(tokens.subspan(1)));
  bucket.graph->Replay();
  ++replayed_;
  trained.ShowGradients();
  return bucket.loss.item<double>();
}

}  // namespace hullft::worker
