#include "common/error.h"
#include "coordinator/commands/commands.h"

namespace hullft::coordinator {

int IndexCommand(const Arguments&) { throw Error(Code::kInternal, "hullft index is not written yet"); }

}  // namespace hullft::coordinator
