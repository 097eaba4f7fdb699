#include "common/error.h"
#include "coordinator/commands/commands.h"

namespace hullft::coordinator {

int SelectCommand(const Arguments&) { throw Error(Code::kInternal, "hullft select is not written yet"); }

}  // namespace hullft::coordinator
