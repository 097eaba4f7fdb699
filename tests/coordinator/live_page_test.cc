// The page about a run: what it answers, to whom, and what a browser makes of it.
#include "coordinator/live_page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/caught.h"
#include "tests/coordinator/sample_rows.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;
using ::testing::Not;
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
