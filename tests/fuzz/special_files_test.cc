// What is no file in the place of one: each reader refuses it at once and says what it is. A pipe without a writer
// would be waited for until somebody ends the run; a device may never end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <functional>

#include "common/files.h"
#include "common/gguf/gguf.h"
#include "common/npy.h"
#include "common/tokenizer/tokenizer.h"
#include "coordinator/journal.h"
#include "coordinator/study/run_data.h"
#include "index/faiss_flat_file.h"
#include "index/jsonl_reader.h"
#include "index/manifest.h"
#include "tests/caught.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/checkpoint/sentence_settings.h"
#include "worker/models/config.h"

namespace hullft {
namespace {
namespace fs = std::filesystem;

struct Reader {
  const char* file;  // that it reads in a folder
  std::function<void(const fs::path& folder)> read;
};

void ReadRecords(const fs::path& path) {
  index::Rejects rejects("", 1000);
  index::JsonlReader reader(path, &rejects);
  for (index::Record record; reader.Next(&record);) {
  }
}

const Reader kReaders[] = {
    {"a", [](const fs::path& f) { ReadFile(f / "a"); }},
    {"config.json", [](const fs::path& f) { worker::ConfigReader(f / "config.json"); }},
    {"modules.json", [](const fs::path& f) { worker::ReadSentenceSettings(f, ""); }},
    {"model.safetensors", [](const fs::path& f) { worker::Checkpoint checkpoint(f); }},
    {"model.safetensors.index.json", [](const fs::path& f) { worker::Checkpoint checkpoint(f); }},
    {"tokenizer.json", [](const fs::path& f) { Tokenizer::Load(f / "tokenizer.json"); }},
    {"m.gguf", [](const fs::path& f) { GgufFile file(f / "m.gguf"); }},
    {"x.npy", [](const fs::path& f) { NpyFile file(f / "x.npy"); }},
    {"q.jsonl", [](const fs::path& f) { ReadRecords(f / "q.jsonl"); }},
    {"q.jsonl.gz", [](const fs::path& f) { ReadRecords(f / "q.jsonl.gz"); }},
    {"q.jsonl.zst", [](const fs::path& f) { ReadRecords(f / "q.jsonl.zst"); }},
    {"x.faiss", [](const fs::path& f) { index::FaissFlatFile::Is(f / "x.faiss"); }},
    {"corpus.json", [](const fs::path& f) { index::ReadCorpusManifest(f); }},
    {"manifest.json", [](const fs::path& f) { index::ReadPartitionManifest(f); }},
    {"results.jsonl", [](const fs::path& f) { coordinator::ReadJournal(f / "results.jsonl"); }},
    {"provenance.json", [](const fs::path& f) { study::ReadProvenance(f); }},
};

class SpecialFiles : public ::testing::Test {
 protected:
  SpecialFiles() : folder_(fs::temp_directory_path() / ("hullft_special_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~SpecialFiles() override { fs::remove_all(folder_); }

  void ExpectRefused(const char* kind, const std::function<void(const fs::path&)>& make,
                     const std::function<bool(const Reader&)>& leave_out = nullptr) {
    ::alarm(60);  // who waits is ended, in place of the whole suite's time
    for (const Reader& reader : kReaders) {
      if (leave_out && leave_out(reader)) continue;
      make(folder_ / reader.file);
      ExpectFault(Code::kData, kind, [&] { reader.read(folder_); });
      fs::remove_all(folder_ / reader.file);
    }
    ::alarm(0);
  }
  const fs::path folder_;
};

TEST_F(SpecialFiles, NamedPipes) {
  ExpectRefused("is a named pipe, a file was expected",
                [](const fs::path& path) { ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0); });
}

TEST_F(SpecialFiles, Folders) {
  const auto is_read_inside = [](const Reader& reader) { return std::string_view(reader.file) == "tokenizer.json"; };
  ExpectRefused(
      "is a folder, a file was expected", [](const fs::path& path) { fs::create_directory(path); }, is_read_inside);
}

TEST_F(SpecialFiles, Devices) {
  ExpectRefused("is a device, a file was expected",
                [](const fs::path& path) { fs::create_symlink("/dev/zero", path); });
}

TEST_F(SpecialFiles, Sockets) {
  ExpectRefused("is a socket, a file was expected", [](const fs::path& path) {
    const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    ASSERT_LT(path.string().size(), sizeof address.sun_path);
    std::strcpy(address.sun_path, path.c_str());
    ASSERT_EQ(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ::close(socket);
  });
}

TEST_F(SpecialFiles, APipeWhereAFileIsToBeWritten) {
  ::alarm(60);
  ASSERT_EQ(::mkfifo((folder_ / "results.jsonl").c_str(), 0600), 0);
  ExpectFault(Code::kData, "pipe", [&] { AppendFile file(folder_ / "results.jsonl"); });
  ASSERT_EQ(::mkfifo((folder_ / "status.json.tmp").c_str(), 0600), 0);
  ExpectFault(Code::kData, "pipe", [&] { WriteFileAtomic(folder_ / "status.json", "{}"); });
  ::alarm(0);
}

// A user's own stream, which is read once from its beginning.
TEST_F(SpecialFiles, StreamsWhereTheyAreMeant) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], "n = 5\n", 6), 6);
  ::close(ends[1]);
  EXPECT_EQ(ReadFileOrStream("/dev/fd/" + std::to_string(ends[0])), "n = 5\n");
  ::close(ends[0]);
  ExpectFault(Code::kData, "is a folder", [&] { ReadFileOrStream(folder_); });
}

TEST_F(SpecialFiles, ANameThatIsTooLongIsNoBugOfHullft) {
  ExpectFault(Code::kIo, "too long", [&] { Exists(folder_ / std::string(5000, 'x')); });
}

}  // namespace
}  // namespace hullft
