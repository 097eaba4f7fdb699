#include "coordinator/bench/journal_rate.h"

#include "coordinator/bench/measure.h"
#include "coordinator/journal.h"

namespace hullft::coordinator {

Row TypicalRow(int64_t query) {
  Row row;
  row.key = "0123456789abcdef0123456789abcdef";
  row.query = query;
  row.subset = "PythonStdlib";
  row.ok = true;
  row.ids.assign(20, (uint64_t{1} << 40) | 123456);
  row.counts.assign(20, 1);
  row.weights.assign(20, 0.05123456789012345);
  row.objective = 0.15678901234567891;
  row.gap = 1.0123456789e-7;
  row.residual_norm = row.rounded_residual_norm = 0.56123456789012345;
  row.iterations = 250;
  row.stop = "max_iter";
  row.pool = 200;
  row.before = {1.2345678901234567, 1.3456789012345678, -1234.5678901234567, -1200.25};
  row.after = {1.1345678901234567, 1.2456789012345678, -1034.5678901234567, -1000.25};
  row.bytes = 4321;
  row.tokens = 1234;
  row.windows = 2;
  row.window = 1024;
  row.steps = 20;
  row.gradients = 11;
  row.tokens_trained = 9999;
  row.ms = {1.25, 2.5, 3.75, 4.125, 500.5, 6000.25, 500.75};
  row.worker = 3;
  row.host = "node0001";
  return row;
}

double JournalRowsPerSecond(const std::filesystem::path& path, int64_t rows) {
  double seconds = 0;
  {
    Journal journal(path);
    seconds = Seconds([&] {
      for (int64_t query = 0; query < rows; ++query) journal.Append(TypicalRow(query));
      journal.Flush();
    });
  }
  std::filesystem::remove(path);
  return static_cast<double>(rows) / seconds;
}

}  // namespace hullft::coordinator
