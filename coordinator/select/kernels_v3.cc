#include "coordinator/select/kernels_lanes.h"

namespace hullft::select {

extern constinit const Kernels kV3Kernels = Variant<4, 2>("x86-64-v3");

}  // namespace hullft::select
