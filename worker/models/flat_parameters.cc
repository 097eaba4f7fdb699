#include "worker/models/flat_parameters.h"

#include "common/error.h"

namespace hullft::worker {

void FlatParameters::UseFlat(const at::Tensor& flat) {
  HULLFT_CHECK(flat.scalar_type() == at::kFloat && flat.is_contiguous() && flat.numel() == flat_.numel() &&
               flat.device() == flat_.device());
  flat_ = flat;
  for (Parameter& parameter : parameters_) {
    parameter.value.set_data(flat.narrow(0, parameter.offset, parameter.count).view(parameter.value.sizes()));
  }
}

}  // namespace hullft::worker
