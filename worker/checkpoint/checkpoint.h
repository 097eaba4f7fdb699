// All tensors of a model: of a Hugging Face folder model.safetensors or the shards named by
// model.safetensors.index.json, or a GGUF file with the names that Hugging Face gives them.
// Thread-safe once constructed. No Torch here.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/gguf/gguf.h"
#include "worker/checkpoint/safetensors.h"

namespace hullft::worker {

class Checkpoint {
 public:
  // Throws kData when the folder holds neither file, when a file is damaged, or when the index and its shards disagree.
  explicit Checkpoint(const std::filesystem::path& model);

  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  // model.safetensors, model.safetensors.index.json or the GGUF file, for messages.
  const std::string& path() const { return path_; }
  // HashHex over the content of every file read (shards in the order of their names). Reads everything once.
  std::string Digest() const;

 private:
  void ReadIndex(const std::filesystem::path& folder);

  std::string path_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::unique_ptr<GgufFile> gguf_;  // or this
  std::map<std::string, TensorView> tensors_;
};

}  // namespace hullft::worker
