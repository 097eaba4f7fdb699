// The flags of every command that selects: one table of names, ranges and texts.
#pragma once

#include <cstdint>
#include <string>

#include "common/options.h"
#include "coordinator/select/select.h"

namespace hullft::coordinator {

struct SelectionFlags {
  std::string method = "hullft";
  std::string fw_variant = "reference";
  std::string rounding = "geometry";
  std::string sift_grouping = "consecutive";
  int64_t seed = 42;
  select::SelectOptions select;  // bound where a flag is a number; the rest is set by FinishSelection

  SelectionFlags() { select.exact_nodes = 100000; }  // some milliseconds at most
  // Binds every field to its flag. The table and this object must live equally long.
  void BindSelection(OptionTable* table);
  // Derives select from the texts. Returns its faults, "" when there is none.
  std::string FinishSelection();
};

}  // namespace hullft::coordinator
