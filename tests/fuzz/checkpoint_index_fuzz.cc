// The index of weights in several files. Its first part is model.safetensors.index.json, the second one shard.
#include <cstring>

#include "tests/fuzz/targets.h"
#include "worker/checkpoint/checkpoint.h"

namespace hullft::fuzz {

void CheckpointIndex(std::string_view input) {
  const std::string_view header = Part(input, 1);
  const uint64_t length = header.size();
  std::string shard(reinterpret_cast<const char*>(&length), sizeof length);
  shard.append(header).append(16, '\0');
  InFile("weights/shard-1.safetensors", shard);
  const auto folder = InFile("weights/model.safetensors.index.json", Part(input, 0)).parent_path();
  Accepted([&] {
    const worker::Checkpoint checkpoint(folder);
    for (const auto& [name, tensor] : checkpoint.tensors())
      Require(tensor.bytes.size() <= shard.size(), "a tensor lies in its file");
    checkpoint.Digest();
  });
}

}  // namespace hullft::fuzz
