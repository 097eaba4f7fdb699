// Parameters that are views into one flat array, so that copying, resetting and Adam are one pass over one array.
// Not thread-safe.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

namespace hullft::worker {

struct Parameter {
  std::string name;    // the checkpoint's name, e.g. "model.layers.0.mlp.up_proj.weight"
  at::Tensor value;    // float32, contiguous, a leaf of the graph
  int64_t offset = 0;  // of its first element in flat(), a multiple of 16 (64 bytes)
  int64_t count = 0;   // elements
  // A backward pass overwrites value.grad() where it is there, instead of adding to it
  // (worker/models/weight_gradient.h).
  bool overwritten = false;
};

class FlatParameters {
 public:
  std::vector<Parameter>& parameters() { return parameters_; }
  // float32 [n], the storage behind parameters(): as made, or the last one given to UseFlat. The gaps between
  // parameters (alignment) are 0 and must stay so.
  const at::Tensor& flat() const { return flat_; }
  // Makes every parameter a view into `flat` (float32, contiguous, flat().numel() elements, same device), for example a
  // working copy. Parameter::value keeps its identity (and its grad); only its data moves. No copy is made.
  void UseFlat(const at::Tensor& flat);

 protected:
  ~FlatParameters() = default;

  at::Tensor flat_;
  std::vector<Parameter> parameters_;
};

}  // namespace hullft::worker
