// A page about a run while it goes on, served by rank 0 (--http PORT): the figures of `hullft status`, refreshed by the
// browser itself, without a script. /report is the page of `hullft report` from the rows so far. Also /status.json and
// /metrics (docs/formats/journal.md).
//
// Read-only: nothing but GET of these four is answered, and nothing of a request enters an answer. On a loopback
// address requests whose Host is another name are refused, so that no web page elsewhere can read it through the
// reader's browser. There is no password: on another address everybody who reaches the port reads along.
// Thread safety: Show from one thread; requests are served on threads of its own.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "coordinator/run_status.h"

namespace hullft::coordinator {

class LivePage {
 public:
  // Listens from now on. port 0: any free one. folder: of the run, for its name and its journal. Throws kUsage when the
  // address cannot be listened on.
  LivePage(const std::string& address, int port, std::filesystem::path folder);
  ~LivePage();
  LivePage(const LivePage&) = delete;
  LivePage& operator=(const LivePage&) = delete;

  void Show(const RunStatus& status);  // from the next request on
  std::string url() const;
  int64_t pages_served() const;

 private:
  class Server;
  const std::unique_ptr<Server> server_;
};

}  // namespace hullft::coordinator
