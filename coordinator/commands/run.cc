#include "common/error.h"
#include "coordinator/commands/commands.h"

namespace hullft::coordinator {

int RunCommand(const Arguments&) { throw Error(Code::kInternal, "hullft run is not written yet"); }

}  // namespace hullft::coordinator
