// Logging: to standard error, with time, level, component and rank; results never go through here. Built on spdlog.
// Info and below are shown on rank 0 only, warnings and errors on every rank. Thread-safe after InitLogging.
#pragma once

#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <string_view>

namespace hullft {

// level: "debug", "info", "warn", "error". Call once, before threads start. HULLFT_LOG in the environment overrides.
void InitLogging(std::string_view level, int rank = 0);

// spdlog's pattern with %* in the message's place, whose messages are printable (printable.h): they may quote any file.
std::unique_ptr<spdlog::formatter> LogFormatter(const std::string& pattern);

// Emits a warning at most once per process for each distinct key.
void WarnOnce(std::string_view key, std::string_view message);

}  // namespace hullft
