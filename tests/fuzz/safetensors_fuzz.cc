// Weights in .safetensors files: as they are, and as a header (up to the first line feed) with the length that fits it.
#include <cstring>

#include "tests/fuzz/targets.h"
#include "worker/checkpoint/safetensors.h"

namespace hullft::fuzz {
namespace {

void Read(std::string_view bytes) {
  const auto path = InFile("model.safetensors", bytes);
  Accepted([&] {
    const worker::SafetensorsFile file(path);
    for (const auto& [name, tensor] : file.tensors()) {
      for (const int64_t size : tensor.shape) Require(size >= 0, "a dimension is at least 0");
      const int64_t count = worker::ElementCount(tensor.shape);
      Require(count >= 0 && static_cast<uint64_t>(count) <= tensor.bytes.size(), "every value lies in the file");
      std::vector<float> values(static_cast<size_t>(count));
      Accepted([&] { worker::CopyAsFloat32(name, tensor, values); });
    }
  });
}

}  // namespace

void Safetensors(std::string_view input) {
  Read(input);
  const uint64_t length = std::min(input.find('\n'), input.size());
  std::string framed(8, '\0');
  std::memcpy(framed.data(), &length, 8);
  framed.append(input.substr(0, length));
  if (length < input.size()) framed.append(input.substr(length + 1));
  Read(framed);
}

}  // namespace hullft::fuzz
