// Finds a model's row in a table of families.
#pragma once

#include <fmt/ranges.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "worker/models/config.h"

namespace hullft::worker {

// The row of the configuration's model_type. Throws kData that names the known ones when there is none. kind: what they
// are, e.g. "encoders".
template <typename Row>
const Row& RowOfType(std::span<const Row> rows, ConfigReader& config, std::string_view kind) {
  const std::string type = config.Text("model_type");
  std::vector<std::string_view> known;
  for (const Row& row : rows) {
    if (row.model_type == type) return row;
    known.push_back(row.model_type);
  }
  throw config.Unsupported("model_type", fmt::format("of {} {} are implemented", kind, fmt::join(known, ", ")));
}

}  // namespace hullft::worker
