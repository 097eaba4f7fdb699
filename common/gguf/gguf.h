// One GGUF file (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md), versions 2 and 3, memory-mapped: metadata
// and where its tensors lie. What the numbers of a tensor mean is worker/checkpoint/ggml_types.h.
//
// Everything is checked before any of it is handed out: magic, version, lengths and counts against the file's size,
// types, names given twice, UTF-8, offsets. Anything else is a kData error that names the file and what is wrong.
// Thread-safe once constructed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "common/files.h"

namespace hullft {

struct GgufTensor {
  uint32_t type = 0;           // ggml's number
  std::vector<int64_t> shape;  // row-major: the file's dimensions, last first
  uint64_t offset = 0;         // into data()
};

class GgufFile {
 public:
  explicit GgufFile(const std::filesystem::path& path);

  const std::string& path() const { return path_; }
  // Numbers, strings, booleans and lists of these, by key.
  const std::map<std::string, nlohmann::json>& metadata() const { return metadata_; }
  // The value of a key; null when it is not there.
  const nlohmann::json& Get(const std::string& key) const;
  const std::map<std::string, GgufTensor>& tensors() const { return tensors_; }
  // What lies behind the header, to the end of the file.
  std::span<const std::byte> data() const { return data_; }

 private:
  std::string path_;
  MappedFile file_;
  std::map<std::string, nlohmann::json> metadata_;
  std::map<std::string, GgufTensor> tensors_;
  std::span<const std::byte> data_;
};

// Whether a model is given as a GGUF file: by the name's ending.
inline bool IsGguf(const std::filesystem::path& model) {
  return model.extension() == ".gguf";
}

}  // namespace hullft
