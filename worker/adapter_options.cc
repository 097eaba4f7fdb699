#include "worker/adapter_options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "common/error.h"

namespace hullft::worker {

std::vector<std::string> AdapterOptions::TargetList() const {
  std::vector<std::string> names;
  std::istringstream words(targets);
  for (std::string word; std::getline(words, word, ',');) {
    if (std::ranges::find(names, word) == names.end()) names.push_back(word);
  }
  return names;
}

std::string AdapterOptions::Validate() const {
  std::string faults;
  const auto need = [&](bool fine, std::string_view text) {
    if (!fine) faults += (faults.empty() ? "" : "; ") + std::string(text);
  };
  need(kind == "none" || kind == "lora", fmt::format("the adapter '{}' is neither none nor lora", kind));
  need(rank >= 1, "the adapter's rank must be at least 1");
  need(std::isfinite(alpha) && alpha > 0, "the adapter's alpha must be a number above 0");
  need(!TargetList().empty(), "the adapter needs a target, e.g. q,v");
  return faults;
}

std::vector<AdapterPlace> ChoosePlaces(const AdapterOptions& options, const std::vector<AdapterPlace>& places) {
  if (const std::string faults = options.Validate(); !faults.empty()) throw UsageError("{}", faults);
  const std::vector<std::string> wanted = options.TargetList();
  std::vector<std::string> there, unknown;
  for (const AdapterPlace& place : places) {
    if (std::ranges::find(there, place.target) == there.end()) there.push_back(place.target);
  }
  for (const std::string& name : wanted) {
    if (std::ranges::find(there, name) == there.end()) unknown.push_back("'" + name + "'");
  }
  if (!unknown.empty()) {
    throw Error(Code::kUsage,
                fmt::format("adapters: the model has no target {}; it has {}", fmt::join(unknown, ", "),
                            fmt::join(there, ", ")),
                fmt::format("--target {}", fmt::join(there, ",")));
  }
  std::vector<AdapterPlace> chosen;
  for (const AdapterPlace& place : places) {
    if (std::ranges::find(wanted, place.target) == wanted.end()) continue;
    if (options.rank > std::min(place.inputs, place.outputs)) {
      throw UsageError("adapters: rank {} is more than target {} of {} inputs and {} outputs can have", options.rank,
                       place.target, place.inputs, place.outputs);
    }
    chosen.push_back(place);
  }
  return chosen;
}

}  // namespace hullft::worker
