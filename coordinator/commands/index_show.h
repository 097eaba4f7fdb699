// How a corpus is shown: as text, and as JSON.
#pragma once

#include <nlohmann/json.hpp>

#include "index/corpus.h"

namespace hullft::coordinator {

void PrintJson(const nlohmann::ordered_json& value);
nlohmann::ordered_json ToJson(const index::CorpusInfo& info);
void PrintInfo(const index::CorpusInfo& info);

}  // namespace hullft::coordinator
