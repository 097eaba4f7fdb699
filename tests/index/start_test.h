// Runs a disabled test of this program in a process of its own: to kill it, or to limit it.
#pragma once

#include <fcntl.h>
#include <spawn.h>

#include <filesystem>
#include <string>

#include "common/error.h"

extern char** environ;  // NOLINT: POSIX's name

namespace hullft::index {

// Returns its process id; what it prints goes to `output`.
inline pid_t StartDisabledTest(const std::string& filter, const std::string& output) {
  std::string self = std::filesystem::read_symlink("/proc/self/exe");
  std::string also = "--gtest_also_run_disabled_tests", only = "--gtest_filter=" + filter;
  char* argv[] = {self.data(), also.data(), only.data(), nullptr};
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  for (const int fd : {1, 2})
    ::posix_spawn_file_actions_addopen(&files, fd, output.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  pid_t child = -1;
  const int fault = ::posix_spawn(&child, self.c_str(), &files, nullptr, argv, environ);
  ::posix_spawn_file_actions_destroy(&files);
  if (fault != 0) throw DataError("cannot start {}: {}", self, fault);
  return child;
}

}  // namespace hullft::index
