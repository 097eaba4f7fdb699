#include "worker/checkpoint/checkpoint.h"

#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <set>

#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/json_read.h"
#include "common/stays_inside.h"
#include "worker/checkpoint/gguf_model.h"

namespace hullft::worker {
namespace {

using nlohmann::json;

// The index's weight_map: tensor -> file name within the folder.
std::map<std::string, std::string> ReadWeightMap(const std::string& path) {
  const json index = ParseJson(ReadFile(path), path);
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    throw DataError("{}: field weight_map is missing or not an object", path);
  }
  std::map<std::string, std::string> map;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string()) throw DataError("{}: field weight_map.{} is not a string", path, tensor);
    const std::string name = file.get<std::string>();
    if (name.empty() || name.find('/') != std::string::npos || name.starts_with('.')) {
      throw DataError("{}: field weight_map.{}: '{}' is not the name of a file in this folder", path, tensor, name);
    }
    map.emplace(tensor, name);
  }
  return map;
}

// PyTorch's own files are pickles, programs that must be run to be read.
void RejectOtherFormats(const std::filesystem::path& folder) {
  for (const char* name : {"pytorch_model.bin", "pytorch_model.bin.index.json"}) {
    if (!Exists(folder / name)) continue;
    throw Error(Code::kData,
                fmt::format("{}: the weights are {}; hullft reads model.safetensors only", folder.string(), name),
                fmt::format("convert them: python3 -c \"import transformers as t; "
                            "t.AutoModelForCausalLM.from_pretrained('{0}').save_pretrained('{0}')\" "
                            "(an encoder: AutoModel)",
                            folder.string()));
  }
}

}  // namespace

Checkpoint::Checkpoint(const std::filesystem::path& folder) {
  if (IsGguf(folder)) {
    path_ = folder.string();
    gguf_ = std::make_unique<GgufFile>(folder);
    tensors_ = GgufTensors(*gguf_);
    return;
  }
  const std::filesystem::path single = folder / "model.safetensors", index = folder / "model.safetensors.index.json";
  if (Exists(single)) {
    path_ = single.string();
    files_.push_back(std::make_unique<SafetensorsFile>(single));
    tensors_ = files_.back()->tensors();
  } else if (Exists(index)) {
    path_ = index.string();
    ReadIndex(folder);
  } else {
    RejectOtherFormats(folder);
    throw Error(Code::kData,
                fmt::format("{}: neither model.safetensors nor model.safetensors.index.json is there", folder.string()),
                "point the option at a Hugging Face folder; weights in other formats must be converted to safetensors");
  }
}

void Checkpoint::ReadIndex(const std::filesystem::path& folder) {
  const std::map<std::string, std::string> map = ReadWeightMap(path_);
  std::set<std::string> names;
  for (const auto& [tensor, file] : map) names.insert(file);
  std::vector<std::string> faults;
  for (const std::string& name : names) {
    if (!Exists(folder / name)) {
      throw Error(Code::kData, fmt::format("{}: its shard {} is missing", path_, name), "fetch the model again");
    }
    if (!StaysInsideModel(folder, name)) {
      throw Error(Code::kData, fmt::format("{}: its shard {} is a link that leads out of this folder", path_, name),
                  "put the file itself there, or point the option at the folder that holds it");
    }
    files_.push_back(std::make_unique<SafetensorsFile>(folder / name));
    for (const auto& [tensor, view] : files_.back()->tensors()) {
      const auto entry = map.find(tensor);
      if (entry == map.end() || entry->second != name) {
        faults.push_back(fmt::format("{} is in {} but not so in weight_map", tensor, name));
      } else {
        tensors_.emplace(tensor, view);
      }
    }
  }
  for (const auto& [tensor, file] : map) {
    if (!tensors_.contains(tensor)) faults.push_back(fmt::format("{} is not in {}", tensor, file));
  }
  if (!faults.empty()) throw DataError("{}: the index and its shards disagree: {}", path_, fmt::join(faults, "; "));
}

std::string Checkpoint::Digest() const {
  Hasher hasher;
  if (gguf_) hasher.Update(HashFileHex(gguf_->path()));
  for (const auto& file : files_) hasher.Update(HashFileHex(file->path()));
  return hasher.Hex();
}

}  // namespace hullft::worker
