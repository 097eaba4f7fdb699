// A report's numbers as TensorBoard event files: a folder a series, N as the step. Thread safety: free functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/study/figures.h"

namespace hullft::study {

struct ScalarEvent {
  std::string tag;
  int64_t step = 0;
  double value = 0;  // kept as float32
};

// The bytes of an event file: TFRecords of tensorflow.Event messages, the first of which names the format. wall_time:
// Unix time in s, of all events.
std::string EventFile(const std::vector<ScalarEvent>& events, double wall_time);

// CRC-32C (Castagnoli; RFC 3720, appendix B.4), which a TFRecord carries masked.
uint32_t Crc32c(std::string_view bytes);

// Writes FOLDER/SERIES/events.out.tfevents.SECONDS.hullft: per subset percent, BPB after, and runtime at every N of the
// series. Throws kIo.
void WriteEventFiles(const std::filesystem::path& folder, const Study& study, const Figures& figures, double wall_time);

}  // namespace hullft::study
