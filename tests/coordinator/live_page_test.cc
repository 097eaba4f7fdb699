// The page about a run: what it answers, to whom, and what a browser makes of it.
#include "coordinator/live_page.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "common/xml.h"
#include "coordinator/report.h"
#include "coordinator/settings.h"
#include "tests/caught.h"
#include "tests/coordinator/sample_rows.h"

namespace hullft::coordinator {
namespace {
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
namespace fs = std::filesystem;

const std::string kHostile = "<script>document.title='taken'</script>\"'&";

class LivePageTest : public ::testing::Test {
 protected:
  LivePageTest() {
    std::string name = (fs::path(::testing::TempDir()) / "hullft_live_XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    base_ = name;
    folder_ = base_ / "run<script>";
    fs::create_directories(folder_);
    std::ofstream journal(folder_ / "results.jsonl");
    for (int q = 0; q < 3; ++q) journal << ToJsonLine(SampleRow(q, kHostile, 2.0, 1.0)) << "\n";
    journal << "{\"key\": \"torn";  // a row that is being written
    std::ofstream(folder_ / "provenance.json")
        << nlohmann::json{{"identity", {{"--method", "hullft"}, {"--n", "20"}, {"model", kHostile}}}}.dump();
  }
  ~LivePageTest() override { fs::remove_all(base_); }

  static RunStatus Status(int64_t done) {
    RunStatus status;
    status.host = kHostile;
    status.updated = 1.7e9;
    status.view.total = 40;
    status.view.done = done;
    status.view.seconds = 16;
    status.view.workers = {{1, 0.5, 2, false, StageEvent{7, Stage::kTuning, 3, 20}}, {2, 1, 2, true, std::nullopt}};
    return status;
  }
  // Waits until everything that the command started has let go of the pipe.
  static std::string Rest(FILE* pipe) {
    std::string text;
    std::array<char, 4096> part{};
    for (size_t got; (got = std::fread(part.data(), 1, part.size(), pipe)) > 0;) text.append(part.data(), got);
    ::pclose(pipe);
    return text;
  }
  static std::string Output(const std::string& command) { return Rest(::popen(command.c_str(), "r")); }
  static int PortOf(const LivePage& page) {
    const std::string url = page.url();
    return std::stoi(url.substr(url.rfind(':') + 1));
  }

  // Bytes as they are, which no client changes first, and all of the answer.
  static std::string Raw(const LivePage& page, const std::string& request) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    const sockaddr_in to = Address("127.0.0.1", PortOf(page));
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    EXPECT_EQ(::send(fd, request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
    std::string answer;
    std::array<char, 4096> part{};
    for (ssize_t got; (got = ::recv(fd, part.data(), part.size(), 0)) > 0;)
      answer.append(part.data(), static_cast<size_t>(got));
    ::close(fd);
    return answer;
  }
  static sockaddr_in Address(const char* ip, int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port));
    EXPECT_EQ(::inet_pton(AF_INET, ip, &address.sin_addr), 1);
    return address;
  }

