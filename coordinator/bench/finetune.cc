// hullft bench finetune: the tuner against a plain LibTorch loop, and both against the machine's peaks.
//
// The sides take turns within one run and the shortest time of every part counts; a query's time is put together from
// the parts, so that minutes suffice for queries that would take half an hour.
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/figures.h"
#include "common/files.h"
#include "common/log.h"
#include "common/options.h"
#include "common/parallel.h"
#include "coordinator/adapter_flags.h"
#include "coordinator/bench/child_process.h"
#include "coordinator/bench/measure.h"
#include "coordinator/bench/subjects.h"
#include "worker/bench/machine_rates.h"
#include "worker/bench/random_model.h"
#include "worker/tuner.h"

namespace hullft::coordinator {
namespace {

using nlohmann::json;
using worker::GradientTimes;
using worker::StageTime;

struct Settings {
  std::string lengths = "128,256,512,1024", counts = "8,4,3,2,1,1,1", machine, baseline, scratch = "/tmp", output;
  std::string clock = "wall", precision = "float32";
  int refresh = 2, threads = 0, repetitions = 3;
  bool avx2 = false;
  worker::AdapterOptions adapter;
  worker::Gpt2Shape shape;
};

std::vector<int> Numbers(const std::string& name, const std::string& text, int low, int64_t high) {
  std::vector<int> numbers;
  for (const char* at = text.data(); at <= text.data() + text.size();) {
    int value = 0;
    const auto [end, fault] = std::from_chars(at, text.data() + text.size(), value);
    if (fault != std::errc() || (*end != ',' && *end != '\0') || value < low || value > high) {
      throw UsageError("hullft bench finetune: --{} must be numbers from {} to {} with commas, not '{}'", name, low,
                       high, text);
    }
    numbers.push_back(value);
    at = end + 1;
  }
  return numbers;
}

// The shortest time seen of every part, by name.
class Shortest {
 public:
  Shortest(bool cpu, int threads) : cpu_(cpu), threads_(threads) {}
  void Take(const std::string& part, const StageTime& time) {
    const double ms = cpu_ ? time.cpu_ms / threads_ : time.wall_ms;
    const auto [place, fresh] = times_.try_emplace(part, ms);
    if (!fresh) place->second = std::min(place->second, ms);
  }
  double operator[](const std::string& part) const {
    const auto place = times_.find(part);
    return place == times_.end() ? 0 : place->second;
  }

 private:
  bool cpu_;
  int threads_;
  std::map<std::string, double> times_;
};

StageTime operator+(const StageTime& a, const StageTime& b) {
  return {a.wall_ms + b.wall_ms, a.cpu_ms + b.cpu_ms};
}

// A query's multiset cut into runs of steps that share a gradient.
struct Runs {
  int gradients = 0, steps = 0, reused = 0, kept = 0;  // kept: gradients that a later step reuses
  std::map<int, int> lengths;                          // steps of a run -> runs
};

Runs CutIntoRuns(const std::vector<int>& counts, int refresh) {
  Runs runs;
  for (const int count : counts) {
    for (int done = 0; done < count; done += refresh) {
      const int run = std::min(refresh, count - done);
      ++runs.gradients;
      ++runs.lengths[run];
      runs.steps += run;
      runs.reused += run - 1;
    }
    runs.kept += (count + refresh - 1) / refresh - (count % refresh == 1 || refresh == 1 ? 1 : 0);
  }
  return runs;
}

std::vector<int32_t> Tokens(int length, int64_t vocabulary, int which) {
  std::vector<int32_t> tokens;
  for (int64_t i = 0; i < length; ++i)
    tokens.push_back(static_cast<int32_t>((i * 7919 + int64_t{which} * 104729 + 13) % vocabulary));
  return tokens;
}

int64_t PeakBytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}
// The peak begins again, without what the random model left in the heap: a user reads a model, and does not make one.
void ForgetPeak() {
  malloc_trim(0);                                 // ignored: whether there was something to give back
  std::ofstream("/proc/self/clear_refs") << "5";  // ignored: the peak is an upper bound without it
}

// Floating-point operations of a forward and backward pass over `length` tokens: the last one is not read. Attention is
// causal: half of the square; its backward pass is counted as twice the forward. passes: 3, or 2 with frozen weights,
// whose gradients are not computed.
double GradientFlops(const worker::Gpt2Shape& shape, int length, int passes) {
  const auto n = static_cast<double>(length - 1);
  const double attention = 2 * static_cast<double>(shape.layers * shape.width) * n * n;
  return passes * 2 * static_cast<double>(shape.ProductsPerToken()) * n + 3 * attention;
}

class Bench {
 public:
  Bench(const Settings& settings, Figures* figures)
      : s_(settings),
        figures_(figures),
        scratch_(settings.scratch),
        counts_(Numbers("counts", s_.counts, 1, 1'000'000)) {
    worker::WriteRandomGpt2(scratch_.path(), s_.shape, 1);
    tuner_ = worker::Tuner::Load({.model_dir = scratch_.path().string(),
                                  .threads = s_.threads,
                                  .precision = s_.precision,
                                  .adapter = s_.adapter});
    for (int i = 0; i < 3; ++i) short_counts_.push_back(i < 2 ? s_.refresh : 1);
  }

