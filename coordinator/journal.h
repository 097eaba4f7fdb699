// The journal of a run: append-only, fsynced JSON lines, the only state that matters (docs/formats/journal.md).
//
// Group commit: Append only queues; one thread writes everything queued with one write and one fdatasync, so that
// durable rows per second do not hang on the disk's latency. A crash leaves at most one torn last line, which the next
// opening cuts off. Thread safety: Append, Flush and durable may be called from any thread.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/files.h"
#include "coordinator/row.h"

namespace hullft::coordinator {

// A row as it stands in the file: its JSON with one more field at the end, `checksum`, the hash of the line without it.
// Without the line feed.
std::string SealedLine(const Row& row);
// Throws kData when a line has a checksum and it does not fit; lines of older versions have none.
void CheckSeal(std::string_view line);

struct JournalLength {
  int64_t whole_bytes = 0;  // up to the end of the last whole row
  int64_t torn_bytes = 0;   // what a crash left after it
};

struct JournalContent : JournalLength {
  std::vector<Row> rows;  // in the order written
};

// Calls visit with every row in the order written and holds a part of the file at a time only; a missing file is an
// empty journal. Nothing is changed. Only the last line may be torn: any other line that does not parse is a kData
// error naming file and line.
JournalLength ScanJournal(const std::filesystem::path& path, const std::function<void(Row&&)>& visit);
// All of it at once.
JournalContent ReadJournal(const std::filesystem::path& path);

class Journal {
 public:
  // Opens or creates path, cuts a torn last line off (with a warning) and starts the commit thread.
  explicit Journal(const std::filesystem::path& path);
  Journal(const Journal&) = delete;
  Journal& operator=(const Journal&) = delete;
  ~Journal();  // makes everything durable that can be; call Flush first to learn of failures

  const std::vector<Row>& recovered() const { return recovered_; }            // what earlier runs had written
  std::vector<Row> TakeRecovered() { return std::exchange(recovered_, {}); }  // for good

  // Queues the row. Throws what the commit thread met (a full disk) since the last call.
  void Append(const Row& row);
  // Returns when every appended row is durable. Throws as Append does; the file then ends with its last whole row.
  void Flush();
  // Rows appended through this object that are durable. Throws as Append does.
  int64_t durable() const;

 private:
  void CommitLoop();
  void RethrowLocked() const;

  const std::filesystem::path path_;
  std::vector<Row> recovered_;
  std::unique_ptr<AppendFile> file_;
  int64_t durable_bytes_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable work_, done_;
  std::string pending_;
  int64_t appended_ = 0, durable_ = 0;
  bool closing_ = false;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace hullft::coordinator