  fs::path base_, folder_;
};

TEST_F(LivePageTest, ShowsWhatStatusShowsAndNothingElse) {
  LivePage page("127.0.0.1", 0, folder_);
  page.Show(Status(12));
  httplib::Client client("127.0.0.1", PortOf(page));
  const auto html = client.Get("/");
  ASSERT_TRUE(html);
  EXPECT_EQ(html->status, 200);
  for (const char* text : {"12 of 40", "step 3 of 20", "past its deadline", "50.00", "run&lt;script&gt;"})
    EXPECT_THAT(html->body, HasSubstr(text));
  EXPECT_THAT(html->body, Not(HasSubstr("<script>")));
  EXPECT_THAT(html->get_header_value("Content-Security-Policy"), HasSubstr("default-src 'none'"));
  EXPECT_NE(html->get_header_value("Refresh"), "");
  page.Show(Status(13));
  EXPECT_THAT(client.Get("/")->body, HasSubstr("13 of 40"));
  EXPECT_EQ(nlohmann::json::parse(client.Get("/status.json")->body).at("done"), 13);
  EXPECT_THAT(client.Get("/metrics")->body, HasSubstr("hullft_queries_done{"));
  EXPECT_EQ(client.Get("/results.jsonl")->status, 404);
  EXPECT_EQ(client.Get("/../results.jsonl")->status, 404);
  EXPECT_NE(client.Post("/", "x=1", "text/plain")->status, 200);
  EXPECT_NE(client.Delete("/")->status, 200);
}

TEST_F(LivePageTest, ListensOnTheAskedAddressAlone) {
  EXPECT_EQ(RunSettings().http_address, "127.0.0.1");
  const LivePage page("127.0.0.1", 0, folder_);
  std::vector<std::string> others = {"127.0.0.2"};  // on Linux every 127.x.y.z is this host
  ifaddrs* all = nullptr;
  ASSERT_EQ(::getifaddrs(&all), 0);
  for (const ifaddrs* i = all; i != nullptr; i = i->ifa_next) {
    if (i->ifa_addr == nullptr || i->ifa_addr->sa_family != AF_INET) continue;
    std::array<char, INET_ADDRSTRLEN> text{};
    const auto* address = reinterpret_cast<const sockaddr_in*>(i->ifa_addr);
    ASSERT_NE(::inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size()), nullptr);
    if (std::string(text.data()) != "127.0.0.1") others.emplace_back(text.data());
  }
  ::freeifaddrs(all);
  for (const std::string& other : others) {
    httplib::Client client(other, PortOf(page));
    EXPECT_EQ(client.Get("/").error(), httplib::Error::Connection) << other;
  }
}

TEST_F(LivePageTest, OnlyReadingIsAnswered) {
  LivePage page("127.0.0.1", 0, folder_);
  page.Show(Status(12));
  for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get"}) {
    for (const char* path : {"/", "/report", "/status.json", "/metrics", "/results.jsonl"}) {
      const std::string request =
          fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nx=1", method, path);
      const std::string answer = Raw(page, request);
      EXPECT_THAT(answer, AllOf(StartsWith("HTTP/1.1 4"), Not(HasSubstr("12 of 40")))) << request;
    }
  }
  EXPECT_EQ(page.pages_served(), 0);
  EXPECT_EQ(httplib::Client("127.0.0.1", PortOf(page)).Get("/")->status, 200);  // still there
}

