#include "common/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <unistd.h>

#include <cstdlib>
#include <mutex>
#include <set>
#include <string>

#include "common/printable.h"

namespace hullft {
namespace {

class PrintableMessage final : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&, spdlog::memory_buf_t& to) override {
    const std::string text = Printable({message.payload.data(), message.payload.size()});
    to.append(text.data(), text.data() + text.size());
  }
  std::unique_ptr<spdlog::custom_flag_formatter> clone() const override { return std::make_unique<PrintableMessage>(); }
};

}  // namespace

std::unique_ptr<spdlog::formatter> LogFormatter(const std::string& pattern) {
  auto formatter = std::make_unique<spdlog::pattern_formatter>();
  formatter->add_flag<PrintableMessage>('*').set_pattern(pattern);
  return formatter;
}

void InitLogging(std::string_view level, int rank) {
  auto sinks = std::make_shared<spdlog::sinks::dist_sink_mt>();  // others may come and go: log_file.h
  sinks->add_sink(std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
  auto logger = std::make_shared<spdlog::logger>("hullft", std::move(sinks));
  const char* from_environment = std::getenv("HULLFT_LOG");
  auto parsed = spdlog::level::from_str(from_environment != nullptr ? from_environment : std::string(level));
  if (rank != 0 && parsed < spdlog::level::warn) parsed = spdlog::level::warn;
  logger->set_level(parsed);
  logger->set_formatter(
      LogFormatter(rank == 0 ? "%H:%M:%S.%e %^%l%$ %*" : "%H:%M:%S.%e %^%l%$ [rank " + std::to_string(rank) + "] %*"));
  logger->flush_on(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
}

void WarnOnce(std::string_view key, std::string_view message) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>> seen;
  {
    const std::lock_guard lock(mutex);
    if (!seen.emplace(key).second) return;
  }
  spdlog::warn("{}", message);
}

}  // namespace hullft