  void Run() {
    const std::vector<int> lengths = Numbers("lengths", s_.lengths, 2, s_.shape.positions);
    MeasurePeak(*std::ranges::max_element(lengths));
    Rates();
    if (s_.baseline != "none") StartBaselines();
    for (const int length : lengths) Measure(length);
  }

 private:
  Shortest NewTimes() const { return {s_.clock == "cpu", s_.threads}; }

  worker::TuneResult Tune(int length) {
    std::vector<worker::TrainSequence> train;
    for (size_t i = 0; i < short_counts_.size(); ++i) {
      train.push_back({Tokens(length, s_.shape.vocabulary, static_cast<int>(i)), short_counts_[i]});
    }
    return tuner_->Run({.refresh = s_.refresh, .max_length = static_cast<int>(s_.shape.positions)}, train, {});
  }

  void MeasurePeak(int length) {
    ForgetPeak();
    Tune(length);
    // The five parameter-sized arrays and a fifth of them for activations: 3.1 GB for GPT-2 small.
    const double bound = 3.1e9 * static_cast<double>(tuner_->parameters()) / 124.4e6;
    figures_->Add({"finetune.peak_bytes",
                   fmt::format("peak memory of the process, T = {}", length),
                   static_cast<double>(PeakBytes()) / 1e9,
                   "GB",
                   {},
                   bound / 1e9});
  }

  void Rates() {
    if (!s_.machine.empty()) {
      const Figures stored = Figures::Parse(ReadFile(s_.machine), s_.machine);
      sgemm_ = stored.Value("machine.sgemm_gflops").value_or(0);
      triad_ = stored.Value("machine.triad_gbs").value_or(0);
      if (sgemm_ <= 0 || triad_ <= 0) throw DataError("{}: not the figures of hullft bench machine", s_.machine);
    } else {
      const worker::MachineRates rates = worker::MeasureMachine(
          s_.threads, 5, s_.clock == "cpu" ? worker::BenchClock::kCpu : worker::BenchClock::kWall);
      sgemm_ = rates.sgemm_gflops;
      triad_ = rates.triad_gbs;
    }
    figures_->Add({"machine.sgemm_gflops", "machine: best float32 matrix product", sgemm_, "GFLOP/s", {}, {}});
    figures_->Add({"machine.triad_gbs", "machine: triad", triad_, "GB/s", {}, {}});
  }

  void StartBaselines() {
    std::string program = s_.baseline;
    if (program.empty()) {
      program = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "hullft_finetune_baseline";
    }
    if (!std::filesystem::exists(program)) {
      throw Error(Code::kUsage, fmt::format("there is no baseline at {}", program),
                  "build it with `ninja hullft_finetune_baseline`, or give --baseline none");
    }
    const std::vector<std::string> words = {program, scratch_.path().string(), std::to_string(s_.threads)};
    std::vector<std::string> environment;
    if (s_.avx2) environment.emplace_back("MKL_ENABLE_INSTRUCTIONS=AVX2");
    baseline_ = std::make_unique<ChildProcess>(words, environment);
  }

  void TakeOurs(const worker::TuneResult& result, Shortest* times) {
    for (size_t i = 0; i < result.gradient_times.size(); ++i) {
      const GradientTimes& t = result.gradient_times[i];
      times->Take("forward", t.forward);
      times->Take("loss", t.loss);
      times->Take("backward", t.backward);
      times->Take("gradient", t.forward + t.loss + t.backward);
      times->Take(i == 0 ? "first adam" : fmt::format("adam {}", t.steps), t.adam);
      if (t.steps == s_.refresh) times->Take(i == 0 ? "first" : "later", t.forward + t.loss + t.backward + t.adam);
    }
  }

