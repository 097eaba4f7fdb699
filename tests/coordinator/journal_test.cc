#include "coordinator/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <fstream>
#include <limits>
#include <thread>

#include "common/error.h"
#include "tests/caught.h"
#include "tests/coordinator/sample_rows.h"

namespace hullft::coordinator {
namespace {
using ::testing::HasSubstr;
namespace fs = std::filesystem;

fs::path FreshFile(const std::string& name) {
  const fs::path folder = fs::path(::testing::TempDir()) / ("journal_" + name + std::to_string(::getpid()));
  fs::remove_all(folder);
  fs::create_directories(folder);
  return folder / "results.jsonl";
}

std::vector<std::string> Lines(const std::vector<Row>& rows) {
  std::vector<std::string> lines;
  for (const Row& row : rows) lines.push_back(ToJsonLine(row));
  return lines;
}

TEST(Row, ReadsBackToTheSameBits) {
  const Row row = SampleRow(4, "Man \"Pages\"\n", 1.0 / 7, 0.1);
  const Row back = ParseRow(ToJsonLine(row));
  EXPECT_EQ(ToJsonLine(back), ToJsonLine(row));
  EXPECT_EQ(back.weights, row.weights);
  EXPECT_EQ(back.ids, row.ids);
  EXPECT_EQ(back.before.rolling, row.before.rolling);
  EXPECT_EQ(back.subset, row.subset);
  const Row failed = ParseRow(ToJsonLine(FailedRow(2, "all", "out of memory \xff")));
  EXPECT_FALSE(failed.ok);
  EXPECT_THAT(failed.reason, HasSubstr("out of memory"));
}

TEST(Row, NamesTheFieldThatIsWrong) {
  std::string line = ToJsonLine(SampleRow(1, "a", 1, 1));
  line.replace(line.find("\"weights\""), 9, "\"weight_\"");
  ExpectFault(Code::kData, "weights", [&] { ParseRow(line); });
}

TEST(Row, RefusesNumbersThatAFieldCannotHold) {
  const std::string line = ToJsonLine(SampleRow(1, "a", 1, 1));
  const auto fault = [&](const std::string& from, const std::string& to, const std::string& field) {
    std::string changed = line;
    changed.replace(changed.find(from), from.size(), to);
    ExpectFault(Code::kData, field, [&] { ParseRow(changed); });
  };
  fault("\"query\":1,", "\"query\":1.5,", "query");
  fault("\"query\":1,", "\"query\":1e300,", "query");
  fault("\"ids\":[7,", "\"ids\":[-7,", "ids");
  fault("\"attempts\":2", "\"attempts\":4294967298", "attempts");
}

TEST(Journal, WritesAndRecovers) {
  const fs::path path = FreshFile("recovers");
  std::vector<Row> rows;
  for (int i = 0; i < 50; ++i) rows.push_back(SampleRow(i, "a", 2, 1));
  {
    Journal journal(path);
    EXPECT_TRUE(journal.recovered().empty());
    for (int i = 0; i < 20; ++i) journal.Append(rows[i]);
    journal.Flush();
    EXPECT_EQ(journal.durable(), 20);
    EXPECT_EQ(ReadJournal(path).rows.size(), 20u);
    for (int i = 20; i < 50; ++i) journal.Append(rows[i]);  // the destructor makes these durable
  }
  Journal again(path);
  EXPECT_EQ(Lines(again.recovered()), Lines(rows));
}

// Whatever length a crash left the file at, the whole rows come back and writing goes on.
TEST(Journal, CutsATornLineAtEveryLength) {
  const fs::path path = FreshFile("torn");
  std::string text;
  std::vector<size_t> ends = {0};
  for (int i = 0; i < 3; ++i) {
    text += ToJsonLine(SampleRow(i, "a", 2, 1)) + "\n";
    ends.push_back(text.size());
  }
  for (size_t length = 0; length <= text.size(); ++length) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text.substr(0, length);
    const size_t whole = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), length) - ends.begin() - 1);
    if (length % 31 != 0 && length != ends[whole] && length + 2 < text.size()) continue;  // enough of them
    if (length % 93 != 0 && length != ends[whole] && length != text.size() - 1) {         // without fsync for most
      const JournalContent content = ReadJournal(path);
      ASSERT_EQ(content.rows.size(), whole) << length;
      ASSERT_EQ(content.whole_bytes, static_cast<int64_t>(ends[whole])) << length;
      continue;
    }
    {
      Journal journal(path);
      ASSERT_EQ(journal.recovered().size(), whole) << length;
      journal.Append(SampleRow(99, "a", 2, 1));
      journal.Flush();
    }
    const JournalContent content = ReadJournal(path);
    ASSERT_EQ(content.rows.size(), whole + 1) << length;
    ASSERT_EQ(content.rows.back().query, 99);
    ASSERT_EQ(content.torn_bytes, 0);
  }
}

