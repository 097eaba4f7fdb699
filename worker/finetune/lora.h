// Low-rank adapters of a loaded model as parameters of their own: FlatWeights and Adam take them in place of the
// model's. The model's weights are frozen: no gradients of them are computed. Not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "worker/adapter_options.h"
#include "worker/models/language_model.h"

namespace hullft::worker {

class Lora final : public FlatParameters {
 public:
  // Makes the adapters as a query begins with them, and freezes the model, which must outlive this object. Throws
  // kUsage as ChoosePlaces. parameters(): A and B of each place in order, named like the weight with ".q.lora_A".
  Lora(LanguageModel* model, const AdapterOptions& options);

  // What the model's forward passes work with from now on. All three leave flat() of the model alone.
  void Attach();  // weights as loaded, adapters added to the projections: for training
  void Detach();  // weights as loaded
  void Merge();   // the adapted weights with the adapters added, in memory of this object's: for scoring

 private:
  struct Place {
    AdapterPlace place;
    size_t a;  // index in parameters(); B is the next one
  };
  Adapter AdapterOf(const Place& place) const;

  LanguageModel* model_;
  double scale_;
  std::vector<Place> places_;
  std::map<int, at::Tensor> merged_;  // by the weight's index
};

}  // namespace hullft::worker
