#include "index/jsonl_reader.h"

#include <gmock/gmock.h>
#include <zlib.h>
#include <zstd.h>

#include "index/byte_source.h"
#include "index/inputs.h"
#include "tests/index/test_corpus.h"

namespace hullft::index {
namespace {
using ::testing::HasSubstr;

std::string Gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string Zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

struct Row {
  int64_t number, line;
  std::string text, meta;
  bool operator==(const Row&) const = default;
};

std::vector<Row> ReadAll(const std::filesystem::path& path, Rejects* rejects, JsonlOptions options = {}) {
  JsonlReader reader(path, rejects, options);
  std::vector<Row> rows;
  Record record;
  while (reader.Next(&record))
    rows.push_back({record.number, record.line, std::string(record.text), std::string(record.meta)});
  return rows;
}

class JsonlReaderTest : public ::testing::Test {
 protected:
  // What is wrong with a file of one good line and then this one.
  Error Fault(const std::string& line) {
    WriteFileAtomic(folder_ / "bad.jsonl", "{\"text\": \"good\"}\n" + line + "\n");
    Rejects rejects(folder_ / "rejects.jsonl", 0);
    return Caught([&] { ReadAll(folder_ / "bad.jsonl", &rejects); });
  }
  TemporaryFolder folder_;
};

TEST_F(JsonlReaderTest, PlainGzipAndZstdGiveTheSameRecords) {
  const auto texts = RandomTexts(2000, 1);
  const std::string jsonl = ToJsonl(texts);
  const size_t half = jsonl.size() / 2;
  WriteFileAtomic(folder_ / "a.jsonl", jsonl);
  WriteFileAtomic(folder_ / "a.jsonl.gz", Gzip(jsonl.substr(0, half)) + Gzip(jsonl.substr(half)));  // two members
  WriteFileAtomic(folder_ / "a.jsonl.zst", Zstd(jsonl.substr(0, half)) + Zstd(jsonl.substr(half)));
  Rejects rejects("", 0);
  const auto plain = ReadAll(folder_ / "a.jsonl", &rejects);
  ASSERT_EQ(plain.size(), texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(plain[i].text, texts[i]);
    EXPECT_EQ(plain[i].number, static_cast<int64_t>(i));
    EXPECT_EQ(plain[i].line, static_cast<int64_t>(i) + 1);
    EXPECT_EQ(nlohmann::json::parse(plain[i].meta), (nlohmann::json{{"pile_set_name", "Set"}, {"n", i}}));
  }
  EXPECT_EQ(ReadAll(folder_ / "a.jsonl.gz", &rejects), plain);
  EXPECT_EQ(ReadAll(folder_ / "a.jsonl.zst", &rejects), plain);
}

TEST_F(JsonlReaderTest, DamagedAndCutCompressedFilesAreErrors) {
  const std::string jsonl = ToJsonl(RandomTexts(2000, 2));
  Rejects rejects("", 0);
  const auto read = [&](const std::string& name, const std::string& bytes) {
    WriteFileAtomic(folder_ / name, bytes);
    return Caught([&] { ReadAll(folder_ / name, &rejects); });
  };
  const std::string gzip = Gzip(jsonl), zstd = Zstd(jsonl);
  for (const auto& [name, bytes] : {std::pair{"cut.jsonl.gz", gzip.substr(0, gzip.size() / 2)},
                                    std::pair{"cut.jsonl.zst", zstd.substr(0, zstd.size() / 2)}}) {
    const Error error = read(name, bytes);
    EXPECT_EQ(error.code(), Code::kData);
    EXPECT_THAT(error.message(), HasSubstr(std::string(name) + ": the compressed data is cut off"));
  }
  std::string damaged = gzip;
  damaged[damaged.size() - 6] ^= 1;  // in the checksum
  EXPECT_THAT(read("bad.jsonl.gz", damaged).message(), HasSubstr("damaged gzip data"));
  damaged = zstd;
  damaged[damaged.size() / 2] ^= 1;
  EXPECT_EQ(read("bad.jsonl.zst", damaged).code(), Code::kData);
  EXPECT_THAT(read("plain.jsonl.gz", jsonl).message(), HasSubstr("named .gz"));
  EXPECT_EQ(Caught([&] { ReadAll(folder_ / "missing.jsonl", &rejects); }).code(), Code::kIo);
  EXPECT_EQ(Caught([&] { ReadAll(folder_.path(), &rejects); }).code(), Code::kData);
}

TEST_F(JsonlReaderTest, BadRecordsNameFileLineAndReason) {
  const std::pair<std::string, std::string> cases[] = {
      {"{\"text\": \"x\"", "is not JSON"},
      {"{\"text\": \"x\"} {}", "is not JSON"},
      {"{\"text\": \"x\", }", "is not JSON"},
      {"[1]", "is not a JSON object"},
      {"{\"txet\": \"x\"}", "has no field 'text'"},
      {"{\"text\": \"\"}", "has an empty 'text'"},
      {"{\"text\": null}", "not a string"},
      {"{\"text\": \"a\", \"text\": \"b\"}", "two fields 'text'"},
      {"{\"text\": \"a\xff\"}", "is not valid UTF-8"},
      {"{\"text\": \"a\xed\xa0\x80\"}", "is not valid UTF-8"},
      {"{\"text\": \"a\\ud800\"}", "surrogate"},
      {"{\"text\": \"a\\udc00b\"}", "surrogate"},
      {"{\"text\": \"a\\ud800\\ud800\"}", "surrogate"},
      {"{\"text\": \"a\", \"meta\": {\"k\": \"\\udfff\"}}", "surrogate"},
  };
  for (const auto& [line, reason] : cases) {
    const Error error = Fault(line);
    EXPECT_EQ(error.code(), Code::kData) << line;
    EXPECT_THAT(error.message(), HasSubstr((folder_ / "bad.jsonl").string() + ":2: ")) << line;
    EXPECT_THAT(error.message(), HasSubstr(reason)) << line;
    EXPECT_THAT(error.hint(), HasSubstr("--max-rejects")) << line;
    const auto row = nlohmann::json::parse(ReadFile(folder_ / "rejects.jsonl"));
    EXPECT_EQ(row["line"], 2);
    EXPECT_THAT(row["reason"].get<std::string>(), HasSubstr(reason));
  }
}

TEST_F(JsonlReaderTest, RejectsAreSkippedUpToTheLimitAndKeepTheNumbers) {
  WriteFileAtomic(
      folder_ / "a.jsonl",
      "\xef\xbb\xbf{\"text\": \"0\"}\r\nnonsense\n\n   \n{\"text\": \"2\", \"meta\": null}\n{}\n{\"text\": \"4\"}");
  Rejects rejects(folder_ / "rejects.jsonl", 2);
  EXPECT_EQ(ReadAll(folder_ / "a.jsonl", &rejects),
            (std::vector<Row>{{0, 1, "0", ""}, {2, 5, "2", ""}, {4, 7, "4", ""}}));
  EXPECT_EQ(rejects.count(), 2);
  const std::string list = ReadFile(folder_ / "rejects.jsonl");
  EXPECT_EQ(std::count(list.begin(), list.end(), '\n'), 2);
  Rejects one("", 1);
  EXPECT_THAT(Caught([&] { ReadAll(folder_ / "a.jsonl", &one); }).message(), HasSubstr("a.jsonl:6"));
}

TEST_F(JsonlReaderTest, ALineAboveTheLimitIsOneRejectAndNotHeldInMemory) {
  std::string file = "{\"text\": \"a\"}\n{\"text\": \"";
  file.append(50 << 20, 'x');
  file += "\"}\n{\"text\": \"b\"}\n";
  WriteFileAtomic(folder_ / "a.jsonl.gz", Gzip(file));
  Rejects rejects(folder_ / "rejects.jsonl", 1);
  EXPECT_EQ(ReadAll(folder_ / "a.jsonl.gz", &rejects), (std::vector<Row>{{0, 1, "a", ""}, {2, 3, "b", ""}}));
  EXPECT_THAT(ReadFile(folder_ / "rejects.jsonl"), HasSubstr("52428812 bytes long"));
  WriteFileAtomic(folder_ / "b.jsonl", "{\"text\": \"12345\"}\n{\"text\": \"123456\"}\n");  // 17 and 18 bytes
  Rejects limit("", 1);
  EXPECT_EQ(ReadAll(folder_ / "b.jsonl", &limit, {.max_line_bytes = 17}).size(), 1u);
  EXPECT_EQ(limit.count(), 1);
}

TEST_F(JsonlReaderTest, TextMayBeOptional) {
  WriteFileAtomic(folder_ / "a.jsonl", "{\"tokens\": [1, 2]}\n");
  Rejects rejects("", 0);
  JsonlReader reader(folder_ / "a.jsonl", &rejects, {.need_text = false});
  Record record;
  ASSERT_TRUE(reader.Next(&record));
  EXPECT_EQ(record.json, "{\"tokens\": [1, 2]}");
  EXPECT_TRUE(record.text.empty());
  EXPECT_FALSE(reader.Next(&record));
}

TEST(InputsTest, ChunksJoinToTheTextAndEndAtLineEnds) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    std::string text;
    for (const auto& part : RandomTexts(40, seed)) text += part + (Hash64(part) % 3 == 0 ? "\n" : "");
    std::string joined;
    int64_t line = 1;
    CutIntoChunks(text, 64, [&](std::string_view chunk, int64_t first_line) {
      EXPECT_FALSE(chunk.empty());
      EXPECT_LE(chunk.size(), 64u);
      EXPECT_EQ(first_line, line);
      EXPECT_EQ(static_cast<unsigned char>(chunk[0]) & 0xc0,
                static_cast<unsigned char>(chunk[0]) & 0x80 ? 0xc0 : chunk[0] & 0xc0);
      // A chunk that holds a line end and is not the last ends with one.
      if (joined.size() + chunk.size() < text.size() && chunk.find('\n') != std::string_view::npos) {
        EXPECT_EQ(chunk.back(), '\n');
      }
      line += std::count(chunk.begin(), chunk.end(), '\n');
      joined += chunk;
    });
    EXPECT_EQ(joined, text);
  }
}

