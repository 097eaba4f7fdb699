// A sweep's file: keys that are accepted are printed so that they read back as the same.
#include "coordinator/sweep/grid_file.h"
#include "tests/fuzz/targets.h"

namespace hullft::fuzz {
namespace {

std::vector<coordinator::GridKey> Read(std::string_view text) {
  std::vector<coordinator::GridKey> keys;
  Accepted([&] {
    keys = coordinator::ReadGridFile(std::string(text), "sweep.toml", {},
                                     {"output", "launcher", "n", "method", "lr", "refresh", "allow-partial"});
  });
  return keys;
}

}  // namespace

void Sweep(std::string_view input) {
  const auto keys = Read(input);
  if (keys.empty()) return;
  const auto again = Read(coordinator::GridText(keys));
  Require(again.size() == keys.size(), "every printed key reads back");
  for (size_t k = 0; k < keys.size(); ++k) {
    Require(!keys[k].values.empty(), "a key has a value");
    Require(again[k].name == keys[k].name && again[k].values == keys[k].values && again[k].list == keys[k].list,
            "a printed key reads back");
  }
}

}  // namespace hullft::fuzz