// Every bit of a line but those of the checksum's own name and frame; and rows of older versions have none.
TEST(Journal, AFlippedBitOfARowIsFoundByItsChecksum) {
  const std::string line = SealedLine(SampleRow(4, "Pile-CC", 1.0 / 7, 0.1));
  CheckSeal(line);
  EXPECT_EQ(ToJsonLine(ParseRow(line)), ToJsonLine(SampleRow(4, "Pile-CC", 1.0 / 7, 0.1)));
  const size_t json = ToJsonLine(SampleRow(4, "Pile-CC", 1.0 / 7, 0.1)).size() - 1;  // without its brace
  for (size_t at = 0; at < json; ++at) {
    std::string bad = line;
    bad[at] = static_cast<char>(bad[at] ^ (1 << at % 8));
    ExpectFault(Code::kData, "checksum", [&] { CheckSeal(bad); });
  }
  CheckSeal(ToJsonLine(SampleRow(4, "a", 2, 1)));

  const fs::path path = FreshFile("flipped");
  std::string text = line;
  text.replace(text.find("\"worker\":3"), 10, "\"worker\":2");
  std::ofstream(path) << text << "\n" << line << "\n";
  ExpectFault(Code::kData, "results.jsonl:1: not a row of a journal: its checksum does not fit",
              [&] { ReadJournal(path); });
}

TEST(Journal, ADamagedLineInTheMiddleIsAnErrorThatNamesIt) {
  const fs::path path = FreshFile("damaged");
  std::ofstream(path) << ToJsonLine(SampleRow(0, "a", 2, 1)) << "\n{\"key\": 3}\n"
                      << ToJsonLine(SampleRow(1, "a", 2, 1)) << "\n";
  ExpectFault(Code::kData, "results.jsonl:2:", [&] { const Journal journal(path); });
}

TEST(Journal, RowsOfManyThreadsStayWhole) {
  const fs::path path = FreshFile("threads");
  {
    Journal journal(path);
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0; i < 500; ++i) journal.Append(SampleRow(t * 500 + i, "a", 2, 1));
      });
    }
    for (std::thread& thread : threads) thread.join();
    journal.Flush();
    EXPECT_EQ(journal.durable(), 2000);
  }
  EXPECT_EQ(LatestRows(ReadJournal(path).rows).size(), 2000u);
}

// A write that fails in the middle of a group (here: the file size limit) is reported and leaves whole rows only.
TEST(Journal, AFailedWriteIsReportedAndLeavesNoTornRow) {
  const fs::path path = FreshFile("full");
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  {
    Journal journal(path);
    journal.Append(SampleRow(0, "a", 2, 1));
    journal.Flush();
    rlimit limit = old;
    limit.rlim_cur = fs::file_size(path) + 10;
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
    journal.Append(SampleRow(1, "a", 2, 1));
    EXPECT_THROW(journal.Flush(), Error);
    EXPECT_THROW(journal.Append(SampleRow(2, "a", 2, 1)), Error);
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  }
  const JournalContent content = ReadJournal(path);
  EXPECT_EQ(content.rows.size(), 1u);
  EXPECT_EQ(content.torn_bytes, 0);
}

// Found by fuzzing a report: their sum overflowed.
TEST(Journal, CountsThatCannotBeAreRefused) {
  Row row = SampleRow(0, "a", 2, 1);
  row.guard = "mark";
  row.leak_trained = 3;
  EXPECT_EQ(ParseRow(ToJsonLine(row)).leak_trained, 3);
  for (const int64_t count : {std::numeric_limits<int64_t>::max(), int64_t{-1}}) {
    row.leak_trained = count;
    ExpectFault(Code::kData, "leak_trained", [&] { ParseRow(ToJsonLine(row)); });
  }
}

TEST(LatestRows, TakesTheNewestAndAFinishedOneBeforeAFailedOne) {
  std::vector<Row> rows = {FailedRow(1, "a", "x"),     SampleRow(0, "a", 2, 1),     SampleRow(1, "a", 2, 1),
                           FailedRow(2, "a", "first"), FailedRow(2, "a", "second"), FailedRow(0, "a", "later failure")};
  const std::vector<Row> latest = LatestRows(rows);
  ASSERT_EQ(latest.size(), 3u);
  EXPECT_TRUE(latest[0].ok);
  EXPECT_TRUE(latest[1].ok);
  EXPECT_EQ(latest[2].reason, "second");
}

}  // namespace
}  // namespace hullft::coordinator
