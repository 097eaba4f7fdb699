// From a checkpoint to float32 parameters: names and shapes are asked for, everything is checked, then filled in.
#pragma once

#include <ATen/ATen.h>

#include <map>
#include <string>
#include <vector>

#include "worker/checkpoint/checkpoint.h"
#include "worker/models/language_model.h"

namespace hullft::worker {

// What an architecture needs, in the order in which it is laid out.
class WeightPlan {
 public:
  // prefixes: what checkpoints put before (or leave off) the names of the base model, e.g. "transformer."; the longer
  // ones first, where one begins with another. harmless: regular expressions of names, without prefix, of tensors that
  // may be left unused (masks, other heads); their bytes are not read.
  WeightPlan(std::vector<std::string> prefixes, std::vector<std::string> harmless)
      : prefixes_(std::move(prefixes)), harmless_(std::move(harmless)) {}

  // Returns the parameter's index. name: as reported, e.g. "model.norm.weight"; found with any prefix or none.
  int Add(std::string name, std::vector<int64_t> shape);
  // A tensor that must equal parameter `index` bit for bit if the checkpoint holds it (a tied head that was saved too).
  void AddAlias(std::string name, int index);

  int64_t Elements(int index) const;  // of one parameter
  int64_t parameters() const;         // of all, without what alignment adds

  struct Result {
    at::Tensor flat;  // float32 [n]: every parameter, each beginning at a multiple of kAlignment elements, gaps 0
    std::vector<Parameter> parameters;
  };
  // Throws kData listing all missing, unused and wrongly shaped tensors. Reads on all usable cores.
  Result Load(const Checkpoint& checkpoint, const FlatSource& source, bool requires_grad) const;
  // The same with the folder's checkpoint, which is not even opened when source.filled.
  Result Load(const std::filesystem::path& folder, const FlatSource& source, bool requires_grad) const;

  static constexpr int64_t kAlignment = 16;  // elements: 64 bytes, so that vector kernels see the same alignment always

 private:
  struct Want {
    std::string name;
    std::vector<int64_t> shape;
    int64_t offset;  // elements
  };
  // A checkpoint's tensor: its own name and where it lies.
  using Entry = std::map<std::string, TensorView>::value_type;
  std::string Bare(const std::string& name) const;
  std::vector<const TensorView*> Match(const Checkpoint& checkpoint) const;
  void Read(const Checkpoint& checkpoint, at::Tensor flat) const;
  Result Views(const at::Tensor& flat, bool requires_grad) const;

  std::vector<std::string> prefixes_, harmless_;
  std::vector<Want> wants_;
  std::vector<std::pair<std::string, int>> aliases_;
  int64_t elements_ = 0;
};

}  // namespace hullft::worker
