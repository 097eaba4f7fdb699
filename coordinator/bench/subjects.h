// The subjects of `hullft bench`. Each takes the words after its name, measures, and prints a table of figures
// (common/figures.h); with --output it writes them as JSON too. `throughput` measures whole
// runs and writes a page as well. Returns the exit status.
#pragma once

#include "coordinator/commands/commands.h"

namespace hullft::coordinator {

int BenchCluster(const Arguments& args);
int BenchFinetune(const Arguments& args);
int BenchIndex(const Arguments& args);
int BenchMachine(const Arguments& args);
int BenchThroughput(const Arguments& args);

}  // namespace hullft::coordinator
