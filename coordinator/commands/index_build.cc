#include "coordinator/commands/index_build.h"

#include "common/error.h"
#include "common/options.h"
#include "coordinator/commands/build_job.h"
#include "coordinator/commands/index_show.h"

namespace hullft::coordinator {
namespace {

constexpr const char* kGoesOn =
    " Interrupted, it goes on when the same command is run again. Under mpirun or srun all ranks do it together, in a "
    "folder that they share, with the same outcome for any number of ranks.";

// What the options of all these commands fill.
struct BuildOptions {
  index::BuildSettings settings;
  BuildModels models;
  std::string embedding_type = "f32", memory_budget = "0";
};

void AddReading(OptionTable* table, BuildOptions* o) {
  index::BuildSettings& s = o->settings;
  table->Add("max-line-bytes", &s.max_line_bytes, "longer JSONL lines are bad records").Range(2, 1 << 30);
  table->Add("max-rejects", &s.max_rejects, "more bad records than this end the build").Range(0, 9e15);
  table->Add("rejects", &s.rejects, "file that lists the bad records (empty: OUTPUT.rejects.jsonl)").NotPartOfResult();
}

void AddInput(OptionTable* table, BuildOptions* o) {
  index::BuildSettings& s = o->settings;
  table->Group("Input");
  table->Add("input", &s.inputs, "JSONL file or folder of text files; repeatable, the order numbers the sequences")
      .Required();
  table->Add("chunk-bytes", &s.chunk_bytes, "text files are cut at line ends into pieces of at most this")
      .Range(16, 1 << 30);
  AddReading(table, o);
}

void AddModels(OptionTable* table, BuildOptions* o) {
  table->Group("Models");
  table->Add("model", &o->models.model, "folder of the language model: its tokenizer makes the stored tokens")
      .Required();
  table->Add("encoder", &o->models.encoder, "folder of the encoder; with given embeddings: the one that made them");
  table->Add("encoder-digest", &o->models.encoder_digest,
             "of the encoder that made given embeddings, where it is not at hand (hullft index info shows it)");
}

// A corpus that grows has these already.
void AddEncoderUse(OptionTable* table, BuildOptions* o) {
  table
      ->Add("long-texts", &o->models.use.long_texts,
            "those beyond the encoder's limit: their end is cut off, or their parts' vectors are averaged; queries "
            "follow")
      .OneOf({"cut", "average"});
  table->Add("prompt", &o->models.use.prompt,
             "put before every sequence for the encoder: a name in its config_sentence_transformers.json; empty: its "
             "default; queries follow, unless hullft run names another");
}

void AddEmbeddings(OptionTable* table, BuildOptions* o) {
  table->Add("embeddings", &o->settings.embeddings,
             ".npy, float32 [records][width], or a flat index file of FAISS: row i belongs to good record i of the "
             "input");
  table->Add("row-order", &o->settings.row_order,
             "text file: a line for each row of the embeddings, the record (from 0) that it belongs to");
}

// partitions: what to say of their number.
Option& AddOutput(OptionTable* table, BuildOptions* o, const char* partitions) {
  table->Group("Output");
  table->Add("output", &o->settings.output, "folder to make").Required();
  table->Add("force", &o->settings.force, "start over, and replace a finished corpus");
  return table->Add("partitions", &o->settings.partitions, partitions).Range(o->settings.partitions, 4096);
}

void AddType(OptionTable* table, BuildOptions* o) {
  table
      ->Add("embedding-dtype", &o->embedding_type,
            "as which embeddings are stored: f16 and bf16 halve them, rounding once")
      .OneOf({"f32", "f16", "bf16"});
}

void AddIndex(OptionTable* table, BuildOptions* o) {
  index::BuildSettings& s = o->settings;
  table->Add("index", &s.index,
             std::string("Flat; or of FAISS: IVFn,Flat, IVFn,SQ8, IVFn,PQm, HNSWm (n lists, m bytes or neighbours)") +
                 (s.index.empty() ? "; empty: the first corpus's" : ""));
  table->Add("target-recall", &s.target_recall, "what an index other than Flat must find of the nearest, in the mean")
      .Range(0, 1);
  table->Add("recall-k", &s.recall_k, "how many nearest that is measured on").Range(1, 1e6);
}

void AddWork(OptionTable* table, BuildOptions* o, bool embeds) {
  index::BuildSettings& s = o->settings;
  table->Group("Work");
  if (embeds) {
    table->Add("batch", &s.batch, "sequences embedded between two points of no loss")
        .Range(1, 1 << 20)
        .NotPartOfResult();
    table
        ->Add("device", &o->models.device,
              "where sequences are embedded: auto (a host's GPUs in turn, else the CPU), cpu, cuda or cuda:N")
        .NotPartOfResult();
  }
  table->Add("threads", &s.threads, "of each rank; 0: all cores it may use").Range(0, 4096).NotPartOfResult();
  table
      ->Add(
          "memory-budget", &o->memory_budget,
          "what a rank may hold besides its models, e.g. 2G: a build that needs more ends with what to do; 0: no limit")
      .NotPartOfResult();
  table->Add("quiet", &s.quiet, "no progress").NotPartOfResult();
}

int Start(BuildOptions o) {
  index::BuildSettings& s = o.settings;
  if (s.corpora.empty()) {
    if (o.models.encoder.empty() && s.embeddings.empty()) {
      throw Error(Code::kUsage, "neither --encoder nor --embeddings is given",
                  "give the folder of an encoder, or a .npy of embeddings");
    }
    if (!o.models.encoder_digest.empty() && (s.embeddings.empty() || !o.models.encoder.empty())) {
      throw Error(Code::kUsage, "--encoder-digest is for given embeddings without --encoder",
                  "an encoder says its own digest");
    }
  }
  s.embedding_type = index::EmbeddingTypeFromName(o.embedding_type);
  s.memory_budget = BytesFromText(o.memory_budget);
  s.Validate();
  PrintInfo(RunBuild(s, o.models));
  return 0;
}

}  // namespace

int IndexBuild(const Arguments& args) {
  BuildOptions o;
  OptionTable table("hullft index build",
                    std::string("Builds a corpus from JSONL files (plain, .gz, .zst; records {\"text\": ..., \"meta\": "
                                "...}) and folders of text files.") +
                        kGoesOn);
  AddInput(&table, &o);
  AddModels(&table, &o);
  AddEncoderUse(&table, &o);
  AddEmbeddings(&table, &o);
  AddOutput(&table, &o, "of all that is read; at least the shards that will serve it");
  AddType(&table, &o);
  AddIndex(&table, &o);
  AddWork(&table, &o, true);
  table.Example("hullft index build --input train.jsonl --model MODEL --encoder ENCODER --partitions 4 --output index");
  return table.Parse(args) ? 0 : Start(std::move(o));
}

int IndexAdd(const Arguments& args) {
  BuildOptions o;
  o.settings.grow = true;
  o.settings.partitions = 0;
  o.settings.index = "";
  OptionTable table("hullft index add",
                    std::string("Adds files to a corpus as another generation, in partitions of its own: what is there "
                                "keeps its files, ids and results. Texts that the corpus has are left out. The corpus "
                                "can be used meanwhile, and has grown when the command ends. The encoder is used "
                                "as for what is there (prompt, long texts).") +
                        kGoesOn);
  table.Add("corpus", &o.settings.output, "folder of the corpus that is to grow").Required();
  AddInput(&table, &o);
  AddModels(&table, &o);
  AddEmbeddings(&table, &o);
  table.Group("Output");
  table.Add("partitions", &o.settings.partitions, "of what is added; 0: as many as the generation before")
      .Range(0, 4096);
  table.Add("index", &o.settings.index, "Flat, or empty: the corpus's");
  table.Add("force", &o.settings.force, "start over what was interrupted");
  AddWork(&table, &o, true);
  table.Example("hullft index add --corpus index --input more.jsonl --model MODEL --encoder ENCODER");
  return table.Parse(args) ? 0 : Start(std::move(o));
}

int IndexImport(const Arguments& args) {
  BuildOptions o;
  std::string npy, faiss;
  OptionTable table("hullft index import",
                    std::string("Builds a corpus from records and vectors that others have made, or that hullft index "
                                "export has written: hullft index build --embeddings under another name.") +
                        kGoesOn);
  table.Group("Input");
  table.Add("jsonl", &o.settings.inputs, "JSONL file (plain, .gz, .zst); repeatable").Required();
  table.Add("npy", &npy, "float32 [records][width]: row i belongs to good record i");
  table.Add("faiss", &faiss, "instead: a flat index file of FAISS; the ids of an IndexIDMap say which row is whose");
  table.Add("row-order", &o.settings.row_order,
            "text file: a line for each row, the record (from 0) that it belongs to");
  table.Add("keep-ids", &o.settings.keep_ids, "records bring their ids, in a field \"id\", as exported ones do");
  AddReading(&table, &o);
  AddModels(&table, &o);
  AddEncoderUse(&table, &o);
  AddOutput(&table, &o, "of all that is read; at least the shards that will serve it");
  AddType(&table, &o);
  AddIndex(&table, &o);
  AddWork(&table, &o, true);
  table.Example("hullft index import --jsonl corpus.jsonl --npy corpus.npy --keep-ids --model MODEL --output index2");
  if (table.Parse(args)) return 0;
  if (npy.empty() == faiss.empty())
    throw Error(Code::kUsage, "one of --npy and --faiss must be given", "hullft index build makes embeddings itself");
  o.settings.embeddings = npy.empty() ? faiss : npy;
  return Start(std::move(o));
}

int IndexMerge(const Arguments& args) {
  BuildOptions o;
  o.settings.partitions = 0;
  o.settings.index = "";
  OptionTable table(
      "hullft index merge",
      std::string("Makes one corpus of several with the same encoder and tokenizer, as if all their files "
                  "had been built at once, in the order of the corpora; or one generation of those of one "
                  "corpus. Tokens and embeddings are kept.") +
          kGoesOn);
  AddOutput(&table, &o, "0: as many as the last generation of the first corpus");
  AddIndex(&table, &o);
  AddWork(&table, &o, false);
  table.AddPositional("corpora", &o.settings.corpora, "folders of corpora").Required();
  table.Example("hullft index merge index1 index2 --output both");
  return table.Parse(args) ? 0 : Start(std::move(o));
}

int IndexRepartition(const Arguments& args) {
  BuildOptions o;
  std::string corpus;
  o.settings.index = "";
  OptionTable table("hullft index repartition",
                    std::string("Makes a corpus with another number of partitions and the same ids, content and digest "
                                "(of one generation). Tokens and embeddings are kept.") +
                        kGoesOn);
  table.AddPositional("corpus", &corpus, "folder of the corpus").Required();
  AddOutput(&table, &o, "the new number").Required();
  AddIndex(&table, &o);
  AddWork(&table, &o, false);
  table.Example("hullft index repartition index --partitions 64 --output index64");
  if (table.Parse(args)) return 0;
  o.settings.corpora = {corpus};
  return Start(std::move(o));
}

}  // namespace hullft::coordinator
