// What a corpus is built from: JSONL files and folders of text files, as one ordered list of files. Each file has a
// number (its place in the list), each record a number in its file: together its SequenceId.
//
// A folder stands for all regular files under it, sorted by path (bytewise), hidden ones left out; each file is cut
// into chunks at line ends. Thread safety: free functions.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "index/corpus.h"
#include "index/jsonl_reader.h"

namespace hullft::index {

inline constexpr int kRecordBits = 40;
inline constexpr int64_t kMaxRecords = int64_t{1} << kRecordBits;  // of one file

inline SequenceId MakeId(int64_t file, int64_t record) {
  return {static_cast<uint64_t>(file) << kRecordBits | static_cast<uint64_t>(record)};
}

struct InputFile {
  std::filesystem::path path;
  int64_t number = 0;    // place in the list: the upper 24 bits of a SequenceId
  bool is_text = false;  // a text file of a folder, to be cut into chunks
  std::string name;      // of a text file: its path inside the folder, which becomes {"file": name} in the metadata
};

// Throws kData for what does not exist, an empty folder, and a folder that holds JSONL files (give those as files).
std::vector<InputFile> ListInputs(const std::vector<std::string>& inputs);

struct InputOptions {
  int64_t max_line_bytes = 16 << 20;
  bool keep_ids = false;        // of JSONL: the records' own field "id"; else a record's number and its file's
  int64_t begin = 0, end = -1;  // part of a plain JSONL file, as JsonlOptions; records are numbered from its first
  int64_t chunk_bytes = 4096;   // of a text file: the most a chunk may hold; a longer line is cut between characters
};

struct InputRecord {
  SequenceId id;
  std::string_view text, meta;
};

struct InputCounts {
  int64_t records = 0, good = 0;  // all, and those that were taken
  int64_t lines = 0;              // of JSONL
};

// Calls take for every good record of the file (or its part), in order; the views are valid during the call. Bad ones
// go to rejects (for a text file: a chunk that is not UTF-8, by its first line).
InputCounts ReadInput(const InputFile& file, const InputOptions& options, Rejects* rejects,
                      const std::function<void(const InputRecord&)>& take);

// Cuts text into chunks of at most max_bytes at line ends, calling take(chunk, first line number). Lines longer than
// max_bytes are cut between characters.
void CutIntoChunks(std::string_view text, int64_t max_bytes,
                   const std::function<void(std::string_view, int64_t)>& take);

}  // namespace hullft::index
