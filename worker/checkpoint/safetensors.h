// One .safetensors file, memory-mapped: 8 bytes of header length (little endian), a JSON header, then raw tensor data.
//
// The header is checked whole before any tensor is handed out: length, JSON, duplicate names, dtype, shape, offsets
// inside the file, dtype x shape = bytes, and that the tensors cover the data exactly, without holes or overlaps.
// Anything else is a kData error that names file, tensor and field. No Torch here. Thread-safe once constructed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/files.h"

namespace hullft::worker {

// A tensor inside a mapped file; row-major, little endian. bytes is valid while the file object lives.
struct TensorView {
  std::string file;   // the file that holds it, for messages
  std::string dtype;  // as written: "F32", "F16", "BF16", "I64", ...
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
};

class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  const std::string& path() const { return path_; }

 private:
  void ParseHeader();

  std::string path_;
  MappedFile file_;
  std::map<std::string, TensorView> tensors_;
};

// "[2, 3]".
std::string ShapeText(std::span<const int64_t> shape);
// Product of the dimensions, 1 for a scalar.
int64_t ElementCount(std::span<const int64_t> shape);

// Writes the tensor's values as float32 to out (ElementCount of them). F32, F16 and BF16; another dtype is a kData
// error that names `name` and the file.
void CopyAsFloat32(const std::string& name, const TensorView& tensor, std::span<float> out);

}  // namespace hullft::worker
