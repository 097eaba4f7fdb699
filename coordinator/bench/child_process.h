// A program that answers lines of standard input with lines of standard output: the other side of a benchmark, kept
// alive so that the sides can take turns. Not thread-safe.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <string>
#include <vector>

namespace hullft::coordinator {

class ChildProcess {
 public:
  // words: the program's path and its arguments; environment: "NAME=value" beside this process's own. Standard error is
  // inherited. Throws kIo when it cannot be started.
  ChildProcess(const std::vector<std::string>& words, const std::vector<std::string>& environment);
  // Closes its standard input and waits for its end.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // Sends a line (without its end) and waits for one. Throws kPeer when the program has ended instead.
  std::string Ask(const std::string& line);

 private:
  std::string name_;
  pid_t pid_ = -1;
  int to_ = -1;  // a socket: its other end's death is an error of send, not a signal
  FILE* from_ = nullptr;
};

}  // namespace hullft::coordinator
