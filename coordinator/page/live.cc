#include "coordinator/page/live.h"

#include <fmt/chrono.h>

#include "common/progress.h"
#include "common/xml.h"
#include "coordinator/page/html.h"

namespace hullft::page {
namespace {
using coordinator::RunStatus;
using coordinator::RunView;
using coordinator::WorkerView;

std::string Bar(const RunView& view) {
  return fmt::format("<p><progress max=\"{0}\" value=\"{1}\">{1} of {0}</progress> {1} of {0} queries</p>\n",
                     std::max<int64_t>(1, view.total), view.done);
}

study::Table Numbers(const RunView& view) {
  const auto left = RemainingSeconds(view);
  return {"The run",
          {"failed", "queries/s", "running for", "left", "in rounds", "ready", "in flight", "late"},
          {{std::to_string(view.failed), fmt::format("{:.3g}", Rate(view)), FormatDuration(view.seconds),
            left ? FormatDuration(*left) : "", std::to_string(view.in_rounds), std::to_string(view.ready),
            std::to_string(view.in_flight), std::to_string(view.late)}}};
}

study::Table Workers(const RunView& view) {
  study::Table table{"Workers", {"rank", "busy", "in flight", "at"}, {}};
  for (const WorkerView& worker : view.workers) {
    table.rows.push_back({std::to_string(worker.rank), fmt::format("{:.0f}%", 100 * worker.busy),
                          std::to_string(worker.in_flight), coordinator::StageText(worker)});
  }
  return table;
}

}  // namespace

std::string LiveHtml(const RunStatus& status, const std::string& run, const std::string& results) {
  const std::time_t updated = static_cast<std::time_t>(status.updated);
  std::string body = "<h1>" + XmlEscaped(run) + "</h1>\n";
  body += fmt::format("<p id=\"state\">{} on {}; {:%Y-%m-%d %H:%M:%S} UTC</p>\n", XmlEscaped(status.state),
                      XmlEscaped(status.host), fmt::gmtime(updated));
  body += Bar(status.view) + TableHtml(Numbers(status.view)) + TableHtml(Workers(status.view));
  if (!results.empty())
    body += "<h2>So far</h2>\n<div class=\"scroll\"><pre id=\"results\">" + XmlEscaped(results) +
            "</pre></div>\n<p><a href=\"report\">All tables and plots of the rows so far</a></p>\n";
  return DocumentHtml("hullft: " + run, body, StatusJson(status));
}

}  // namespace hullft::page
