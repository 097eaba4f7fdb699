// hullft index: what looks at a corpus (info, verify, search, export), and the list of its commands.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "common/error.h"
#include "common/json_read.h"
#include "common/options.h"
#include "common/tokenizer/tokenizer.h"
#include "coordinator/commands/commands.h"
#include "coordinator/commands/index_build.h"
#include "coordinator/commands/index_show.h"
#include "coordinator/query_encoder.h"
#include "coordinator/select/pool.h"
#include "coordinator/text_line.h"
#include "index/corpus.h"
#include "index/export.h"
#include "index/repair.h"
#include "index/verify.h"

namespace hullft::coordinator {
namespace {
using nlohmann::ordered_json;

int Info(const Arguments& args) {
  std::string folder;
  bool json = false, digest = false;
  OptionTable table("hullft index info", "Shows what a corpus holds, from its manifest.");
  table.AddPositional("corpus", &folder, "folder of the corpus").Required();
  table.Add("json", &json, "print JSON");
  table.Add("digest", &digest,
            "print only the digest of the content: equal for any number of partitions, ranks or threads");
  table.Example("hullft index info index");
  if (table.Parse(args)) return 0;
  const index::CorpusInfo info = index::ReadCorpusInfo(folder);
  if (digest) {
    std::puts(info.digest.c_str());
  } else if (json) {
    PrintJson(ToJson(info));
  } else {
    PrintInfo(info);
  }
  return 0;
}

int Verify(const Arguments& args) {
  std::string folder;
  int threads = 0;
  bool json = false, quiet = false, repair = false;
  OptionTable table(
      "hullft index verify",
      "Checks every byte of a corpus: checksums of all files, counts, and the store against the vector index.");
  table.AddPositional("corpus", &folder, "folder of the corpus").Required();
  table.Add("repair", &repair,
            "first make again what can be: ids and Flat's vectors from the store, any other index from the vectors, "
            "checksums from what they are of");
  table.Add("threads", &threads, "0: all cores this process may use").Range(0, 4096).NotPartOfResult();
  table.Add("json", &json, "print JSON");
  table.Add("quiet", &quiet, "no progress").NotPartOfResult();
  table.Example("hullft index verify index");
  if (table.Parse(args)) return 0;
  if (repair) {
    for (const std::string& file : index::RepairCorpus(folder, threads)) fmt::print(stderr, "made again: {}\n", file);
  }
  const index::CorpusInfo info = index::VerifyCorpus(folder, threads, quiet);
  if (json) {
    ordered_json value = ToJson(info);
    value["ok"] = true;
    PrintJson(value);
  } else {
    fmt::print("{} is whole: {} sequences in {} partition{}, digest {}\n", folder, info.sequences, info.partitions,
               info.partitions == 1 ? "" : "s", info.digest);
  }
  return 0;
}

struct Neighbour {
  index::SequenceId id;
  double score;
  std::string text, metadata;
};

// The k best of the whole corpus, exactly ordered; a margin makes up for the rounding of the libraries' scores.
std::vector<Neighbour> FindNeighbours(const index::CorpusInfo& info, std::span<const float> query, int k, int effort) {
  constexpr int kMargin = 32;
  std::vector<std::unique_ptr<index::Partition>> parts;
  std::vector<uint64_t> ids;
  std::vector<float> rows;
  for (int p = 0; p < info.partitions; ++p) {
    parts.push_back(index::Partition::Open(info.folder, p));
    const auto hits = parts.back()->Search(query, 1, k + kMargin, {.effort = effort});
    for (const index::Hit& hit : hits[0]) {
      ids.push_back(hit.id.value);
      rows.resize(rows.size() + query.size());
      parts.back()->ReadEmbedding(hit.id, std::span(rows).last(query.size()));
    }
  }
  const select::PoolOrder order = select::RescorePool(ids, rows, query, k);
  std::vector<Neighbour> neighbours;
  for (size_t i = 0; i < order.ids.size(); ++i) {
    const index::SequenceId id{order.ids[i]};
    for (const auto& part : parts) {
      if (!part->Contains(id)) continue;
      neighbours.push_back({id, order.scores[i], part->ReadText(id), part->ReadMetadata(id)});
      break;
    }
  }
  return neighbours;
}

// The Pile's field, or "".
std::string Subset(const std::string& metadata) {
  const auto meta = nlohmann::json::parse(metadata, nullptr, false);
  if (!meta.is_object() || !meta.contains("pile_set_name") || !meta["pile_set_name"].is_string()) return "";
  return meta["pile_set_name"];
}

int Search(const Arguments& args) {
  std::string text, folder, encoder_dir, prompt;
  int k = 5, bytes = 160, effort = 0;
  bool json = false;
  OptionTable table("hullft index search", "Shows the sequences nearest to a text: does the index make sense?");
  table.AddPositional("text", &text, "what to look for").Required();
  table.AddPositional("corpus", &folder, "folder of the corpus").Required();
  table.Add("encoder", &encoder_dir, "folder of the encoder that the corpus was built with").Required();
  table.Add("prompt", &prompt, kQueryPromptHelp);
  table.Add("k", &k, "neighbours to show").Range(1, 1000000);
  table.Add("search-effort", &effort, "nprobe of an IVF, efSearch of HNSW; 0: what the build's measurement chose")
      .Range(0, 1e6);
  table.Add("bytes", &bytes, "of each text to show").Range(1, 1 << 24).NotPartOfResult();
  table.Add("json", &json, "print JSON, with whole texts");
  table.Example("hullft index search \"open a file\" index --encoder ENCODER --k 3");
  if (table.Parse(args)) return 0;
  if (text.empty() || !IsValidUtf8(text))
    throw Error(Code::kUsage, "the text is empty or not valid UTF-8", "quote it for the shell");
  const index::CorpusInfo info = index::ReadCorpusInfo(folder);
  const auto encoder = LoadQueryEncoder(encoder_dir, prompt, info, 0);
  std::vector<float> query(static_cast<size_t>(encoder->dim()));
  const std::string_view texts[] = {text};
  encoder->Embed(texts, query);
  const auto neighbours = FindNeighbours(info, query, k, effort);
  ordered_json list = ordered_json::array();
  for (size_t i = 0; i < neighbours.size(); ++i) {
    const Neighbour& n = neighbours[i];
    if (json) {
      list.push_back({{"id", n.id.value}, {"score", n.score}, {"text", n.text}});
      if (!n.metadata.empty())
        list.back()["meta"] = ParseOrderedJson(n.metadata, fmt::format("{}: meta of id {}", folder, n.id.value));
      continue;
    }
    const std::string subset = Subset(n.metadata);
    fmt::print("{:>3}  score {:.4f}  id {}{}\n     {}\n", i + 1, n.score, n.id.value,
               subset.empty() ? "" : "  " + Beginning(subset, 60), Beginning(n.text, static_cast<size_t>(bytes)));
  }
  if (json) PrintJson(list);
  return 0;
}

int Export(const Arguments& args) {
  index::ExportSettings s;
  std::string corpus, jsonl, npy;
  OptionTable table(
      "hullft index export",
      "Writes a corpus as JSONL of {\"id\", \"text\", \"meta\"} and a .npy of its embeddings, row i that of "
      "line i. hullft index import reads them back to the same content.");
  table.AddPositional("corpus", &corpus, "folder of the corpus").Required();
  table.Add("jsonl", &jsonl, "file of records to make").Required();
  table.Add("npy", &npy, "file of embeddings to make: float32 [sequences][width]").Required();
  table.Add("quiet", &s.quiet, "no progress").NotPartOfResult();
  table.Example("hullft index export index --jsonl corpus.jsonl --npy corpus.npy");
  if (table.Parse(args)) return 0;
  s.corpus = corpus;
  s.jsonl = jsonl;
  s.npy = npy;
  const index::CorpusInfo info = index::ExportCorpus(s);
  const index::EncoderUse& use = info.encoder_use;
  fmt::print(
      "{} sequences in {} and {}\nhullft index import --jsonl {} --npy {} --keep-ids --encoder-digest {}{}{} --model "
      "MODEL --output CORPUS\n",
      info.sequences, jsonl, npy, jsonl, npy, info.encoder_digest,
      use.prompt.empty() ? "" : " --prompt '" + use.prompt + "'",
      use.long_texts == "cut" ? "" : " --long-texts " + use.long_texts);
  return 0;
}

}  // namespace

int IndexCommand(const Arguments& args) {
  using Command = int (*)(const Arguments&);
  static const std::vector<std::pair<std::string, Command>> commands = {
      {"build", IndexBuild}, {"add", IndexAdd},       {"merge", IndexMerge}, {"repartition", IndexRepartition},
      {"export", Export},    {"import", IndexImport}, {"info", Info},        {"verify", Verify},
      {"search", Search}};
  const std::string name = args.empty() ? "" : args[0];
  if (name.empty() || name == "--help" || name == "-h") {
    std::puts(
        "usage: hullft index build | add | merge | repartition | export | import | info | verify | search\n\n"
        "  build        make a corpus from JSONL files or folders of texts\n"
        "  add          more files into a corpus, as another generation\n"
        "  merge        several corpora, or the generations of one, into a new one\n"
        "  repartition  a corpus with another number of partitions\n"
        "  export       a corpus as JSONL and .npy\n"
        "  import       JSONL with vectors (.npy, FAISS) that others have made\n"
        "  info         what a corpus holds\n"
        "  verify       check every byte of a corpus\n"
        "  search       the sequences nearest to a text\n\n"
        "hullft index build --help describes build, and so on.");
    return name.empty() ? 2 : 0;
  }
  std::vector<std::string> names;
  for (const auto& [known, command] : commands) {
    if (name == known) return command(Arguments(args.begin() + 1, args.end()));
    names.push_back(known);
  }
  const std::string nearest = NearestWord(name, names);
  throw Error(Code::kUsage,
              "unknown command 'index " + name + "'" + (nearest.empty() ? "" : "; did you mean '" + nearest + "'?"),
              "hullft index --help lists the commands");
}

}  // namespace hullft::coordinator
