// The files beside an encoder's weights. The input's parts are modules.json, the pooling's config.json,
// config_sentence_transformers.json and sentence_bert_config.json.
#include "common/stays_inside.h"
#include "tests/fuzz/targets.h"
#include "worker/checkpoint/sentence_settings.h"

namespace hullft::fuzz {

void SentenceSettings(std::string_view input) {
  const char* const names[] = {"modules.json", "1_Pooling/config.json", "config_sentence_transformers.json",
                               "sentence_bert_config.json"};
  std::filesystem::path folder;
  for (size_t i = 0; i < std::size(names); ++i)
    folder = InFile(std::string("encoder/") + names[i], Part(input, i)).parent_path();
  for (const char* prompt : {"", "query"}) {
    Accepted([&] {
      const worker::SentenceSettings settings = worker::ReadSentenceSettings(folder, prompt);
      Require(StaysInside(settings.model.lexically_relative(folder)), "the transformer lies in the encoder's folder");
      Require(settings.max_tokens >= 0, "a length is not negative");
      Require(*worker::PoolingName(settings.pooling) != 0, "a pooling has a name");
    });
  }
}

}  // namespace hullft::fuzz