TEST_F(LivePageTest, NoPathLeadsToAFile) {
  LivePage page("127.0.0.1", 0, folder_);
  std::ofstream(base_ / "secret") << "the secret";
  const std::string inside = folder_.string();
  for (const std::string& path :
       {std::string("/results.jsonl"), std::string("/../secret"), std::string("/%2e%2e/secret"),
        std::string("/%2e%2e%2fsecret"), std::string("/..%2fsecret"), std::string("/..%5csecret"),
        std::string("/%252e%252e/secret"), std::string("/status.json/../../secret"), std::string("/./results.jsonl"),
        std::string("//") + inside + "/results.jsonl", inside + "/results.jsonl", std::string("../secret"),
        std::string("/etc/passwd"), std::string("//etc/passwd"), std::string("file:///etc/passwd"),
        std::string("/status.json%00.html"), std::string("/metrics/"), "/" + std::string(100'000, 'a')}) {
    const std::string answer = Raw(page, "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 4")) << path.substr(0, 99);
    EXPECT_THAT(answer, AllOf(Not(HasSubstr("secret")), Not(HasSubstr("root:")), Not(HasSubstr("key0"))))
        << path.substr(0, 99);
  }
  EXPECT_THAT(Raw(page, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), StartsWith("HTTP/1.1 200"));
}

TEST_F(LivePageTest, HostileTextsStayTexts) {
  const std::string hostile = kHostile + "</script><!--\n# TYPE x\nhullft_queries 7\x01\xff";
  folder_ = base_ / "a\"b\nhullft_queries{run=<script>";
  fs::create_directories(folder_);
  std::ofstream(folder_ / "results.jsonl") << ToJsonLine(SampleRow(0, kHostile, 2.0, 1.0)) << "\n";
  RunStatus status = Status(1);
  status.host = status.state = hostile;
  LivePage page("127.0.0.1", 0, folder_);
  page.Show(status);
  httplib::Client client("127.0.0.1", PortOf(page));
  const auto html = client.Get("/"), json = client.Get("/status.json"), metrics = client.Get("/metrics");
  for (const char* mark : {"<script>", "</script><", "<!--"}) EXPECT_THAT(html->body, Not(HasSubstr(mark)));
  EXPECT_THAT(html->body, HasSubstr("\n" + XmlEscaped(kHostile)));  // a line of the table of results
  EXPECT_THAT(nlohmann::json::parse(json->body).at("host").get<std::string>(), HasSubstr(kHostile));
  EXPECT_THAT(json->body, Not(HasSubstr("\n#")));
  for (const auto* answer : {&html, &json, &metrics})
    EXPECT_EQ((*answer)->get_header_value("X-Content-Type-Options"), "nosniff");
  EXPECT_EQ(json->get_header_value("Content-Type"), "application/json");
  EXPECT_THAT(metrics->get_header_value("Content-Type"), StartsWith("text/plain"));
  std::istringstream lines(metrics->body);
  for (std::string line; std::getline(lines, line);)
    EXPECT_TRUE(line.starts_with("# ") || line.find("{run=\"") < line.find(' ')) << line;
}

TEST_F(LivePageTest, HasTheReportOfTheRowsSoFar) {
  LivePage page("127.0.0.1", 0, folder_);
  page.Show(Status(0));
  httplib::Client client("127.0.0.1", PortOf(page));
  EXPECT_THAT(client.Get("/report")->body, HasSubstr("no query is finished yet"));
  page.Show(Status(3));
  EXPECT_THAT(client.Get("/")->body, HasSubstr("href=\"report\""));
  const auto report = client.Get("/report");
  EXPECT_EQ(report->status, 200);
  EXPECT_THAT(report->body, HasSubstr("3 queries, 1 setting."));
  EXPECT_THAT(report->body, HasSubstr("<svg"));
  EXPECT_THAT(report->body, Not(HasSubstr("<script>document")));
}

TEST_F(LivePageTest, AnswersOnlyUnderItsOwnHost) {  // a web page elsewhere cannot read it by a name of its own
  LivePage page("127.0.0.1", 0, folder_);
  httplib::Client client("127.0.0.1", PortOf(page));
  EXPECT_EQ(client.Get("/", {{"Host", "evil.example:80"}})->status, 403);
  EXPECT_EQ(client.Get("/", {{"Host", "127.0.0.1.evil.example"}})->status, 403);
  EXPECT_EQ(client.Get("/", {{"Host", "localhost:" + std::to_string(PortOf(page))}})->status, 200);
}

TEST_F(LivePageTest, ADamagedJournalIsSaid) {
  std::ofstream(folder_ / "results.jsonl") << "{}\n{}\n";
  LivePage page("127.0.0.1", 0, folder_);
  page.Show(Status(2));
  httplib::Client client("127.0.0.1", PortOf(page));
  const auto answer = client.Get("/");
  EXPECT_EQ(answer->status, 500);
  EXPECT_THAT(answer->body, HasSubstr("results.jsonl"));
}

TEST_F(LivePageTest, APortThatIsTakenIsAnError) {
  const LivePage page("127.0.0.1", 0, folder_);
  ExpectFault(Code::kUsage, "cannot listen on 127.0.0.1", [&] { LivePage("127.0.0.1", PortOf(page), folder_); });
}

TEST_F(LivePageTest, InABrowser) {
  const std::string browser = Output("command -v chromium || command -v google-chrome || true");
  if (browser.empty()) GTEST_SKIP() << "no chromium here: apt-get install chromium to look at the page in a browser";
  LivePage page("127.0.0.1", 0, folder_);
  page.Show(Status(12));
  const std::string command =
      "exec 2>/dev/null; export HOME=" + base_.string() + "; exec timeout -k 10 100 " +
      browser.substr(0, browser.find('\n')) +
      " --headless --no-sandbox --disable-gpu --disable-dev-shm-usage --user-data-dir=" + (base_ / "profile").string();
  const std::string dom = Output(command + " --dump-dom " + page.url());
  EXPECT_THAT(dom, HasSubstr("12 of 40"));
  EXPECT_THAT(dom, HasSubstr("<title>hullft: "));  // no script has run
  EXPECT_THAT(dom, HasSubstr("&lt;script&gt;document.title"));
  // Left open, it asks again by itself.
  const int64_t served = page.pages_served();
  FILE* left_open = ::popen(("echo $$; " + command + " --remote-debugging-port=0 " + page.url()).c_str(), "r");
  std::array<char, 32> pid{};
  ASSERT_NE(std::fgets(pid.data(), pid.size(), left_open), nullptr);
  for (int tick = 0; tick < 900 && page.pages_served() < served + 3; ++tick)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_GE(page.pages_served(), served + 3);
  ::kill(std::stoi(pid.data()), SIGTERM);  // of timeout, which hands it on
  Rest(left_open);                         // until its last process has left the profile's folder
}

}  // namespace
}  // namespace hullft::coordinator
