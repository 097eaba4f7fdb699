// CPU time: what a thread or process costs, whatever else runs on the machine. Thread safety: free functions.
#pragma once

namespace hullft {

double ThreadCpuSeconds();   // of the calling thread
double ProcessCpuSeconds();  // of all threads of the process

}  // namespace hullft
