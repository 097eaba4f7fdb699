#include "coordinator/journal.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <string_view>
#include <system_error>

#include "common/descriptor.h"
#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/log.h"

namespace hullft::coordinator {

namespace {

// The lines of a file, a block of it in memory at a time.
class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& path) : path_(path), fd_(OpenInput(path)) {}
  // The next line that ends in a line feed, without it; valid until the next call. Nothing at the end.
  std::optional<std::string_view> Next() {
    while (true) {
      const size_t end = buffer_.find('\n', std::max(begin_, searched_));
      if (end != std::string::npos) {
        const std::string_view line(buffer_.data() + begin_, end - begin_);
        searched_ = begin_ = end + 1;
        return line;
      }
      searched_ = buffer_.size();
      if (!Fill()) return std::nullopt;
    }
  }
  bool AtEnd() { return begin_ == buffer_.size() && !Fill(); }
  int64_t unread() const { return static_cast<int64_t>(buffer_.size() - begin_); }

 private:
  bool Fill() {
    buffer_.erase(0, begin_);
    searched_ -= begin_;
    begin_ = 0;
    const size_t held = buffer_.size();
    buffer_.resize(held + kBlock);
    ssize_t n = 0;
    do {
      n = ::read(fd_.get(), buffer_.data() + held, kBlock);
    } while (n < 0 && errno == EINTR);
    if (n < 0) throw IoError("read", path_.string());
    buffer_.resize(held + static_cast<size_t>(n));
    return n > 0;
  }

  static constexpr size_t kBlock = size_t{1} << 20;
  const std::filesystem::path path_;
  const Descriptor fd_;
  std::string buffer_;
  size_t begin_ = 0, searched_ = 0;  // no line feed between them
};

}  // namespace

namespace {
constexpr std::string_view kSealStart = ",\"checksum\":\"", kSealEnd = "\"}";
constexpr size_t kSealDigits = 16;
constexpr size_t kSealBytes = kSealStart.size() + kSealDigits + kSealEnd.size();

std::string Checksum(std::string_view json) {
  return fmt::format("{:016x}", Hash64(json));
}
}  // namespace

std::string SealedLine(const Row& row) {
  std::string line = ToJsonLine(row);
  const std::string checksum = Checksum(line);
  line.pop_back();  // the object's closing brace comes after the checksum
  return line.append(kSealStart).append(checksum).append(kSealEnd);
}

void CheckSeal(std::string_view line) {
  if (line.size() < kSealBytes) return;
  const std::string_view seal = line.substr(line.size() - kSealBytes);
  if (!seal.starts_with(kSealStart) || !seal.ends_with(kSealEnd)) return;
  const std::string json = std::string(line.substr(0, line.size() - kSealBytes)) + "}";
  if (seal.substr(kSealStart.size(), kSealDigits) != Checksum(json)) throw DataError("its checksum does not fit");
}

JournalLength ScanJournal(const std::filesystem::path& path, const std::function<void(Row&&)>& visit) {
  JournalLength length;
  if (!std::filesystem::exists(path)) return length;
  LineReader lines(path);
  for (int64_t number = 1; const auto line = lines.Next(); ++number) {
    const auto bytes = static_cast<int64_t>(line->size()) + 1;
    Row row;
    try {
      CheckSeal(*line);
      row = ParseRow(*line);
    } catch (const Error& error) {
      if (lines.AtEnd()) {  // a crash of the machine may leave a last line of the right length and wrong bytes
        length.torn_bytes = bytes;
        return length;
      }
      throw Error(Code::kData, fmt::format("{}:{}: not a row of a journal: {}", path.string(), number, error.message()),
                  "delete this line to have its query run again, or choose another --output");
    }
    length.whole_bytes += bytes;
    visit(std::move(row));
  }
  length.torn_bytes = lines.unread();
  return length;
}

JournalContent ReadJournal(const std::filesystem::path& path) {
  JournalContent content;
  static_cast<JournalLength&>(content) = ScanJournal(path, [&](Row&& row) { content.rows.push_back(std::move(row)); });
  return content;
}

Journal::Journal(const std::filesystem::path& path) : path_(path) {
  JournalContent content = ReadJournal(path);
  if (content.torn_bytes > 0) {
    spdlog::warn("{}: cut {} bytes of a row that an earlier run could not finish", path.string(), content.torn_bytes);
    std::error_code error;
    std::filesystem::resize_file(path, static_cast<uintmax_t>(content.whole_bytes), error);
    if (error) throw DataError("{}: cannot cut the unfinished last row: {}", path.string(), error.message());
  }
  recovered_ = std::move(content.rows);
  durable_bytes_ = content.whole_bytes;
  file_ = std::make_unique<AppendFile>(path);
  file_->Sync();
  FsyncFolder(path.parent_path().empty() ? "." : path.parent_path());
  thread_ = std::thread([this] { CommitLoop(); });
}

Journal::~Journal() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  work_.notify_all();
  thread_.join();
}

void Journal::RethrowLocked() const {
  if (failure_) std::rethrow_exception(failure_);
}

void Journal::Append(const Row& row) {
  std::string line = SealedLine(row);
  line += '\n';
  {
    const std::lock_guard lock(mutex_);
    RethrowLocked();
    pending_ += line;
    ++appended_;
  }
  work_.notify_one();
}

void Journal::Flush() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] { return failure_ || durable_ == appended_; });
  RethrowLocked();
}

int64_t Journal::durable() const {
  const std::lock_guard lock(mutex_);
  RethrowLocked();
  return durable_;
}

void Journal::CommitLoop() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [&] { return closing_ || !pending_.empty(); });
    if (pending_.empty()) return;
    std::string group;
    group.swap(pending_);
    const int64_t target = appended_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      file_->Append(group);
      file_->Sync();
      durable_bytes_ += static_cast<int64_t>(group.size());
    } catch (...) {
      failure = std::current_exception();
      std::error_code ignored;  // ignored: the next opening cuts what this cannot
      std::filesystem::resize_file(path_, static_cast<uintmax_t>(durable_bytes_), ignored);
    }
    lock.lock();
    if (failure) {
      failure_ = failure;
      done_.notify_all();
      return;
    }
    durable_ = target;
    done_.notify_all();
  }
}

}  // namespace hullft::coordinator
