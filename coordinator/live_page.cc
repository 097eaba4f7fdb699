#include "coordinator/live_page.h"

#include <fmt/format.h>
#include <httplib.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

#include "common/error.h"
#include "coordinator/journal.h"
#include "coordinator/page/live.h"
#include "coordinator/report.h"

namespace hullft::coordinator {
namespace {
using Clock = std::chrono::steady_clock;

constexpr int kThreads = 2, kRefreshSeconds = 2;
constexpr time_t kReadSeconds = 5;  // until a silent client is let go

bool IsLoopback(const std::string& address) {
  const bool numbers = address.find_first_not_of("0123456789.") == std::string::npos;  // no 127.0.0.1.example
  return address == "localhost" || address == "::1" || (numbers && address.starts_with("127."));
}

// "127.0.0.1:8080" without the port.
std::string HostName(const std::string& host) {
  const size_t colon = host.rfind(':');
  const std::string name = colon == std::string::npos || host.ends_with("]") ? host : host.substr(0, colon);
  return name.starts_with("[") && name.ends_with("]") ? name.substr(1, name.size() - 2) : name;
}

}  // namespace

class LivePage::Server {
 public:
  Server(std::string address, int port, std::filesystem::path folder)
      : address_(std::move(address)), folder_(std::move(folder)) {
    SetLimits();
    Route("/", "text/html; charset=utf-8", [this] {
      ++pages_served_;
      return page::LiveHtml(Status(), folder_.string(), ResultsText());
    });
    Route("/status.json", "application/json", [this] { return StatusJson(Status()); });
    Route("/metrics", "text/plain; version=0.0.4", [this] { return PrometheusText(Status(), folder_.string()); });
    port_ = port == 0 ? http_.bind_to_any_port(address_) : http_.bind_to_port(address_, port) ? port : -1;
    if (port_ < 0) {
      throw Error(Code::kUsage, fmt::format("cannot listen on {}, port {}", address_, port),
                  "another program has it, or it is not this host's: choose another --http, 0 for any free port");
    }
    thread_ = std::thread([this] { http_.listen_after_bind(); });
    while (!http_.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));  // stop() needs it to run
  }
  ~Server() {
    http_.stop();
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void Show(const RunStatus& status) {
    const std::lock_guard lock(mutex_);
    status_ = status;
  }
  int64_t pages_served() const { return pages_served_; }
  std::string Url() const {
    return fmt::format("http://{}:{}/", address_.find(':') == std::string::npos ? address_ : "[" + address_ + "]",
                       port_);
  }

 private:
  void SetLimits() {
    http_.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
    http_.set_payload_max_length(0);
    http_.set_read_timeout(kReadSeconds, 0);
    http_.set_write_timeout(kReadSeconds, 0);
    http_.set_keep_alive_max_count(1);
    // The library's own choice, SO_REUSEPORT, lets two runs share a port without a word.
    http_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    http_.set_default_headers({{"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"},
                               {"X-Content-Type-Options", "nosniff"},
                               {"Cache-Control", "no-store"}});
    http_.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      const std::string host = HostName(request.get_header_value("Host"));
      if (!IsLoopback(address_) || IsLoopback(host)) return httplib::Server::HandlerResponse::Unhandled;
      response.status = 403;
      response.set_content("this page is for its own host\n", "text/plain");
      return httplib::Server::HandlerResponse::Handled;
    });
  }

  template <class Text>
  void Route(const char* path, const char* type, const Text& text) {
    http_.Get(path, [=](const httplib::Request& /*request*/, httplib::Response& response) {
      try {
        response.set_content(text(), type);
        response.set_header("Refresh", std::to_string(kRefreshSeconds));
      } catch (const std::exception& error) {  // the page is not worth a run
        response.status = 500;
        response.set_content(std::string(error.what()) + "\n", "text/plain; charset=utf-8");
      }
    });
  }

  RunStatus Status() {
    const std::lock_guard lock(mutex_);
    return status_;
  }

  // The journal is read again when it has rows more, and no more often than a twentieth of the time.
  std::string ResultsText() {
    const std::lock_guard lock(results_mutex_);
    const int64_t done = Status().view.done;
    const auto start = Clock::now();
    if (done == results_done_ || start < results_due_) return results_;
    const JournalContent content = ReadJournal(folder_ / "results.jsonl");
    results_ = content.rows.empty() ? "" : SettingsTable(content.rows);
    results_done_ = done;
    results_due_ = Clock::now() + 20 * (Clock::now() - start);
    return results_;
  }

  const std::string address_;
  const std::filesystem::path folder_;
  int port_ = -1;
  std::mutex mutex_;
  RunStatus status_;
  std::mutex results_mutex_;
  std::string results_;
  int64_t results_done_ = 0;
  Clock::time_point results_due_;
  std::atomic<int64_t> pages_served_ = 0;
  httplib::Server http_;
  std::thread thread_;
};

LivePage::LivePage(const std::string& address, int port, std::filesystem::path folder)
    : server_(std::make_unique<Server>(address, port, std::move(folder))) {}

LivePage::~LivePage() = default;

void LivePage::Show(const RunStatus& status) {
  server_->Show(status);
}

int64_t LivePage::pages_served() const {
  return server_->pages_served();
}

std::string LivePage::url() const {
  return server_->Url();
}

}  // namespace hullft::coordinator
