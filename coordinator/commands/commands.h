// The subcommands of `hullft`: each is a thin door to one component, in a file of its own.
#pragma once

#include <string>
#include <vector>

namespace hullft::coordinator {

using Arguments = std::vector<std::string>;  // the words after the subcommand

// Each returns the exit status; failures are thrown as hullft::Error.
int BenchCommand(const Arguments& args);  // bench cluster, ... (coordinator/bench/subjects.h)
int CompareCommand(const Arguments& args);
int EmbedCommand(const Arguments& args);
int IndexCommand(const Arguments& args);  // index build | info | verify | search
int ModelsCommand(const Arguments& args);
int PlanCommand(const Arguments& args);
int ReportCommand(const Arguments& args);
int RunCommand(const Arguments& args);
int SelectCommand(const Arguments& args);
int StatusCommand(const Arguments& args);
int SubmitCommand(const Arguments& args);
int SweepCommand(const Arguments& args);
int TokenizeCommand(const Arguments& args);
int TuneCommand(const Arguments& args);
int VerifyCommand(const Arguments& args);
int DoctorCommand(const Arguments& args);

}  // namespace hullft::coordinator
