#include "coordinator/select/kernels_lanes.h"

namespace hullft::select {

extern constinit const Kernels kV4Kernels = Variant<8, 4>("x86-64-v4");

}  // namespace hullft::select
