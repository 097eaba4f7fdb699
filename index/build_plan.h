// First step of a build: what is read and with which models, found out by every rank, compared by rank 0, and the plan
// that all ranks then follow.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "index/build_team.h"
#include "index/builder.h"
#include "index/input_blocks.h"
#include "index/manifest.h"

namespace hullft::index {

inline constexpr int kMaxPartitions = 4096;      // of one generation
inline constexpr int kMostPartitions = 100'000;  // of a corpus: five digits
inline constexpr uint16_t kPlanType = 1, kModelsType = 2;

struct BuildSources {
  std::vector<InputFile> inputs;       // files, or
  std::vector<CorpusInfo> corpora;     // finished corpora
  std::optional<CorpusManifest> base;  // of the corpus that grows
  std::string given_hash;              // of given embeddings, on rank 0
};

// What every rank needs to know before the input is read; made by rank 0.
struct Plan {
  struct File {
    std::string path, name;
    bool is_text = false;
    template <class A>
    void Wire(A& a) {
      a(path, name, is_text);
    }
  };
  std::vector<File> files;
  std::vector<InputBlock> blocks;
  std::vector<int64_t> file_offsets;  // build_read.h
  int64_t first_file = 0;
  int32_t first_partition = 0;
  int32_t dim = 0;
  std::string encoder_digest;
  int64_t rows_wanted = -1;
  bool nothing_new = false;  // the corpus has this generation already
  std::string settings;      // the working folder's settings
  std::string read;          // what an earlier run of this build has read; "": nothing
  template <class A>
  void Wire(A& a) {
    a(files, blocks, file_offsets, first_file, first_partition, dim, encoder_digest, rows_wanted, nothing_new, settings,
      read);
  }
  std::vector<InputFile> Inputs() const;
};

// Reads the manifests of the corpora to be read and of the one that grows, and takes over from them what the settings
// leave open. Throws as ReadAlikeCorpora.
BuildSources OpenSources(BuildSettings* settings);
// Neither embeds nor tokenizes: digests alone.
BuildFunctions FunctionsOf(const CorpusInfo& corpus);

// What must be the same on all ranks.
struct RankModels {
  std::vector<std::pair<std::string, std::string>> parts;  // name, value
  template <class A>
  void Wire(A& a) {
    a(parts);
  }
};
RankModels ModelsOf(const BuildSettings& settings, const BuildFunctions& functions, const BuildSources& sources);
// models: of each rank, as wire messages. Throws kUsage, naming host and difference.
void CompareModels(comm::Communicator& world, const BuildTeam::Reports& models);

// On rank 0: lists inputs, checks given embeddings (which may say width and encoder), and that what is added fits the
// corpus that grows.
Plan MakePlan(const BuildSettings& settings, int threads, BuildFunctions* functions, BuildSources* sources);

// Everything that decides the content: an unfinished build goes on only when it is equal. "inputs" and "given" are
// stamps (build_folder.h).
nlohmann::json IdentityOf(const BuildSettings& settings, const BuildFunctions& functions, const BuildSources& sources);

}  // namespace hullft::index
