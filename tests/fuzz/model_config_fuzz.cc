// config.json of a model, asked for a field of each kind.
#include "tests/fuzz/targets.h"
#include "worker/models/config.h"

namespace hullft::fuzz {

void ModelConfig(std::string_view input) {
  const auto file = InFile("config.json", input);
  Accepted([&] {
    worker::ConfigReader config(file);
    Accepted([&] { Require(config.Size("hidden_size", 64) >= 1, "a size is at least 1"); });
    Accepted([&] { config.Number("rms_norm_eps"); });
    Accepted([&] { config.Flag("tie_word_embeddings", true); });
    Accepted([&] { config.Text("hidden_act", "silu"); });
    Accepted([&] { Require(config.TokenId("bos_token_id") >= -1, "a token id is -1 or more"); });
    Accepted([&] {
      worker::ConfigReader rope = config.Object("rope_scaling");
      rope.Number("factor");
      rope.RejectUnknown({});
    });
    config.RejectUnknown({"vocab_size"});
  });
}

}  // namespace hullft::fuzz
