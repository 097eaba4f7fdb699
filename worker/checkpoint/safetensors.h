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

// How the values of a matrix lie in the file.
enum class TensorLayout {
  kPlain,        // as its shape says
  kTransposed,   // the file has [columns, rows]
  kInterleaved,  // of each of `heads` parts of the rows, the first half's rows alternate with the second half's
  kByPart,       // queries, keys, values of all `heads`; the shape has the three of one head, then of the next
};

// A tensor inside a mapped file; row-major, little endian. bytes is valid while the file object lives.
struct TensorView {
  std::string file;   // the file that holds it, for messages
  std::string dtype;  // as written: "F32", "F16", "BF16", "I64", ...; of a GGUF file as ggml_types.h has them
  std::vector<int64_t> shape;
  std::span<const std::byte> bytes;
  TensorLayout layout = TensorLayout::kPlain;
  int64_t heads = 1;
  float shift = 0;  // added to every value that is read
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

// The value of an IEEE binary16 number; exact, also where the processor has no instruction for it.
float FromHalf(uint16_t half);

// Writes the tensor's values as float32 to out (ElementCount of them), in the order of its shape. F32, F16, BF16 and
// the types of ggml_types.h; another dtype is a kData error that names `name` and the file.
void CopyAsFloat32(const std::string& name, const TensorView& tensor, std::span<float> out);

}  // namespace hullft::worker
