// hullft bench throughput: many queries against a layout, with the code that a run uses.
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <sstream>

#include "common/error.h"
#include "common/figures.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/log.h"
#include "common/options.h"
#include "common/parallel.h"
#include "coordinator/bench/energy.h"
#include "coordinator/bench/load_run.h"
#include "coordinator/bench/subjects.h"

namespace hullft::coordinator {
namespace {
namespace fs = std::filesystem;
using page::LoadPoint;

// "0.5,0.9": shares of the most that the layout does.
std::vector<double> ParseLoads(const std::string& text) {
  std::vector<double> loads;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    double value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size() || !(value > 0) || value > 1000)
      throw Error(Code::kUsage, fmt::format("hullft bench throughput: --loads: '{}' is no number above 0", word),
                  "e.g. --loads 0.3,0.6,0.9,1.2: shares of what the layout does when all queries are there at once");
    loads.push_back(value);
  }
  std::ranges::sort(loads);
  return loads;
}

std::vector<int> WorkerCounts(int most) {
  std::vector<int> counts;
  for (int workers = 1; workers < most; workers *= 2) counts.push_back(workers);
  counts.push_back(most);
  return counts;
}

int MostWorkers(const RunSettings& settings, const BenchWorld& world) {
  const int wanted = settings.workers > 0 ? settings.workers : std::min(UsableCores(), world.capacity() - 1);
  if (wanted < 1 || wanted + 1 > world.capacity()) {
    throw Error(Code::kUsage,
                fmt::format("hullft bench throughput: {} workers need {} ranks, and there are {}", std::max(1, wanted),
                            std::max(1, wanted) + 1, world.capacity()),
                "give mpirun -n one rank more than workers: the first is coordinator and shard");
  }
  return wanted;
}

void AddFigures(const LoadPoint& point, const std::string& name, const std::string& what, Figures* figures) {
  figures->Add({name + ".queries_per_second", what + ": done", point.rate, "queries/s", {}, {}});
  figures->Add({name + ".busy", what + ": workers busy", 100 * point.busy, "%", {}, {}});
  if (point.joules) figures->Add({name + ".joules", what + ": energy of a query", *point.joules, "J", {}, {}});
  for (size_t s = 0; s < (point.offered > 0 ? page::kLatencies.size() : page::kWaiting); ++s) {
    std::string stage = page::kLatencies[s];
    std::ranges::replace(stage, ' ', '_');
    for (const auto& [quantile, value] :
         {std::pair("p50", point.ms[s].p50), std::pair("p95", point.ms[s].p95), std::pair("p99", point.ms[s].p99)})
      figures->Add({fmt::format("{}.{}.{}", name, stage, quantile),
                    fmt::format("{}: {}, {}", what, page::kLatencies[s], quantile),
                    value,
                    "ms",
                    {},
                    {}});
  }
}

Figures FiguresOf(const page::Throughput& throughput) {
  Figures figures("throughput", throughput.facts);
  for (const LoadPoint& point : throughput.scaling) {
    AddFigures(point, fmt::format("workers{}", point.workers),
               fmt::format("{} worker{}", point.workers, point.workers == 1 ? "" : "s"), &figures);
  }
  for (size_t i = 0; i < throughput.saturation.size(); ++i) {
    const LoadPoint& point = throughput.saturation[i];
    const std::string name = fmt::format("load{}", i + 1),
                      what = fmt::format("{:.3g} queries/s offered", point.offered);
    figures.Add({name + ".offered", what, point.offered, "queries/s", {}, {}});
    AddFigures(point, name, what, &figures);
  }
  return figures;
}

void AddFacts(const RunSettings& settings, const BenchWorld& world, page::Throughput* throughput) {
  throughput->facts = Figures::MachineFacts(HULLFT_VERSION);
  const EnergyMeter energy;
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{
           {"ranks by", world.carrier()},
           {"corpus", settings.corpus},
           {"queries", settings.queries},
           {"model", settings.model},
           {"method", fmt::format("{}, N = {}, r = {}, K = {}, {} tokens a sequence", settings.method,
                                  settings.select.n, settings.refresh, settings.k, settings.tune.max_length)},
           {"energy", energy.Joules() ? "RAPL, CPU packages, with the loading of the models" : energy.why_not()}})
    throughput->facts.emplace_back(name, value);
  if (!energy.Joules()) throughput->warnings.push_back("Energy cannot be read here: " + energy.why_not() + ".");
}

page::Throughput Measure(BenchWorld& world, const RunPlan& plan, const std::vector<double>& loads) {
  page::Throughput throughput;
  AddFacts(plan.settings, world, &throughput);
  const int most = MostWorkers(plan.settings, world);
  MeasureLoad(world, plan, {"warm_up", 1, 0, 1});  // files and pages are there afterwards
  for (const int workers : WorkerCounts(most)) {
    throughput.scaling.push_back(
        MeasureLoad(world, plan, {fmt::format("workers{}", workers), workers, 0, plan.settings.limit}));
  }
  const double rate = throughput.scaling.back().rate;  // known to the first rank, which lets the queries arrive
  for (size_t i = 0; i < loads.size(); ++i) {
    throughput.saturation.push_back(
        MeasureLoad(world, plan, {fmt::format("load{}", i + 1), most, loads[i] * rate, plan.settings.limit}));
  }
  const int64_t queries = throughput.scaling.back().queries;
  if (queries < 100) {
    throughput.warnings.push_back(
        fmt::format("{} queries a point: the 99% quantile is little more than the slowest of them.", queries));
  }
  return throughput;
}

}  // namespace

int BenchThroughput(const Arguments& args) {
  RunPlan plan;
  std::string loads = "0.3,0.6,0.9,1.2";
  OptionTable table(
      "hullft bench throughput",
      "Measures runs at several loads: queries a second by workers, latency by stage, and what comes of\n"
      "queries that arrive at a fixed rate. --output gets throughput.json, throughput.html and every run's\n"
      "folder; --workers is the largest number of workers (0: one a core, or the ranks of the job but\n"
      "one), --limit the queries of a measurement.");
  table.Example(
      "hullft bench throughput --corpus index --queries test.jsonl --model MODEL --encoder ENCODER --n 5 --output "
      "load");
  plan.settings.Bind(&table);
  table.Group("Load");
  table.Add("loads", &loads, "queries that arrive, as shares of what the most workers do; \"\": none");
  if (table.Parse(args)) return 0;
  plan.settings.Finish();
  plan.settings.quiet = true;
  const std::vector<double> shares = ParseLoads(loads);
  const fs::path output = plan.settings.output;
  if (fs::exists(output / "warm_up") || fs::exists(output / "throughput.json")) {
    throw Error(Code::kUsage, output.string() + " holds a measurement already", "choose another --output");
  }
  plan.options = IdentityOfOptions(table);
  plan.config = table.ConfigText();
  plan.version = HULLFT_VERSION;
  plan.binary = HashFileHex("/proc/self/exe");
  BenchWorld world;
  const page::Throughput throughput = Measure(world, plan, shares);
  world.Close();
  if (!world.first()) return 0;
  const Figures figures = FiguresOf(throughput);
  WriteFileAtomic(output / "throughput.json", figures.Json());
  WriteFileAtomic(output / "throughput.html", ThroughputPage(throughput, figures.Json()));
  std::fputs(figures.Table().c_str(), stdout);
  spdlog::info("figures in {}", (output / "throughput.html").string());
  return 0;
}

}  // namespace hullft::coordinator