TEST(InputsTest, AFolderGivesItsTextFilesInOrderOfPath) {
  TemporaryFolder folder;
  std::filesystem::create_directories(folder / "texts/b");
  std::filesystem::create_directories(folder / "texts/.git");
  WriteFileAtomic(folder / "texts/b/x.txt", "one\ntwo\n");
  WriteFileAtomic(folder / "texts/a.txt", "  \n\n");
  WriteFileAtomic(folder / "texts/c.bin", "good line here\n\xff\xfe rest\n");
  WriteFileAtomic(folder / "texts/.git/hidden", "no");
  const auto files = ListInputs({(folder / "texts").string()});
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[1].name, "b/x.txt");
  Rejects rejects(folder / "rejects", 5);
  std::vector<std::pair<uint64_t, std::string>> got;
  for (const auto& file : files) {
    ReadInput(file, {.chunk_bytes = 16}, &rejects, [&](const InputRecord& r) {
      got.emplace_back(r.id.value, std::string(r.text));
      EXPECT_THAT(std::string(r.meta), HasSubstr(file.name));
    });
  }
  EXPECT_EQ(got, (std::vector<std::pair<uint64_t, std::string>>{{1ull << 40, "one\ntwo\n"},
                                                                {2ull << 40, "good line here\n"}}));
  EXPECT_THAT(ReadFile(folder / "rejects"), HasSubstr("\"line\":2"));
  WriteFileAtomic(folder / "texts/d.jsonl.gz", "");
  EXPECT_THAT(Caught([&] { ListInputs({(folder / "texts").string()}); }).message(), HasSubstr("d.jsonl.gz"));
  EXPECT_EQ(Caught([&] { ListInputs({(folder / "nowhere").string()}); }).code(), Code::kData);
}

}  // namespace
}  // namespace hullft::index
