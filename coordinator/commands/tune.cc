#include "common/error.h"
#include "coordinator/commands/commands.h"

namespace hullft::coordinator {

int TuneCommand(const Arguments&) { throw Error(Code::kInternal, "hullft tune is not written yet"); }

}  // namespace hullft::coordinator
