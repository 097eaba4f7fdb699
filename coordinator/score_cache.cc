#include "coordinator/score_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/descriptor.h"
#include "common/error.h"
#include "common/files.h"
#include "common/hash.h"
#include "common/json_read.h"
#include "common/log.h"

namespace hullft::coordinator {
namespace {
using Json = nlohmann::ordered_json;

constexpr std::string_view kHeader = "hullft untuned scores 1\n";
constexpr size_t kChecksumDigits = 16;

std::string Checksum(std::string_view json) {
  return fmt::format("{:016x}", Hash64(json));
}

std::string Line(const std::string& key, const UntunedScore& score) {
  const Json json = {{"key", key},
                     {"bpb", score.bpb.rolling},
                     {"bpb_first_window", score.bpb.first_window},
                     {"log_likelihood", score.bpb.log_likelihood},
                     {"log_likelihood_first_window", score.bpb.log_likelihood_first_window},
                     {"tokens", score.tokens},
                     {"windows", score.windows}};
  const std::string text = json.dump();
  return Checksum(text) + " " + text + "\n";
}

// line: without the line feed. False when it is damaged.
bool ParseLine(std::string_view line, std::string* key, UntunedScore* score) {
  if (line.size() < kChecksumDigits + 1 || line[kChecksumDigits] != ' ') return false;
  const std::string_view text = line.substr(kChecksumDigits + 1);
  if (line.substr(0, kChecksumDigits) != Checksum(text)) return false;
  try {
    const Json json = Json::parse(text);
    ReadField(json, "key", *key);
    ReadField(json, "bpb", score->bpb.rolling);
    ReadField(json, "bpb_first_window", score->bpb.first_window);
    ReadField(json, "log_likelihood", score->bpb.log_likelihood);
    ReadField(json, "log_likelihood_first_window", score->bpb.log_likelihood_first_window);
    ReadField(json, "tokens", score->tokens);
    ReadField(json, "windows", score->windows);
    return true;
  } catch (
      const nlohmann::json::exception&) {  // ignored: counted as damaged. Whoever wrote this line made its checksum too
    return false;
  }
}

// Waits: other runs hold it for the time of one write.
class Lock {
 public:
  Lock(int fd, const std::string& path) : fd_(fd) {
    while (::flock(fd_, LOCK_EX) != 0) {
      if (errno != EINTR) throw IoError("lock", path);
    }
  }
  ~Lock() {
    ::flock(fd_, LOCK_UN);  // ignored: closing the file unlocks it as well
  }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  const int fd_;
};

}  // namespace

ScoreCache::ScoreCache(const std::string& path)
    : path_(path), fd_(::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644)) {
  if (fd_ < 0) throw IoError("open", path_);
  try {
    { const Descriptor is_a_file(OpenInput(path_)); }
    const Lock lock(fd_, path_);
    if (std::filesystem::file_size(path_) == 0) Append(kHeader);
    Read();
  } catch (...) {
    ::close(fd_);  // ignored: nothing is lost by it
    throw;
  }
  if (damaged_ > 0) {
    spdlog::warn("{}: {} damaged lines are left out, their scores are computed again", path_, damaged_);
  }
}

ScoreCache::~ScoreCache() {
  ::close(fd_);  // ignored: nothing is lost by it
}

void ScoreCache::Read() {
  const std::string text = ReadFile(path_);
  if (!text.starts_with(kHeader)) {
    throw Error(Code::kData, fmt::format("{} is no file of untuned scores of this version", path_),
                "give --score-cache another file; it is made when it is not there");
  }
  for (size_t begin = kHeader.size(); begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    std::string key;
    UntunedScore score;
    if (ParseLine(std::string_view(text).substr(begin, end - begin), &key, &score)) {
      scores_[key] = score;
    } else if (end > begin) {  // an empty line is what Add put after a torn one
      ++damaged_;
    }
    begin = end + 1;
  }
}

std::string ScoreCache::Key(const ScoreSetting& setting, std::string_view text_hash) {
  return Hasher()
      .Update(setting.binary)
      .Update(setting.model)
      .Update(setting.tokenizer)
      .Update(setting.arithmetic)
      .Update(std::to_string(setting.window))
      .Update(std::to_string(setting.prefix_token))
      .Update(text_hash)
      .Hex();
}

std::optional<UntunedScore> ScoreCache::Find(const std::string& key) const {
  const auto place = scores_.find(key);
  return place == scores_.end() ? std::nullopt : std::optional(place->second);
}

void ScoreCache::Add(const std::string& key, const UntunedScore& score) {
  if (!scores_.emplace(key, score).second) return;
  const Lock lock(fd_, path_);
  Append(Line(key, score));
}

// The lock is held. A torn last line of a run that crashed is ended first, so that it costs no other.
void ScoreCache::Append(std::string_view line) {
  const off_t size = ::lseek(fd_, 0, SEEK_END);
  char last = '\n';
  if (size < 0 || (size > 0 && ::pread(fd_, &last, 1, size - 1) != 1)) throw IoError("read", path_);
  const std::string text = (last == '\n' ? "" : "\n") + std::string(line);
  for (size_t done = 0; done < text.size();) {
    const ssize_t written = ::write(fd_, text.data() + done, text.size() - done);
    if (written < 0 && errno != EINTR) throw IoError("write", path_);
    if (written > 0) done += static_cast<size_t>(written);
  }
}

}  // namespace hullft::coordinator
