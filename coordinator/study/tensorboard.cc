#include "coordinator/study/tensorboard.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>

#include "common/files.h"

namespace hullft::study {
namespace {
static_assert(std::endian::native == std::endian::little);  // both formats are little-endian

template <class T>
std::string Bytes(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

// Protocol Buffers' wire format: a key is field number * 8 + wire type (0 varint, 1 64 bits, 2 length and bytes,
// 5 32 bits). Field numbers are those of tensorflow/core/util/event.proto and framework/summary.proto.
std::string Varint(uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  return out + static_cast<char>(value);
}
std::string Key(uint64_t field, uint64_t type) {
  return Varint(field * 8 + type);
}
std::string Delimited(uint64_t field, const std::string& bytes) {
  return Key(field, 2) + Varint(bytes.size()) + bytes;
}

std::string WallTime(double seconds) {
  return Key(1, 1) + Bytes(seconds);
}

std::string EventOf(const ScalarEvent& scalar, double wall_time) {
  const std::string value = Delimited(1, scalar.tag) + Key(2, 5) + Bytes(static_cast<float>(scalar.value));
  return WallTime(wall_time) + Key(2, 0) + Varint(static_cast<uint64_t>(scalar.step)) +
         Delimited(5, Delimited(1, value));
}

// Length, its checksum, the bytes, theirs. The rotation and the constant are the format's.
std::string Record(const std::string& bytes) {
  const auto masked = [](std::string_view of) { return std::rotr(Crc32c(of), 15) + 0xa282ead8U; };
  const std::string length = Bytes(static_cast<uint64_t>(bytes.size()));
  return length + Bytes(masked(length)) + bytes + Bytes(masked(bytes));
}

// A folder's name: letters, digits and a few signs.
std::string FolderName(const std::string& series) {
  std::string name;
  for (const char c : series) {
    const bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-' || c == '.';
    if (plain || (!name.empty() && name.back() != '_')) name += plain ? c : '_';
  }
  return name.empty() || name.front() == '.' ? "_" + name : name;
}

}  // namespace

uint32_t Crc32c(std::string_view bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> values{};
    for (uint32_t i = 0; i < 256; ++i) {
      values[i] = i;
      for (int bit = 0; bit < 8; ++bit) values[i] = values[i] >> 1 ^ (values[i] & 1 ? 0x82f63b78U : 0);
    }
    return values;
  }();
  uint32_t crc = ~0U;
  for (const char c : bytes) crc = crc >> 8 ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xff];
  return ~crc;
}

std::string EventFile(const std::vector<ScalarEvent>& events, double wall_time) {
  std::string file = Record(WallTime(wall_time) + Delimited(3, "brain.Event:2"));
  for (const ScalarEvent& event : events) file += Record(EventOf(event, wall_time));
  return file;
}

void WriteEventFiles(const std::filesystem::path& folder, const Study& study, const Figures& figures,
                     double wall_time) {
  std::map<std::string, int> taken;
  for (size_t s = 0; s < study.series.size(); ++s) {
    std::vector<ScalarEvent> events;
    for (const SubsetFigures& subset : figures.subsets) {
      for (const CellFigure& figure : subset.cells) {
        const Cell& cell = study.cells[figure.cell];
        if (cell.series != s) continue;
        events.push_back({"percent_of_untuned/" + subset.subset, cell.n, figure.percent});
        events.push_back({"bpb_after/" + subset.subset, cell.n, figure.after});
        events.push_back({"runtime_ms/" + subset.subset, cell.n, figure.runtime_ms});
      }
    }
    std::string name = FolderName(study.series[s]);
    if (const int before = taken[name]++; before > 0) name += fmt::format("_{}", before + 1);
    MakeFolders(folder / name);
    WriteFileAtomic(folder / name / fmt::format("events.out.tfevents.{:.0f}.hullft", std::floor(wall_time)),
                    EventFile(events, wall_time));
  }
}

}  // namespace hullft::study
