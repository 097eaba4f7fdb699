// The journal: what is accepted is written so that it reads back as the same row.
#include "coordinator/journal.h"
#include "tests/fuzz/targets.h"

namespace hullft::fuzz {

void Journal(std::string_view input) {
  coordinator::JournalContent content;
  const auto file = InFile("results.jsonl", input);
  if (!Accepted([&] { content = coordinator::ReadJournal(file); })) return;
  Require(content.whole_bytes + content.torn_bytes == static_cast<int64_t>(input.size()),
          "every byte is accounted for");
  for (const coordinator::Row& row : content.rows) {
    const std::string line = coordinator::ToJsonLine(row);
    Require(coordinator::ToJsonLine(coordinator::ParseRow(line)) == line, "a written row reads back");
  }
  Require(coordinator::LatestRows(content.rows).size() <= content.rows.size(), "one row of each key");
}

}  // namespace hullft::fuzz