  std::vector<double> TakeBaseline(int length, Shortest* times) {
    json request = {
        {"tokens", json::array()}, {"counts", short_counts_}, {"refresh", s_.refresh}, {"learning_rate", 5e-5}};
    for (size_t i = 0; i < short_counts_.size(); ++i) {
      request["tokens"].push_back(Tokens(length, s_.shape.vocabulary, static_cast<int>(i)));
    }
    const json answer = json::parse(baseline_->Ask(request.dump()));
    const auto take = [&](const std::string& part, const json& pair) {
      times->Take(part, {pair.at(0).get<double>(), pair.at(1).get<double>()});
    };
    take("restore", answer.at("restore"));
    for (const char* part : {"gradients", "clones", "copies", "steps"}) {
      for (const json& pair : answer.at(part)) take(part, pair);
    }
    return answer.at("losses").get<std::vector<double>>();
  }

  void Measure(int length) {
    Shortest ours = NewTimes(), theirs = NewTimes();
    double apart = 0;
    for (int r = 0; r < s_.repetitions; ++r) {
      spdlog::info("T = {}, repetition {} of {}", length, r + 1, s_.repetitions);
      const worker::TuneResult result = Tune(length);
      TakeOurs(result, &ours);
      if (!baseline_) continue;
      const std::vector<double> losses = TakeBaseline(length, &theirs);
      size_t next = 0;
      for (const worker::StepRecord& step : result.steps) {
        if (step.loss) apart = std::max(apart, std::abs(*step.loss - losses.at(next++)));
      }
    }
    Report(length, ours, theirs, apart);
  }

  void Report(int length, const Shortest& ours, const Shortest& theirs, double apart) {
    const std::string name = fmt::format("finetune.T{}.", length), what = fmt::format("T = {}: ", length);
    const auto add = [&](const char* key, const std::string& text, double value, const char* unit,
                         std::optional<double> at_least = {}, std::optional<double> at_most = {}) {
      figures_->Add({name + key, what + text, value, unit, at_least, at_most});
    };
    for (const char* part : {"forward", "loss", "backward"}) add(part, part, ours[part], "ms");
    add("gradient_ms", "forward, loss and backward", ours["gradient"], "ms");
    const double rate = GradientFlops(s_.shape, length, s_.adapter.lora() ? 2 : 3) / (ours["gradient"] * 1e6);
    add("gflops", "forward and backward", rate, "GFLOP/s");
    const bool exact = s_.precision == "float32" && !s_.adapter.lora();
    const std::optional<double> asked = !exact          ? std::nullopt
                                        : length >= 512 ? std::optional(0.7)
                                        : length >= 256 ? std::optional(0.6)
                                                        : std::nullopt;
    add("gflops_of_peak", "... of the best matrix product", rate / sgemm_, "", asked);
    const Runs runs = CutIntoRuns(counts_, s_.refresh);
    double query = 0;
    for (const auto& [steps, count] : runs.lengths) {
      const std::string part = fmt::format("adam {}", steps);
      const double pass = ours[part] > 0 ? ours[part] : ours[fmt::format("adam {}", s_.refresh)];
      query += count * (ours["gradient"] + pass);
      if (ours[part] <= 0) continue;
      const double bandwidth = 28e-6 * static_cast<double>(tuner_->trained_parameters()) / ours[part];
      add(fmt::format("adam{}_ms", steps).c_str(), fmt::format("Adam, {} steps in one pass", steps), ours[part], "ms");
      if (s_.adapter.lora()) continue;  // too little to be a matter of bandwidth
      add(fmt::format("adam{}_of_triad", steps).c_str(), "... of the triad's bandwidth", bandwidth / triad_, "", 0.85);
    }
    add("first_to_later", "first gradient of a query to a later one", ours["first"] / ours["later"], "x", {}, 1.02);
    add("query_seconds", fmt::format("a query of {} steps, {} gradients", runs.steps, runs.gradients), query / 1e3,
        "s");
    if (!baseline_) return;
    const double baseline = theirs["restore"] + runs.gradients * theirs["gradients"] + runs.kept * theirs["clones"] +
                            runs.reused * theirs["copies"] + runs.steps * theirs["steps"];
    add("baseline_gradient_ms", "baseline: forward and backward, padded", theirs["gradients"], "ms");
    add("baseline_step_ms", "baseline: one step of Adam", theirs["steps"], "ms");
    add("baseline_query_seconds", "baseline: the same query", baseline / 1e3, "s");
    const std::optional<double> wanted = length == 1024  ? std::optional(2.5)
                                         : length == 256 ? std::optional(8.0)
                                                         : std::nullopt;
    add("speedup", "baseline's time to ours", baseline / query, "x", wanted);
    add("losses_apart", "largest difference of a loss", apart, "", {}, exact ? std::optional(1e-4) : std::nullopt);
  }

