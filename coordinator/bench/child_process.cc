#include "coordinator/bench/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "common/error.h"

extern char** environ;

namespace hullft::coordinator {
namespace {

std::vector<char*> Pointers(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// False when nobody reads any more; a pipe would end this process with SIGPIPE instead.
bool Send(int socket, std::string_view text) {
  while (!text.empty()) {
    const ssize_t sent = ::send(socket, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno != EINTR) return false;
    text.remove_prefix(sent < 0 ? 0 : static_cast<size_t>(sent));
  }
  return true;
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& words, const std::vector<std::string>& environment)
    : name_(words.at(0)) {
  int in[2], out[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0) throw IoError("make a socket to", name_);
  if (::pipe2(out, O_CLOEXEC) != 0) {
    const Error error = IoError("make a pipe from", name_);
    ::close(in[0]);  // ignored: nothing is lost by it
    ::close(in[1]);  // ignored: nothing is lost by it
    throw error;
  }
  std::vector<std::string> variables = environment;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);  // the first one counts
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  const int fault =
      ::posix_spawn(&pid_, words[0].c_str(), &actions, nullptr, Pointers(words).data(), Pointers(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(in[0]);   // ignored: nothing is lost by it
  ::close(out[1]);  // ignored: nothing is lost by it
  if (fault != 0) {
    ::close(in[1]);   // ignored: nothing is lost by it
    ::close(out[0]);  // ignored: nothing is lost by it
    throw Error(Code::kIo, fmt::format("cannot start {}: {}", name_, std::strerror(fault)));
  }
  to_ = in[1];
  from_ = ::fdopen(out[0], "r");
}

ChildProcess::~ChildProcess() {
  ::close(to_);                 // ignored: nothing is lost by it
  std::fclose(from_);           // ignored: it was read from
  ::waitpid(pid_, nullptr, 0);  // ignored: how it ended does not matter here
}

std::string ChildProcess::Ask(const std::string& line) {
  std::string answer;
  char* text = nullptr;
  size_t size = 0;
  const bool sent = Send(to_, line + "\n");
  const ssize_t got = sent ? ::getline(&text, &size, from_) : -1;
  if (got > 0) answer.assign(text, static_cast<size_t>(got));
  std::free(text);
  if (answer.empty()) {
    throw Error(Code::kPeer, fmt::format("{} ended without an answer", name_), "its own message is above");
  }
  return answer;
}

}  // namespace hullft::coordinator
