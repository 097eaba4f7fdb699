// libFuzzer's entry: one program for each target, which CMake names in HULLFT_FUZZ_TARGET.
#include <cstddef>
#include <cstdint>

#include "tests/fuzz/targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  hullft::fuzz::HULLFT_FUZZ_TARGET({reinterpret_cast<const char*>(data), size});
  return 0;
}