  const Settings& s_;
  Figures* figures_;
  ScratchFolder scratch_;
  std::vector<int> counts_, short_counts_;
  std::unique_ptr<worker::Tuner> tuner_;
  std::unique_ptr<ChildProcess> baseline_;
  double sgemm_ = 0, triad_ = 0;
};

}  // namespace

int BenchFinetune(const Arguments& args) {
  Settings s;
  OptionTable table(
      "hullft bench finetune",
      "Measures finetuning on one query against a plain LibTorch loop (padded, one pass of Adam a step, "
      "gradients and weights copied) and against the machine's peaks, with random weights of GPT-2's shape.");
  table.Add("lengths", &s.lengths, "tokens of a training sequence").Unit("tokens");
  table.Add("counts", &s.counts, "multiplicities of the query's sequences");
  table.Add("refresh", &s.refresh, "steps of a repeated sequence that share a gradient").Range(1, 1000);
  table.Add("threads", &s.threads, "0: all cores this process may use").Range(0, 4096);
  table.Add("repetitions", &s.repetitions, "of each side in turn; the shortest time of each part counts")
      .Range(1, 1000);
  table.Add("clock", &s.clock, "cpu: CPU time / threads, for a machine that is in use").OneOf({"wall", "cpu"});
  table.Add("precision", &s.precision, "of our matrix products").OneOf({"float32", "bf16"});
  BindAdapter(&table, &s.adapter);
  table.Add("machine", &s.machine, "figures of hullft bench machine; without it they are measured");
  table.Add("baseline", &s.baseline,
            "its program; default: hullft_finetune_baseline beside hullft; none: leave it out");
  table.Add("baseline-avx2", &s.avx2, "keep the baseline's MKL from AVX-512, as it keeps itself on AMD CPUs");
  table.Add("scratch", &s.scratch, "folder for the model (0.5 GB), removed at the end");
  table.Add("output", &s.output, "file for the figures as JSON");
  table.Group("Model");
  table.Add("layers", &s.shape.layers, "transformer layers").Range(1, 1000);
  table.Add("width", &s.shape.width, "width").Range(1, 65536);
  table.Add("heads", &s.shape.heads, "attention heads").Range(1, 1024);
  table.Add("vocabulary", &s.shape.vocabulary, "tokens of the vocabulary").Range(2, 1e7);
  table.Add("positions", &s.shape.positions, "the window, to which the baseline pads").Range(2, 65536);
  table.Example("hullft bench finetune --lengths 256 --threads 2");
  if (table.Parse(args)) return 0;
  if (s.threads == 0) s.threads = UsableCores();
  if (s.adapter.lora()) s.baseline = "none";  // it trains all weights
  Figures figures("finetune", Figures::MachineFacts(HULLFT_VERSION));
  figures.AddFact("threads", std::to_string(s.threads));
  figures.AddFact("clock", s.clock);
  figures.AddFact("precision", s.precision);
  if (s.adapter.lora()) {
    figures.AddFact("adapter", fmt::format("lora, rank {}, targets {}", s.adapter.rank, s.adapter.targets));
  }
  figures.AddFact("query", fmt::format("counts {}, r = {}", s.counts, s.refresh));
  if (s.avx2) figures.AddFact("baseline", "MKL_ENABLE_INSTRUCTIONS=AVX2");
  Bench(s, &figures).Run();
  std::fputs(figures.Table().c_str(), stdout);
  if (!s.output.empty()) WriteFileAtomic(s.output, figures.Json());
  return 0;
}

}  // namespace hullft::coordinator
