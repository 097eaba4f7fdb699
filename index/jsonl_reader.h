// JSONL files (plain, .gz, .zst): one record a line, {"text": "...", "meta": {...}}, other fields allowed. Used for
// corpora and for queries alike.
//
// Bad records (not JSON, not an object, no text, empty text, invalid UTF-8, lone surrogates, a line above the limit)
// never come out of the reader: they go to a Rejects log, which ends the run above its limit. Blank lines are no
// records. Thread safety: one thread at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace hullft::index {

struct Record {
  int64_t number = 0;     // in its file, from 0; bad records count, so that a record's number does not depend on others
  int64_t line = 0;       // in its file, from 1
  uint64_t id = 0;        // the field "id", where the options ask for it
  std::string_view text;  // valid UTF-8, not empty (empty when absent and need_text is false)
  std::string_view meta;  // the field "meta" as compact JSON, empty when there was none
  std::string_view json;  // the whole line
};

struct JsonlOptions {
  int64_t max_line_bytes = 16 << 20;  // longer lines are bad records; they are skipped without being held in memory
  bool need_text = true;              // false: a record without "text" is fine
  bool need_id = false;               // true: a record has a field "id", a whole number from 0 to 2^64 - 1
  // The part of a plain file to read: the lines that start in [begin, end), numbered from the first of them. end -1:
  // to the end of the file. Parts that meet give every line once.
  int64_t begin = 0, end = -1;
};

// Counts bad records, writes each as {"file", "line", "reason"} to a JSONL file, and throws kData, naming file:line,
// the reason and what to do, at the first one above the limit. The file is created at the first bad record.
class Rejects {
 public:
  static constexpr int64_t kNoneAllowed = -1;  // max_rejects of a caller whose user cannot allow any

  // file: where to write; empty: nowhere. An older file of that name is replaced.
  Rejects(std::filesystem::path file, int64_t max_rejects);
  virtual ~Rejects() = default;
  virtual void Add(std::string_view path, int64_t line, std::string_view reason);
  int64_t count() const { return count_; }
  const std::filesystem::path& file() const { return file_; }

 private:
  const std::filesystem::path file_;
  const int64_t max_rejects_;
  int64_t count_ = 0;
};

class JsonlReader {
 public:
  // rejects must outlive the reader. Throws as ByteSource::Open.
  JsonlReader(const std::filesystem::path& path, Rejects* rejects, JsonlOptions options = {});
  ~JsonlReader();
  // The next good record: false at the end. Its views are valid until the next call.
  bool Next(Record* record);
  // What has been read so far, bad records and (lines) blank lines too.
  int64_t lines() const;
  int64_t records() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hullft::index
