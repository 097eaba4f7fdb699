// All tensors of a Hugging Face folder: model.safetensors, or the shards named by model.safetensors.index.json.
// Thread-safe once constructed. No Torch here.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "worker/checkpoint/safetensors.h"

namespace hullft::worker {

class Checkpoint {
 public:
  // Throws kData when the folder holds neither file, when a file is damaged, or when the index and its shards disagree.
  explicit Checkpoint(const std::filesystem::path& folder);

  const std::map<std::string, TensorView>& tensors() const { return tensors_; }
  // model.safetensors or model.safetensors.index.json, for messages.
  const std::string& path() const { return path_; }
  // HashHex over the content of every file read (shards in the order of their names). Reads everything once.
  std::string Digest() const;

 private:
  void ReadIndex(const std::filesystem::path& folder);

  std::string path_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, TensorView> tensors_;
};

}  // namespace hullft::worker
