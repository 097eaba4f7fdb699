// Rows for the tests of journal and report.
#pragma once

#include <string>

#include "coordinator/row.h"

namespace hullft::coordinator {

inline Row SampleRow(int64_t query, const std::string& subset, double before, double after) {
  Row row;
  row.key = "key" + std::to_string(query);
  row.query = query;
  row.subset = subset;
  row.ok = true;
  row.ids = {7, (uint64_t{3} << 40) | 5};
  row.counts = {19, 1};
  row.weights = {0.1 + 0.2, 1.0 / 3};
  row.objective = 0.15678901234567891;
  row.gap = 1e-17;
  row.residual_norm = 0.56;
  row.rounded_residual_norm = 0.561;
  row.iterations = 250;
  row.stop = "max_iter";
  row.measures = select::Measures{.support = 21,
                                  .distinct = 2,
                                  .largest = 19,
                                  .effective = 1.1,
                                  .redundancy = 0.3,
                                  .rounding_loss = 1e-3,
                                  .rounding_gap = 1e-5};
  row.pool = 200;
  row.global = true;
  row.pool_objective = 0.1 + 0.7;
  row.before = {before, before + 0.01, -1234.5678901234567, -1200.25};
  row.after = {after, after + 0.01, -1034.5678901234567, -1000.25};
  row.bytes = 4321;
  row.tokens = 1234;
  row.windows = 2;
  row.window = 1024;
  row.prefix_token = 1;
  row.steps = 20;
  row.gradients = 11;
  row.tokens_trained = 9999;
  row.adapter = {.kind = "lora", .rank = 4, .alpha = 8, .targets = "q,o"};
  row.ms = {1, 2, 3, 4, 5, 6, 7};
  row.worker = 3;
  row.host = "n\"1";
  row.attempts = 2;
  return row;
}

inline Row FailedRow(int64_t query, const std::string& subset, const std::string& reason) {
  Row row;
  row.key = "key" + std::to_string(query);
  row.query = query;
  row.subset = subset;
  row.reason = reason;
  return row;
}

}  // namespace hullft::coordinator
