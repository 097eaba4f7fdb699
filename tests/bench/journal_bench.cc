// How many rows a second the journal makes durable. Motive: the coordinator of a large cluster must take 2,000 rows/s
// (docs/formats/journal.md, group commit). "one by one" waits for the disk after each row, as a journal without group
// commit would. Run it on the file system that will hold the run folders: journal_bench, in a folder there.
#include <benchmark/benchmark.h>

#include <filesystem>

#include "coordinator/journal.h"
#include "tests/coordinator/sample_rows.h"

namespace hullft::coordinator {
namespace {

Row TypicalRow(int64_t query) {
  Row row = SampleRow(query, "PythonStdlib", 2, 1);
  row.ids.assign(20, (uint64_t{1} << 40) | 123456);
  row.counts.assign(20, 1);
  row.weights.assign(20, 0.05123456789012345);
  return row;
}

void BM_Journal(benchmark::State& state) {
  const std::filesystem::path path = "journal_bench.jsonl";
  std::filesystem::remove(path);
  {
    Journal journal(path);
    int64_t query = 0;
    for (auto unused : state) {
      for (int64_t i = 0; i < 1000; ++i) {
        journal.Append(TypicalRow(query++));
        if (state.range(0) != 0) journal.Flush();
      }
      journal.Flush();
    }
    state.SetItemsProcessed(query);
    state.SetBytesProcessed(static_cast<int64_t>(std::filesystem::file_size(path)));
  }
  std::filesystem::remove(path);
}
BENCHMARK(BM_Journal)->ArgName("one_by_one")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond)->UseRealTime();

}  // namespace
}  // namespace hullft::coordinator
