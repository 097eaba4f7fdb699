// status.json of a run: what is accepted is shown, and written so that it reads back as the same.
#include "coordinator/page/live.h"
#include "coordinator/run_display.h"
#include "coordinator/run_status.h"
#include "tests/fuzz/targets.h"

namespace hullft::fuzz {

void Status(std::string_view input) {
  Accepted([&] {
    const coordinator::RunStatus status = coordinator::ParseStatus(std::string(input), "status.json");
    for (const std::string& line : coordinator::Screen(status.view, 100)) Require(line.size() <= 100, "a line fits");
    coordinator::LogLine(status.view);
    coordinator::PrometheusText(status, "run");
    page::LiveHtml(status, "run", "");
    const std::string json = coordinator::StatusJson(status);
    Require(coordinator::StatusJson(coordinator::ParseStatus(json, "status.json")) == json, "a status reads back");
  });
}

}  // namespace hullft::fuzz
