#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/error.h"
#include "common/npy.h"
#include "common/options.h"
#include "common/progress.h"
#include "coordinator/commands/commands.h"
#include "index/jsonl_reader.h"
#include "worker/device.h"
#include "worker/encoder.h"
#include "worker/runtime.h"

namespace hullft::coordinator {
namespace {

// Every record must be good: a row left out would shift all rows after it.
std::vector<std::string> ReadTexts(const std::string& path) {
  index::Rejects rejects({}, index::Rejects::kNoneAllowed);
  index::JsonlReader reader(path, &rejects);
  std::vector<std::string> texts;
  for (index::Record record; reader.Next(&record);) texts.emplace_back(record.text);
  if (texts.empty()) throw DataError("{} holds no records", path);
  return texts;
}

}  // namespace

int EmbedCommand(const Arguments& args) {
  worker::EncoderOptions options;
  std::string input, output, long_texts = "cut", device = "auto";
  bool json = false, quiet = false;
  OptionTable table("hullft embed",
                    "Embeds every text of a JSONL file: one float32 row of length 1 a text, in order, as a .npy file.");
  table.Add("encoder", &options.model_dir, "Hugging Face or sentence-transformers folder of an encoder (hullft models)")
      .Required();
  table.Add("input", &input, "JSONL file (plain, .gz or .zst), one {\"text\": \"...\"} a line").Required();
  table.Add("output", &output, "the .npy file to write; appears only when it is whole").Required();
  table.Add("max-length", &options.max_length, "texts are cut to this many tokens; 0: the encoder's own limit")
      .Range(0, 1 << 20)
      .Unit("tokens");
  table.Add("long-texts", &long_texts, "longer ones: their end is cut off, or their parts' vectors are averaged")
      .OneOf({"cut", "average"});
  table.Add("prompt", &options.prompt,
            "put before every text: a name in the folder's config_sentence_transformers.json; empty: its default");
  table.Add("device", &device, "auto (the first GPU, else the CPU), cpu, cuda or cuda:N");
  table.Add("threads", &options.threads, "texts embedded at once on the CPU; 0: all usable cores")
      .Range(0, 4096)
      .NotPartOfResult();
  table.Add("json", &json, "print a summary as JSON on standard output");
  table.Add("quiet", &quiet, "no progress").NotPartOfResult();
  table.Example("hullft embed --encoder ENCODER --input queries.jsonl --output queries.npy");
  if (table.Parse(args)) return 0;
  options.long_texts = worker::LongTextsFromName(long_texts);

  const std::vector<std::string> texts = ReadTexts(input);
  worker::InitTorchRuntime(1);
  const auto encoder = worker::Encoder::Load(options);
  encoder->MoveTo(worker::ChooseDevice(device, 0));
  const size_t width = static_cast<size_t>(encoder->dim());
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  std::vector<float> vectors(texts.size() * width);
  {
    Progress progress("embedding", "texts", static_cast<int64_t>(texts.size()), 0, !quiet);
    constexpr size_t kBatch = 256;  // large enough to keep threads busy, small enough for the progress display
    for (size_t begin = 0; begin < views.size(); begin += kBatch) {
      const size_t count = std::min(kBatch, views.size() - begin);
      encoder->Embed(std::span(views).subspan(begin, count), std::span(vectors).subspan(begin * width, count * width));
      progress.Add(static_cast<int64_t>(count));
    }
  }
  const std::vector<int64_t> shape = {static_cast<int64_t>(texts.size()), encoder->dim()};
  WriteNpy(output, shape, vectors);
  if (json) {
    const nlohmann::ordered_json summary = {{"rows", shape[0]},
                                            {"dim", shape[1]},
                                            {"max_length", encoder->max_length()},
                                            {"encoder_digest", encoder->digest()},
                                            {"output", output}};
    fmt::print("{}\n", summary.dump());
  }
  return 0;
}

}  // namespace hullft::coordinator
