#include "common/error.h"
#include "coordinator/commands/commands.h"

namespace hullft::coordinator {

int EmbedCommand(const Arguments&) { throw Error(Code::kInternal, "hullft embed is not written yet"); }

}  // namespace hullft::coordinator
