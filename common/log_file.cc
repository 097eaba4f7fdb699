#include "common/log_file.h"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/spdlog.h>

#include <mutex>
#include <optional>
#include <string>

#include "common/files.h"
#include "common/log.h"

namespace hullft {
namespace {
namespace fs = std::filesystem;

// The sinks of InitLogging's logger; null without one.
std::shared_ptr<spdlog::sinks::dist_sink_mt> Sinks() {
  for (const auto& sink : spdlog::default_logger()->sinks()) {
    if (auto sinks = std::dynamic_pointer_cast<spdlog::sinks::dist_sink_mt>(sink)) return sinks;
  }
  return nullptr;
}

// spdlog's own makes files that others may write where the umask lets them; AppendFile does not.
class RotatingSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  RotatingSink(fs::path path, int64_t limit) : path_(std::move(path)), limit_(limit) { Open(); }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    if (!file_) Open();  // an earlier change of files failed half way
    spdlog::memory_buf_t text;
    formatter_->format(message, text);
    if (bytes_ > 0 && bytes_ + static_cast<int64_t>(text.size()) > limit_) Rotate();
    file_->Append({text.data(), text.size()});
    bytes_ += static_cast<int64_t>(text.size());
  }
  void flush_() override {}  // nothing is held back

  void Open() {
    file_.emplace(path_);
    bytes_ = static_cast<int64_t>(fs::file_size(path_));
  }
  fs::path Older(int age) const { return age == 0 ? path_ : fs::path(path_.string() + "." + std::to_string(age)); }
  void Rotate() {
    file_.reset();
    for (int age = LogFile::kFiles - 1; age > 0; --age) {
      if (fs::exists(Older(age - 1))) fs::rename(Older(age - 1), Older(age));
    }
    Open();
  }

  const fs::path path_;
  const int64_t limit_;
  std::optional<AppendFile> file_;
  int64_t bytes_ = 0;
};

}  // namespace

LogFile::LogFile(const fs::path& path, int64_t bytes) {
  const auto sinks = Sinks();
  if (!sinks) return;
  sink_ = std::make_shared<RotatingSink>(path, bytes);
  sink_->set_formatter(LogFormatter("%Y-%m-%d %H:%M:%S.%e %l %*"));
  sinks->add_sink(sink_);
}

LogFile::~LogFile() {
  if (const auto sinks = Sinks(); sinks && sink_) sinks->remove_sink(sink_);
}

}  // namespace hullft
