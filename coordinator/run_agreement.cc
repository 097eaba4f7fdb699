#include "coordinator/run_agreement.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <exception>
#include <map>
#include <sstream>

#include "common/error.h"
#include "coordinator/layout.h"

namespace hullft::coordinator {
namespace {

using comm::wire::Failure;

struct Verdict {
  static constexpr uint16_t kType = message_type::kVerdict;
  std::optional<Failure> failure;
  template <class A>
  void Wire(A& a) {
    a(failure);
  }
};

void CompareWithCorpus(const RankReport& worker, const RunSettings& settings, const index::CorpusInfo& corpus) {
  if (worker.tokenizer_digest != corpus.tokenizer_digest) {
    throw Error(Code::kData,
                fmt::format("{} was tokenized with another tokenizer ({}) than that of {} ({})", settings.corpus,
                            corpus.tokenizer_digest, settings.model, worker.tokenizer_digest),
                "give the model the corpus was built for, or build the corpus again with --model " + settings.model);
  }
}

// The first line of `odd` that is not in its place in `common`: the setting that differs.
std::string DifferingLine(const std::string& common, const std::string& odd) {
  std::istringstream left(common), right(odd);
  std::string a, b;
  do {
    a.clear(), b.clear();
    std::getline(left, a);
    std::getline(right, b);
  } while (a == b && (left || right));
  return fmt::format("'{}', not '{}'", b, a);
}

// Throws for the first rank whose value is not that of most ranks (of rank 0, where two are equally common).
// values: by rank. differing_line: the values are long, show only where they differ.
void CheckSame(const comm::Communicator& world, const std::string& what, const std::map<int, std::string>& values,
               bool differing_line = false) {
  std::map<std::string, int> count;
  for (const auto& [rank, value] : values) ++count[value];
  if (count.size() < 2) return;
  std::string common = values.begin()->second;
  for (const auto& [value, n] : count) {
    if (n > count[common]) common = value;
  }
  for (const auto& [rank, value] : values) {
    if (value == common) continue;
    throw Error(Code::kUsage,
                fmt::format("rank {} on {} has another {} than the other ranks: {}", rank,
                            world.hosts()[static_cast<size_t>(rank)], what,
                            differing_line ? DifferingLine(common, value) : fmt::format("{}, not {}", value, common)),
                "every rank must start the same binary with the same arguments and see the same files");
  }
}

// Rank 0: throws for the first rank that failed or differs from the others.
void Compare(const comm::Communicator& world, const std::vector<RankReport>& reports, const RunSettings& settings,
             const index::CorpusInfo& corpus) {
  const auto same = [&](const std::string& what, const std::string RankReport::*field, bool workers_only) {
    std::map<int, std::string> values;
    for (size_t r = 0; r < reports.size(); ++r) {
      if (reports[r].worker || !workers_only) values[static_cast<int>(r)] = reports[r].*field;
    }
    CheckSame(world, what, values, field == &RankReport::config);
  };
  // These first: they are often why a rank failed.
  same("version", &RankReport::version, false);
  same("binary", &RankReport::binary, false);
  same("setting", &RankReport::config, false);
  for (size_t r = 0; r < reports.size(); ++r) {
    const RankReport& report = reports[r];
    if (report.failure && r == 0)
      throw Error(CodeFromName(report.failure->code), report.failure->message, report.failure->hint);
    if (report.failure) report.failure->Throw({static_cast<int>(r), world.hosts()[r]});
  }
  same("corpus", &RankReport::corpus_digest, false);
  same("number of partitions", &RankReport::partitions, false);  // no part of the digest
  same("model", &RankReport::model_digest, true);
  same("tokenizer", &RankReport::tokenizer_digest, true);
  same("encoder", &RankReport::encoder_digest, true);
  const auto worker = std::ranges::find_if(reports, &RankReport::worker);
  HULLFT_CHECK(worker != reports.end());  // MakeLayout gives every world one
  CompareWithCorpus(*worker, settings, corpus);
}

}  // namespace

StartLimits::StartLimits(double seconds) {
  const auto step = std::chrono::milliseconds(std::llround(1000 * std::min(seconds, 20.0)));
  models = comm::After(std::chrono::milliseconds(std::llround(1000 * seconds)));
  reports = models + step;
  verdict = reports + step;
}

void DescribeProcess(RankReport* report) {
  report->pid = ::getpid();
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return;  // more than 1024 cores: the table does without
  std::vector<int> cores;
  for (int core = 0; core < CPU_SETSIZE; ++core) {
    if (CPU_ISSET(core, &set)) cores.push_back(core);
  }
  report->cores = RangesText(cores);
}

std::vector<RankReport> Agree(comm::Communicator& world, const RankReport& mine, const RunSettings& settings,
                              const index::CorpusInfo& corpus, const StartLimits& limits) {
  const auto payloads = world.Gather(0, comm::wire::Encode(RankReport::kType, mine), limits.reports);
  std::vector<RankReport> reports;
  Verdict verdict;
  if (world.rank() == 0) {
    try {
      for (size_t r = 0; r < payloads.size(); ++r) {
        reports.push_back(
            comm::wire::Decode<RankReport>(RankReport::kType, payloads[r], {static_cast<int>(r), world.hosts()[r]}));
      }
      Compare(world, reports, settings, corpus);
    } catch (const std::exception& error) {
      verdict.failure = Failure::From(error);
    }
  }
  const std::string decided = world.Broadcast(0, comm::wire::Encode(Verdict::kType, verdict), limits.verdict);
  verdict = comm::wire::Decode<Verdict>(Verdict::kType, decided, {0, world.hosts().front()});
  if (verdict.failure)
    throw Error(CodeFromName(verdict.failure->code), verdict.failure->message, verdict.failure->hint);
  return reports;
}

}  // namespace hullft::coordinator
