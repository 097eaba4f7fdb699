#include "worker/finetune/lora.h"

#include <c10/core/GradMode.h>

#include <cmath>

#include "common/error.h"
#include "worker/models/weights.h"

namespace hullft::worker {
namespace {

constexpr uint64_t kSeed = 42;

// SplitMix64 (Steele, Lea, Flood 2014) of a counter, as a number in [-1, 1).
float Uniform(uint64_t counter) {
  uint64_t x = counter + 0x9e3779b97f4a7c15U;
  x = (x ^ (x >> 30U)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27U)) * 0x94d049bb133111ebU;
  x ^= x >> 31U;
  return static_cast<float>(x >> 40U) * 0x1p-23F - 1.0F;
}

int64_t Aligned(int64_t elements) {
  constexpr int64_t kUnit = WeightPlan::kAlignment;
  return (elements + kUnit - 1) / kUnit * kUnit;
}

}  // namespace

Lora::Lora(LanguageModel* model, const AdapterOptions& options) : model_(model), scale_(options.alpha / options.rank) {
  const std::vector<AdapterPlace> places = ChoosePlaces(options, model->adapter_places());
  const int64_t rank = options.rank;
  int64_t elements = 0;
  for (const AdapterPlace& place : places) elements += Aligned(rank * place.inputs) + Aligned(place.outputs * rank);
  const at::Tensor flat = at::zeros({elements}, at::kFloat);
  const at::Device device = model->flat().device();
  float* const values = flat.mutable_data_ptr<float>();
  int64_t offset = 0;
  const auto add = [&](const std::string& name, int64_t rows, int64_t columns) {
    const at::Tensor value = at::empty({rows, columns}, at::TensorOptions(at::kFloat).device(device));
    parameters_.push_back({name, value.set_requires_grad(true), offset, rows * columns});
    offset += Aligned(rows * columns);
  };
  for (const AdapterPlace& place : places) {
    places_.push_back({place, parameters_.size()});
    const std::string name =
        model->parameters()[static_cast<size_t>(place.weight)].name + "." + place.target + ".lora_";
    const float bound = 1 / std::sqrt(static_cast<float>(place.inputs));
    const uint64_t first = (kSeed << 40U) + static_cast<uint64_t>(offset);
    for (int64_t i = 0; i < rank * place.inputs; ++i) {
      values[offset + i] = bound * Uniform(first + static_cast<uint64_t>(i));
    }
    add(name + "A", rank, place.inputs);
    add(name + "B", place.outputs, rank);
  }
  flat_ = flat.to(device);
  UseFlat(flat_);
  for (Parameter& parameter : model->parameters()) parameter.value.set_requires_grad(false);
}

Adapter Lora::AdapterOf(const Place& place) const {
  return {place.place.begin, scale_, parameters_[place.a].value, parameters_[place.a + 1].value};
}

void Lora::Attach() {
  Detach();
  std::vector<std::vector<Adapter>> by_weight(model_->parameters().size());
  for (const Place& place : places_) by_weight[static_cast<size_t>(place.place.weight)].push_back(AdapterOf(place));
  model_->UseAdapters(std::move(by_weight));
}

void Lora::Detach() {
  model_->UseFlat(model_->flat());
  model_->UseAdapters({});
}

void Lora::Merge() {
  Detach();
  const c10::NoGradGuard no_grad;
  const auto weight = [&](int index) -> at::Tensor& { return model_->parameters()[static_cast<size_t>(index)].value; };
  for (const Place& place : places_) {
    at::Tensor& merged = merged_[place.place.weight];
    if (!merged.defined()) merged = at::empty_like(weight(place.place.weight));
  }
  for (const auto& [index, merged] : merged_) at::Tensor(merged).copy_(weight(index));
  for (const Place& place : places_) {
    MergeLowRank(merged_.at(place.place.weight), place.place.in_out, AdapterOf(place));
  }
  for (const auto& [index, merged] : merged_) weight(index).set_data(merged);
}

}  // namespace hullft::worker
