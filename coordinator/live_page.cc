#include "coordinator/live_page.h"

#include <fmt/format.h>
#include <httplib.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <thread>

#include "common/error.h"
#include "coordinator/journal.h"
#include "coordinator/page/live.h"
#include "coordinator/page/page.h"
#include "coordinator/report.h"
#include "coordinator/study/study.h"

namespace hullft::coordinator {
namespace {
using Clock = std::chrono::steady_clock;

constexpr int kThreads = 2, kRefreshSeconds = 2, kReportRefreshSeconds = 60;
constexpr time_t kReadSeconds = 5;  // until a silent client is let go
constexpr const char* kHtml = "text/html; charset=utf-8";

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

// What is made of the journal: again when it has rows more, and no more often than a twentieth of the time.
class OfJournal {
 public:
  explicit OfJournal(std::function<std::string()> make) : make_(std::move(make)) {}

  std::string Text(int64_t rows_done) {
    const std::lock_guard lock(mutex_);
    const auto start = Clock::now();
    if (rows_done == done_ || start < due_) return text_;
    text_ = make_();
    done_ = rows_done;
    due_ = Clock::now() + 20 * (Clock::now() - start);
    return text_;
  }

 private:
  const std::function<std::string()> make_;
  std::mutex mutex_;
  std::string text_;
  int64_t done_ = 0;
  Clock::time_point due_;
};

std::string ResultsOf(const std::filesystem::path& folder) {
  const JournalContent content = ReadJournal(folder / "results.jsonl");
  return content.rows.empty() ? "" : SettingsTable(content.rows);
}

// The page of `hullft report`, on one thread: the machine is the run's.
std::string ReportOf(const std::filesystem::path& folder) {
  const auto definition = study::Definition::kRolling;
  const study::Study study = study::MakeStudy(study::LoadRuns(folder, definition), definition);
  return page::ReportPage(study, study::MakeFigures(study, 0, 1));
}

}  // namespace

class LivePage::Server {
 public:
  Server(std::string address, int port, std::filesystem::path folder)
      : address_(std::move(address)),
        folder_(std::move(folder)),
        results_([this] { return ResultsOf(folder_); }),
        report_([this] { return ReportOf(folder_); }) {
    SetLimits();
    Route("/", kHtml, kRefreshSeconds, [this](const RunStatus& status) {
      ++pages_served_;
      return page::LiveHtml(status, folder_.string(), results_.Text(status.view.done));
    });
    Route("/report", kHtml, kReportRefreshSeconds, [this](const RunStatus& status) {
      const std::string page = report_.Text(status.view.done);
      return page.empty() ? "no query is finished yet\n" : page;
    });
    Route("/status.json", "application/json", kRefreshSeconds, StatusJson);
    Route("/metrics", "text/plain; version=0.0.4", kRefreshSeconds,
          [this](const RunStatus& status) { return PrometheusText(status, folder_.string()); });
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
      // ignored: without it a port stays taken for a minute after a run, and the binding says so
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

  // text: of a RunStatus.
  template <class Text>
  void Route(const char* path, const char* type, int refresh_seconds, const Text& text) {
    http_.Get(path, [=, this](const httplib::Request& /*request*/, httplib::Response& response) {
      try {
        response.set_content(text(Status()), type);
        response.set_header("Refresh", std::to_string(refresh_seconds));
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

  const std::string address_;
  const std::filesystem::path folder_;
  int port_ = -1;
  std::mutex mutex_;
  RunStatus status_;
  OfJournal results_, report_;
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
