#include "coordinator/select/kernels_lanes.h"

namespace hullft::select {

extern constinit const Kernels kBaseKernels = Variant<2, 2>("base");

}  // namespace hullft::select
