// GGUF files: the container, the model and the tokenizer that it describes, and the values of its tensors.
#include "common/gguf/gguf_tokenizer.h"
#include "tests/fuzz/targets.h"
#include "worker/checkpoint/gguf_model.h"

namespace hullft::fuzz {

void Gguf(std::string_view input) {
  const auto path = InFile("model.gguf", input);
  Accepted([&] {
    const GgufFile file(path);
    Accepted([&] { worker::GgufConfig(file); });
    Accepted([&] { GgufTokenizer(file); });
    for (const auto& [name, tensor] : worker::GgufTensors(file)) {
      const int64_t count = worker::ElementCount(tensor.shape);
      // Q2_K's 84 bytes for 256 values are the least, so a file bounds what is read out of it.
      Require(count >= 0 && static_cast<uint64_t>(count) <= 4 * tensor.bytes.size(), "every value lies in the file");
      std::vector<float> values(static_cast<size_t>(count));
      worker::CopyAsFloat32(name, tensor, values);
    }
  });
}

}  // namespace hullft::fuzz
