// Embeddings in .npy files: as they are, and as a header (up to the first line feed) with the length that fits it.
#include "common/npy.h"
#include "tests/fuzz/targets.h"

namespace hullft::fuzz {
namespace {

void Read(std::string_view bytes) {
  const auto path = InFile("x.npy", bytes);
  Accepted([&] {
    const NpyFile file(path);
    size_t count = 1;
    for (const int64_t n : file.shape()) count *= static_cast<size_t>(n);
    Require(count == file.values().size(), "as many values as the shape says");
    volatile float last = 0;
    for (const float value : file.values()) last = value;
    (void)last;
  });
}

}  // namespace

void Npy(std::string_view input) {
  Read(input);
  const size_t length = std::min(input.find('\n'), input.size() - 1) + 1;
  if (input.empty() || length > 0xffff) return;
  std::string framed("\x93NUMPY\x01\x00", 8);
  framed += {static_cast<char>(length & 0xff), static_cast<char>(length >> 8)};
  Read(framed.append(input));
}

}  // namespace hullft::fuzz
