#include "worker/pooling.h"

namespace hullft::worker {

at::Tensor Pool(const at::Tensor& hidden, Pooling pooling) {
  switch (pooling) {
    case Pooling::kMean:
      return hidden.sum(0).div_(static_cast<double>(hidden.size(0)));
    case Pooling::kCls:
      return hidden[0];
    case Pooling::kMax:
      return hidden.amax(0);
  }
  return {};
}

}  // namespace hullft::worker
