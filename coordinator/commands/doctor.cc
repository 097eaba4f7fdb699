#include "common/error.h"
#include "coordinator/commands/commands.h"

namespace hullft::coordinator {

int DoctorCommand(const Arguments&) { throw Error(Code::kInternal, "hullft doctor is not written yet"); }

}  // namespace hullft::coordinator
