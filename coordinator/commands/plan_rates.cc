#include "coordinator/commands/plan_rates.h"

#include <cinttypes>
#include <cstdio>
#include <map>

#include "common/error.h"
#include "common/files.h"

namespace hullft::coordinator {
namespace {

std::function<std::optional<double>(const Figures&)> Named(const std::string& name) {
  return [name](const Figures& figures) { return figures.Value(name); };
}

// Of the longest sequences measured: the rate grows with them.
std::optional<double> MeasuredGradientGflops(const Figures& figures) {
  std::optional<double> gflops;
  int64_t longest = 0;
  for (const Figure& figure : figures.all()) {
    int64_t tokens = 0;
    char end = 0;  // what must not follow the name
    if (std::sscanf(figure.name.c_str(), "finetune.T%" SCNd64 ".gflops%c", &tokens, &end) != 1 || tokens < longest)
      continue;
    if (!figure.name.ends_with(".gflops")) continue;
    longest = tokens;
    gflops = figure.value;
  }
  return gflops;
}

}  // namespace

PlanRates::PlanRates(OptionTable* table, PlanSettings* s) {
  table->Group("Rates (given here, or else measured, or else docs/performance.md's)");
  table->Add(
      "rates", &files_,
      "figures that hullft bench machine, finetune, cluster or index wrote with --output, measured with the threads of "
      "one worker or shard; may be repeated");
  rates_ = {
      {&table->Add("worker-gflops", &s->worker_gflops, "float32 GFLOP/s that one worker reaches in finetuning")
            .Range(1e-3, 1e9),
       &s->worker_gflops, MeasuredGradientGflops},
      {&table->Add("worker-memory-gbs", &s->worker_memory_gbs, "memory bandwidth of one worker, GB/s").Range(1e-3, 1e6),
       &s->worker_memory_gbs, Named("machine.triad_gbs")},
      {&table->Add("shard-gflops", &s->shard_gflops, "float32 GFLOP/s of a shard's matrix products").Range(1e-3, 1e9),
       &s->shard_gflops, Named("machine.sgemm_gflops")},
      {&table->Add("shard-memory-gbs", &s->shard_memory_gbs, "memory bandwidth of a shard, GB/s").Range(1e-3, 1e6),
       &s->shard_memory_gbs, Named("machine.triad_gbs")},
      {&table->Add("coordinator-us", &s->coordinator_us, "CPU time of the coordinator a query")
            .Range(1e-3, 1e9)
            .Unit("us"),
       &s->coordinator_us, Named("coordinator.cpu_us_per_task")},
      {&table
            ->Add("ingest-core-mbs", &s->ingest_core_mbs,
                  "MB of text that a core reads, tokenizes and writes in a second")
            .Range(1e-6, 1e6),
       &s->ingest_core_mbs, Named("ingest.cpu_mbs")},
      {&table->Add("embed-core-texts", &s->embed_core_texts, "texts that a core embeds in a second").Range(1e-6, 1e9),
       &s->embed_core_texts, Named("embed.texts_per_cpu_second")},
      {&table->Add("text-ratio", &s->text_ratio, "bytes on disk of a byte of text").Range(1e-3, 2), &s->text_ratio,
       Named("disk.text_ratio")},
      {&table->Add("token-bytes", &s->token_bytes, "bytes on disk of a token").Range(1e-3, 8), &s->token_bytes,
       Named("disk.token_bytes")},
      {&table->Add("probed-share", &s->probed_share, "of its rows that an IVF reads for a query").Range(0, 1),
       &s->probed_share, Named("index.share")},
      {&table->Add("disk-gbs", &s->disk_gbs, "reading from a node's disk, GB/s").Range(1e-6, 1e6), &s->disk_gbs,
       Named("disk.read_gbs")},
      {&table->Add("journal-rows", &s->journal_rows, "durable rows a second").Range(1e-3, 1e9), &s->journal_rows,
       Named("journal.rows_per_second")}};
}

std::vector<std::string> PlanRates::TakeMeasured() const {
  std::map<std::string, std::string> lines;  // by option
  for (const std::string& file : files_) {
    const Figures figures = Figures::Parse(ReadFileOrStream(file), file);
    bool any = false;
    for (const Rate& rate : rates_) {
      const std::optional<double> value = rate.measured(figures);
      if (!value) continue;
      any = true;
      if (rate.option->was_set()) continue;
      *rate.value = *value;
      lines[rate.option->name()] = fmt::format("--{} {:.4g}, from {}", rate.option->name(), *value, file);
    }
    if (!any) {
      throw Error(Code::kData,
                  fmt::format("{}: figures of '{}' have no rate that a plan uses", file, figures.subject()),
                  "give files of hullft bench machine, finetune, cluster or index");
    }
  }
  std::vector<std::string> result;
  for (auto& [option, line] : lines) result.push_back(std::move(line));
  return result;
}

}  // namespace hullft::coordinator
