// The settings of `hullft run`: a plain struct, bound to flags by one option table, the same on every rank.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/options.h"
#include "coordinator/selection_flags.h"
#include "worker/tuner.h"

namespace hullft::coordinator {

// What makes two runs the same run: every option that changes results and the digests of what was read. Ordered by
// name.
using Identity = std::map<std::string, std::string>;

// One of several settings that a run works on at once (--grid): they differ in how is selected and tuned, and share
// corpus, model, queries and pool.
struct RunSetting {
  std::string name;  // of its rows; "" in a run of one setting
  std::string method;
  select::SelectOptions select;
  worker::TuneSettings tune;
  Identity options;  // IdentityOfOptions; empty in a run of one setting
};

struct RunSettings : SelectionFlags {
  std::string corpus, queries, model, encoder, output;
  std::string prompt;            // of the encoder for queries; "": that of the corpus's sequences
  std::string query_embeddings;  // .npy, a row per record of the queries file; the encoder is then not needed

  std::string score_cache;     // file of untuned scores (coordinator/score_cache.h), read and added to; "": none
  std::string stage;           // folder on the nodes' own disks that partitions are copied to first; "": none
  bool allow_partial = false;  // go on without partitions that are missing or damaged: coverage < 1 in every row

  std::string pool = "knn";  // or "global": the whole corpus; "both": global, and the pool's objective beside it
  int k = 200;               // K, pool size
  int margin = 32;  // candidates beyond K that are re-scored exactly, so that library rounding cannot change the pool

  double block_cache_mb = 256;  // of the stores of all partitions that a rank has open

  int search_effort = 0;  // nprobe of an IVF, efSearch of HNSW; 0: what the measurement of the build chose; Flat: none

  std::string guard = "off";    // of the pool against candidates that give their query away (coordinator/leakage.h)
  double leak_threshold = 0.5;  // share of 13-grams above which they do

  worker::TuneSettings tune;  // learning_rate, max_length, dropout, prefix_token; refresh is set by Finish
  std::string refresh = "2";  // r, or "inf"
  std::string score_at;       // "1,5,10": Finish puts it into tune.score_at; "": scored at the end alone

  worker::AdapterOptions adapter;  // what is trained: all weights, or low-rank adapters

  int queries_per_worker = 1;  // Q, lanes of a worker: each has its own weights and its share of the worker's threads
  int workers = 0;             // worker ranks of one process; 0: one, which shares its rank with coordinator and shard
  std::string precision = "float32";  // of matrix products: see worker::TunerOptions
  bool check_weights = false;
  bool paranoid = false;        // check_weights, and vectors compared with their checksums whenever they are read
  bool cuda_graphs = false;     // see worker::TunerOptions
  std::string device = "auto";  // of the workers: see worker::ChooseDevice
  int threads = 0;              // of this process, shared out among its workers; 0: UsableCores()
  int batch = 32;               // B, queries of one round; changes speed, not results
  int retries = 1;              // further attempts of a task that throws, on another worker where there is one
  int max_rejects = 0;          // bad records of the queries file that are put aside before the run ends
  int64_t limit = 0;            // run the first so many queries; 0: all
  double start_timeout = 600;   // seconds until a rank that is not ready to work ends the job
  double task_timeout = 3600;   // seconds until a task is given to another worker, while no task's time is known yet
  double grace = 30;            // seconds that running tasks get to finish after INT, TERM or USR1
  std::string layout;           // which rank plays which role (coordinator/layout.h); "": the default
  int disk_reserve = 16;        // MB: the run waits while less is free on the disk of `output`
  int http = -1;                // port of the page about this run on rank 0; 0: any free one; -1: none
  std::string http_address = "127.0.0.1";  // that it listens on
  bool quiet = false;
  std::string grid_file;         // settings to run together (run_grid.h); "": the one that the flags say
  std::vector<RunSetting> grid;  // read from there
  // Not an option: record numbers of the queries to run, each with the name of its setting; empty: all.
  std::set<std::pair<int64_t, std::string>> only = {};

  // What the run works on: grid, or the one setting that the flags say.
  std::vector<RunSetting> Grid() const;
  // Binds every field to its flag. The table and this object must live equally long.
  void Bind(OptionTable* table);
  // Derives select and tune from the texts and checks everything; throws kUsage with all faults.
  void Finish();
};

// Numbers from 1 with commas, sorted, each once; what is none is put into *faults with the flag's name.
std::vector<int> ParseScoreAt(const std::string& text, std::vector<std::string>* faults);

Identity IdentityOfOptions(const OptionTable& table);
// One `name=value` line each.
std::string IdentityText(const Identity& identity);

}  // namespace hullft::coordinator
