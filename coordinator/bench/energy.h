// Energy that the CPU packages of this host have used, by Linux's powercap interface to RAPL (Documentation/power/
// powercap in the kernel's sources). Many virtual machines have none, and many systems let only root read it.
// Thread safety: one thread per object.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace hullft::coordinator {

class EnergyMeter {
 public:
  // Starts to count. root: where the kernel shows it.
  explicit EnergyMeter(const std::filesystem::path& root = "/sys/class/powercap");
  // Joules of all packages since the start; nothing when they cannot be read. A counter that began anew is reckoned
  // with, once.
  std::optional<double> Joules() const;
  const std::string& why_not() const { return why_not_; }

 private:
  struct Package {
    std::filesystem::path file;
    double start = 0, range = 0;  // microjoules; range: after which the counter begins anew
  };
  std::vector<Package> packages_;
  std::string why_not_;
};

}  // namespace hullft::coordinator
