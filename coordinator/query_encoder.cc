#include "coordinator/query_encoder.h"

#include "common/error.h"

namespace hullft::coordinator {

std::unique_ptr<worker::Encoder> LoadQueryEncoder(const std::string& folder, const std::string& prompt,
                                                  const index::CorpusInfo& corpus, int threads) {
  const index::EncoderUse& use = corpus.encoder_use;
  const bool own_prompt = !prompt.empty() && prompt != use.prompt;
  auto encoder = worker::Encoder::Load({.model_dir = folder,
                                        .threads = threads,
                                        .long_texts = worker::LongTextsFromName(use.long_texts),
                                        .prompt = own_prompt ? prompt : use.prompt});
  // Only the prompt may differ. A corpus that does not know its space has that of an encoder without a prompt, or none.
  const std::string& wanted = own_prompt && !use.space.empty() ? use.space : corpus.encoder_digest;
  const std::string& found = own_prompt ? encoder->space() : encoder->digest();
  if (found == wanted) return encoder;
  throw Error(
      Code::kData,
      fmt::format("{} was built with another encoder ({}) than {} ({}{})", corpus.folder.string(), wanted, folder,
                  found, own_prompt ? ", prompt '" + prompt + "'" : ""),
      own_prompt && use.space.empty()
          ? "the corpus does not say how its encoder was used: build or import it again with --encoder"
          : "give the encoder the corpus was built with (hullft index info), or build it again with --encoder " +
                folder);
}

}  // namespace hullft::coordinator
