// The numbers of select/measures.h as they stand in rows, in `hullft select`'s lines and in explanations
// (docs/formats/journal.md).
#pragma once

#include <nlohmann/json.hpp>

#include "coordinator/select/measures.h"

namespace hullft::coordinator {

inline nlohmann::ordered_json MeasuresJson(const select::Measures& measures) {
  nlohmann::ordered_json json = {{"support_size", measures.support},
                                 {"distinct", measures.distinct},
                                 {"effective_sequences", measures.effective},
                                 {"largest_multiplicity", measures.largest},
                                 {"redundancy", measures.redundancy},
                                 {"rounding_loss", measures.rounding_loss},
                                 {"rounding_gap", nullptr}};
  if (measures.rounding_gap) json["rounding_gap"] = *measures.rounding_gap;
  return json;
}

}  // namespace hullft::coordinator
