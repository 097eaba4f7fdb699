// The keys of a sweep's TOML and their values as texts. Included by the sweep's sources only.
#pragma once

#include <string>
#include <vector>

namespace hullft::coordinator {

struct GridKey {
  std::string name;
  std::vector<std::string> values;  // as on a command line
  bool list = false;
  std::string origin;  // "sweep.toml:3", for messages
};

// In the order of the file; keys that only `sets` name follow. known: every key there is. Throws as ReadSweep does.
std::vector<GridKey> ReadGridFile(const std::string& toml, const std::string& origin,
                                  const std::vector<std::string>& sets, const std::vector<std::string>& known);

// The same keys as a sweep's file.
std::string GridText(const std::vector<GridKey>& keys);

}  // namespace hullft::coordinator
