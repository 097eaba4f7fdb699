// hullft bench SUBJECT: measures this machine with the product's own code.
#include <cstdio>

#include "common/error.h"
#include "common/options.h"
#include "coordinator/bench/subjects.h"
#include "coordinator/commands/commands.h"

namespace hullft::coordinator {
namespace {

struct Subject {
  const char* name;
  int (*run)(const Arguments&);
  const char* summary;
};

constexpr Subject kSubjects[] = {
    {"cluster", BenchCluster, "scheduler, journal, rounds over shards, global iterations"},
    {"finetune", BenchFinetune, "the tuner against a plain LibTorch loop and the machine's peaks"},
    {"index", BenchIndex, "building, searching and reading a corpus"},
    {"machine", BenchMachine, "peak rates of matrix products and memory"},
    {"throughput", BenchThroughput, "whole runs at several loads: queries a second, latency, saturation"},
};

}  // namespace

int BenchCommand(const Arguments& args) {
  if (args.empty() || args[0] == "--help" || args[0] == "-h") {
    std::printf("usage: hullft bench SUBJECT [options]\n\nMeasures this machine with the product's own code.\n\n");
    for (const Subject& subject : kSubjects) std::printf("  %-10s %s\n", subject.name, subject.summary);
    std::printf("\nhullft bench SUBJECT --help describes a subject.\n");
    return args.empty() ? ExitStatus(Code::kUsage) : 0;
  }
  std::vector<std::string> names;
  for (const Subject& subject : kSubjects) {
    if (args[0] == subject.name) return subject.run({args.begin() + 1, args.end()});
    names.emplace_back(subject.name);
  }
  const std::string nearest = NearestWord(args[0], names);
  throw Error(
      Code::kUsage,
      "hullft bench: unknown subject '" + args[0] + "'" + (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
      "hullft bench --help lists the subjects");
}

}  // namespace hullft::coordinator
