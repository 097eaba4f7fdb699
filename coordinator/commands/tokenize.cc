#include "common/error.h"
#include "coordinator/commands/commands.h"

namespace hullft::coordinator {

int TokenizeCommand(const Arguments&) { throw Error(Code::kInternal, "hullft tokenize is not written yet"); }

}  // namespace hullft::coordinator
