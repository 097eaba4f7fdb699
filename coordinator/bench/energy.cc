#include "coordinator/bench/energy.h"

#include <fstream>
#include <regex>
#include <system_error>

namespace hullft::coordinator {
namespace {
namespace fs = std::filesystem;

std::optional<double> ReadNumber(const fs::path& file) {
  std::ifstream stream(file);
  double value = 0;
  if (!(stream >> value)) return std::nullopt;
  return value;
}

}  // namespace

EnergyMeter::EnergyMeter(const fs::path& root) {
  static const std::regex package("intel-rapl:[0-9]+");  // intel-rapl:0:1 is a part of intel-rapl:0; AMD has it too
  std::error_code error;  // ignored: a folder that cannot be listed shows no package, and why_not() says so
  for (const auto& entry : fs::directory_iterator(root, error)) {
    if (!std::regex_match(entry.path().filename().string(), package)) continue;
    const fs::path file = entry.path() / "energy_uj";
    const auto start = ReadNumber(file);
    const auto range = ReadNumber(entry.path() / "max_energy_range_uj");
    if (start && range) {
      packages_.push_back({file, *start, *range});
    } else {
      why_not_ = file.string() + " cannot be read: only root may, on most systems";
    }
  }
  if (packages_.empty() && why_not_.empty())
    why_not_ = root.string() + " shows no RAPL package, as in most virtual machines";
  if (!why_not_.empty()) packages_.clear();
}

std::optional<double> EnergyMeter::Joules() const {
  if (packages_.empty()) return std::nullopt;
  double sum = 0;
  for (const Package& package : packages_) {
    const auto now = ReadNumber(package.file);
    if (!now) return std::nullopt;
    sum += *now - package.start + (*now < package.start ? package.range : 0);
  }
  return sum / 1e6;
}

}  // namespace hullft::coordinator
