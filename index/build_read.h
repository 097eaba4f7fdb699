// Reading step of a build: every rank reads its blocks of the input (files, or finished corpora), and sends each
// sequence to the rank that owns its partition (partition mod ranks), which stages it. At most kWindow messages of
// kMessageBytes are under way from one rank to another. Bad records are told to rank 0, which counts them over all
// ranks and ends the step above the limit.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "index/build_team.h"
#include "index/builder.h"
#include "index/input_blocks.h"

namespace hullft::index {

struct ReadPlan {
  std::vector<InputFile> inputs;
  std::vector<CorpusInfo> corpora;  // instead of inputs
  // Where records bring their ids: what is added to the file numbers of each input or corpus. Empty: they are numbered.
  std::vector<int64_t> file_offsets;
  int64_t first_file = 0;  // else: the number of the first input
  std::vector<InputBlock> blocks;
  std::filesystem::path staging;  // folder all ranks see
  std::filesystem::path rejects;  // list of bad records, written by rank 0
  int64_t rows_wanted = -1;       // of given embeddings; -1: any
};

struct ReadOutcome {
  int64_t records = 0, rejects = 0;  // good and bad ones
  std::vector<BlockBase> bases;      // of each block
};

// Collective over the team. The same outcome on every rank; what was staged is durable, and the outcome beside it in
// kReadFile. before: runs first on every rank, within the step, so that what it throws ends the step for all. confirm:
// runs on rank 0 when all is read.
ReadOutcome ReadInputs(BuildTeam& team, const BuildSettings& settings, const ReadPlan& plan,
                       const std::function<void()>& before, const std::function<void()>& confirm);
inline constexpr const char* kReadFile = "read.json";

// The outcome as text, and back: what an interrupted build goes on from.
std::string ToText(const ReadOutcome& outcome);
ReadOutcome OutcomeFromText(const std::string& text);

}  // namespace hullft::index
