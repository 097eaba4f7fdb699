#include "coordinator/journal.h"

#include <string_view>
#include <system_error>

#include "common/error.h"
#include "common/log.h"

namespace hullft::coordinator {

JournalContent ReadJournal(const std::filesystem::path& path) {
  JournalContent content;
  if (!std::filesystem::exists(path)) return content;
  const std::string text = ReadFile(path);
  size_t begin = 0;
  for (int64_t number = 1; begin < text.size(); ++number) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) break;
    try {
      content.rows.push_back(ParseRow(std::string_view(text).substr(begin, end - begin)));
    } catch (const Error& error) {
      if (end + 1 == text.size())
        break;  // a crash of the machine may leave a last line of the right length and wrong bytes
      throw Error(Code::kData, fmt::format("{}:{}: not a row of a journal: {}", path.string(), number, error.message()),
                  "delete this line to have its query run again, or choose another --output");
    }
    begin = end + 1;
  }
  content.whole_bytes = static_cast<int64_t>(begin);
  content.torn_bytes = static_cast<int64_t>(text.size() - begin);
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
  std::string line = ToJsonLine(row);
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
      std::error_code ignored;  // the next opening cuts what this cannot
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
