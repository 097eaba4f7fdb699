// What the worker's libraries are and can do here, as readable facts for `hullft doctor` and a run's provenance.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace hullft::worker {

using Facts = std::vector<std::pair<std::string, std::string>>;  // name, value

// LibTorch's version, its BLAS and that library's threads, the CPU's instruction set, GPUs with their memory.
Facts TorchFacts();

// GPUs that this process can use; 0 in a build without CUDA.
int GpuCount();

}  // namespace hullft::worker
