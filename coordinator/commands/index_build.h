// The commands that make a corpus or a generation of one: they differ in what they read, and share all else.
#pragma once

#include "coordinator/commands/commands.h"

namespace hullft::coordinator {

int IndexBuild(const Arguments& args);
int IndexAdd(const Arguments& args);
int IndexImport(const Arguments& args);
int IndexMerge(const Arguments& args);
int IndexRepartition(const Arguments& args);

}  // namespace hullft::coordinator
