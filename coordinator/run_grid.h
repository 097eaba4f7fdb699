// The settings that one run works on together, from a file (--grid; docs/formats/sweep.md). Thread safety: free
// functions.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "coordinator/settings.h"

namespace hullft::coordinator {

// Whether settings that differ in this option can share a run: how is selected, and how is tuned.
bool MayVaryInOneRun(const std::string& option);

// args: the command's own, to which each setting adds its options. Throws kUsage, naming file and setting, for what is
// no such file, options that cannot vary in one run, and settings that are none.
std::vector<RunSetting> ReadRunGrid(const std::filesystem::path& file, const std::vector<std::string>& args);

}  // namespace hullft::coordinator
