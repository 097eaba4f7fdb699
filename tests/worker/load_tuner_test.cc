// One read of the checkpoint: workers as threads over the in-process communicator, and as processes over sockets. Every
// worker but the first gets a model folder without weights, so that none could have read them itself.
#include "worker/load_tuner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <latch>
#include <thread>

#include "common/comm/in_process.h"
#include "common/error.h"
#include "common/files.h"
#include "worker/shared_weights.h"

namespace hullft::worker {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

const fs::path kModel = fs::path(HULLFT_GOLDENS) / "finetune/llama_gqa_tied";
constexpr std::chrono::seconds kWait{60};

class Folders : public ::testing::Test {
 protected:
  void SetUp() override {
    without_ = fs::temp_directory_path() / fmt::format("hullft_load_tuner_{}", getpid());
    fs::create_directories(without_);
    fs::copy_file(kModel / "config.json", without_ / "config.json", fs::copy_options::overwrite_existing);
  }
  void TearDown() override { fs::remove_all(without_); }
  std::string Folder(int rank) const { return rank == 0 ? kModel : without_; }
  fs::path without_;  // config.json alone
};

// Scores and a short run: every weight takes part.
std::vector<double> Numbers(Tuner& tuner) {
  TuneSettings settings{.learning_rate = 1e-3, .max_length = 24};
  const std::vector<TrainSequence> train = {{{5, 6, 7, 8, 9, 10, 11, 12}, 3}};
  const std::vector<EvalDocument> eval = {{{9, 8, 7, 6, 5, 4, 3, 2, 1}, 30}};
  const TuneResult result = tuner.Run(settings, train, eval, /*grad_norms=*/true);
  return {result.before[0].log_likelihood, result.after[0].log_likelihood, result.steps[0].grad_norm,
          result.steps[2].grad_norm};
}

WeightGroup GroupOf(comm::Communicator& group) {
  return {group.rank(), group.size(), [&group](int root, std::string bytes) {
            return group.Broadcast(root, std::move(bytes), comm::After(kWait));
          }};
}

// Runs body(rank, exchange) on a thread for each host of `hosts`; returns what each threw ("" for nothing).
std::vector<std::string> OnThreads(const std::vector<std::string>& hosts,
                                   const std::function<void(int, const WeightExchange&)>& body) {
  comm::InProcessWorld world(static_cast<int>(hosts.size()), hosts);
  std::vector<std::string> errors(hosts.size());
  std::vector<std::thread> threads;
  for (int r = 0; r < world.size(); ++r) {
    threads.emplace_back([&, r] {
      comm::Communicator& all = world.rank(r);
      const auto color = std::find(hosts.begin(), hosts.end(), hosts[static_cast<size_t>(r)]) - hosts.begin();
      const auto node = all.Split(static_cast<int>(color), comm::After(kWait));
      const auto leaders = all.Split(node->rank() == 0 ? 0 : -1, comm::After(kWait));
      WeightExchange exchange{GroupOf(all), GroupOf(*node), leaders ? GroupOf(*leaders) : WeightGroup{},
                              hosts[static_cast<size_t>(r)]};
      try {
        body(r, exchange);
      } catch (const std::exception& error) {
        errors[static_cast<size_t>(r)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

int MappingsOfSharedWeights(pid_t pid, std::string* modes) {
  std::ifstream maps(fmt::format("/proc/{}/maps", pid));
  int count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("memfd:hullft_weights") == std::string::npos) continue;
    ++count;
    *modes += line.substr(line.find(' ') + 1, 4) + " ";
  }
  return count;
}

TEST_F(Folders, ThreadsOnThreeHosts) {
  const std::vector<double> expected = Numbers(*Tuner::Load({.model_dir = kModel, .threads = 1}));
  const std::vector<std::string> hosts = {"a", "b", "a", "c", "b", "a"};
  std::vector<std::vector<double>> numbers(hosts.size());
  std::latch loaded(static_cast<std::ptrdiff_t>(hosts.size()));
  std::string modes;
  const auto errors = OnThreads(hosts, [&](int rank, const WeightExchange& exchange) {
    std::unique_ptr<Tuner> tuner;
    try {
      tuner = LoadTunerShared({.model_dir = Folder(rank), .threads = 1}, exchange);
    } catch (...) {
      loaded.count_down();
      throw;
    }
    loaded.arrive_and_wait();
    // "a" has one copy and two more mappings of it, "b" one and one, "c", alone on its host, private memory.
    if (rank == 0) {
      EXPECT_EQ(MappingsOfSharedWeights(getpid(), &modes), 5);
    }
    numbers[static_cast<size_t>(rank)] = Numbers(*tuner);
  });
  EXPECT_THAT(errors, ::testing::Each(""));
  EXPECT_EQ(modes, "r--s r--s r--s r--s r--s ");
  EXPECT_THAT(numbers, ::testing::Each(expected));
  EXPECT_EQ(MappingsOfSharedWeights(getpid(), &modes), 0);
}

TEST_F(Folders, AFailureOfOneIsThrownByAll) {
  const std::vector<std::string> hosts = {"a", "a", "b", "b"};
  const auto load = [&](int failing, const std::string& model) {
    return OnThreads(hosts, [&](int rank, const WeightExchange& exchange) {
      LoadTunerShared({.model_dir = rank == failing ? model : Folder(rank), .threads = 1}, exchange);
    });
  };
  EXPECT_THAT(load(0, without_), ::testing::Each(HasSubstr("worker 0 on a: ")));
  EXPECT_THAT(load(0, without_), ::testing::Each(HasSubstr("model.safetensors")));
  const std::string other = kModel.parent_path() / "gpt2";
  for (const int rank : {1, 2, 3}) {
    EXPECT_THAT(load(rank, other),
                ::testing::Each(HasSubstr(fmt::format("worker {} on {}: {}: config.json describes", rank,
                                                      hosts[static_cast<size_t>(rank)], other))));
    EXPECT_THAT(load(rank, "/nowhere"), ::testing::Each(HasSubstr("/nowhere")));
  }
}

TEST_F(Folders, AnotherConfigurationOrDamagedWeightsAreRefused) {
  const std::string config = ReadFile(kModel / "config.json") + "\n";  // the same layout
  std::ofstream(without_ / "config.json") << config;
  const auto errors = OnThreads({"a", "a"}, [&](int rank, const WeightExchange& exchange) {
    LoadTunerShared({.model_dir = Folder(rank), .threads = 1}, exchange);
  });
  EXPECT_THAT(errors, ::testing::Each(HasSubstr("every worker must see the same model folder")));

  const auto damaged = OnThreads({"a", "b"}, [&](int, WeightExchange exchange) {
    exchange.leaders.broadcast = [inner = exchange.leaders.broadcast](int root, std::string bytes) {
      bytes = inner(root, std::move(bytes));
      bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
      return bytes;
    };
    LoadTunerShared({.model_dir = kModel, .threads = 1}, exchange);
  });
  EXPECT_THAT(damaged, ::testing::Each(HasSubstr("worker 1 on b")));
  EXPECT_THAT(damaged, ::testing::Each(HasSubstr("have digest")));
}

TEST(LoadTunerShared, AloneItIsLoad) {
  const auto tuner = LoadTunerShared({.model_dir = kModel, .threads = 1}, {});
  EXPECT_EQ(tuner->digest(), Tuner::Load({.model_dir = kModel, .threads = 1})->digest());
}

// Processes: a star of socket pairs, every broadcast goes through process 0.
class Star {
 public:
  explicit Star(int size) {
    for (int r = 1; r < size; ++r) {
      int ends[2];
      if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) throw IoError("make", "socket pair");
      hub_.push_back(ends[0]);
      leaf_.push_back(ends[1]);
    }
  }
  std::string Broadcast(int rank, int root, std::string bytes) {
    if (rank == root && rank != 0) Send(Leaf(rank), bytes);
    if (rank != 0) return Receive(Leaf(rank));
    if (root != 0) bytes = Receive(hub_[static_cast<size_t>(root - 1)]);
    for (const int fd : hub_) Send(fd, bytes);
    return bytes;
  }

 private:
  int Leaf(int rank) const { return leaf_[static_cast<size_t>(rank - 1)]; }
  static void Send(int fd, const std::string& bytes) {
    const uint64_t size = bytes.size();
    std::string message(reinterpret_cast<const char*>(&size), sizeof size);
    message += bytes;
    for (size_t at = 0; at < message.size();) {
      const ssize_t sent = write(fd, message.data() + at, message.size() - at);
      if (sent <= 0) throw IoError("write", "socket");
      at += static_cast<size_t>(sent);
    }
  }
  static void Fill(int fd, char* to, size_t size) {
    for (size_t at = 0; at < size;) {
      const ssize_t got = read(fd, to + at, size - at);
      if (got <= 0) throw IoError("read", "socket");
      at += static_cast<size_t>(got);
    }
  }
  static std::string Receive(int fd) {
    uint64_t size = 0;
    Fill(fd, reinterpret_cast<char*>(&size), sizeof size);
    std::string bytes(size, '\0');
    Fill(fd, bytes.data(), size);
    return bytes;
  }
  std::vector<int> hub_, leaf_;
};

// Exits 0 when body returns, 1 when it throws. The child shares nothing but descriptors and shared maps with us.
pid_t Fork(const std::function<void()>& body) {
  const pid_t pid = fork();
  if (pid != 0) return pid;
  try {
    body();
    _exit(0);
  } catch (const std::exception& error) {
    fprintf(stderr, "child: %s\n", error.what());
    _exit(1);
  }
}

int ExitStatusOf(pid_t pid) {
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_F(Folders, ProcessesOfOneHostShareOneCopy) {
  constexpr int kRanks = 4, kNumbers = 4;
  struct Report {
    double numbers[kNumbers];
    int mappings;
    bool writable;
  };
  void* const page = mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  auto* const reports = static_cast<Report*>(page);
  Star all(kRanks), node(kRanks);
  std::vector<pid_t> children;
  for (int r = 0; r < kRanks; ++r) {
    children.push_back(Fork([&] {
      const auto group = [r](Star& star) {
        return WeightGroup{
            r, kRanks, [&star, r](int root, std::string bytes) { return star.Broadcast(r, root, std::move(bytes)); }};
      };
      WeightExchange exchange{group(all), group(node), WeightGroup{}, "a"};
      const auto tuner = LoadTunerShared({.model_dir = Folder(r), .threads = 1}, exchange);
      const std::vector<double> numbers = Numbers(*tuner);
      std::copy(numbers.begin(), numbers.end(), reports[r].numbers);
      std::string modes;
      reports[r].mappings = MappingsOfSharedWeights(getpid(), &modes);
      reports[r].writable = modes.find('w') != std::string::npos;
      all.Broadcast(r, 0, "");  // process 0 stays until all have looked
    }));
  }
  for (const pid_t pid : children) EXPECT_EQ(ExitStatusOf(pid), 0);
  for (int r = 0; r < kRanks; ++r) {
    EXPECT_EQ(reports[r].mappings, 1) << r;
    EXPECT_FALSE(reports[r].writable) << r;
    for (int i = 0; i < kNumbers; ++i) EXPECT_EQ(reports[r].numbers[i], reports[0].numbers[i]);
  }
  EXPECT_LT(reports[0].numbers[0], 0);
  munmap(page, 4096);
}

TEST(SharedWeights, AnotherProcessReadsAndCannotWrite) {
  const auto weights = SharedWeights::Create(1000);
  for (int i = 0; i < 1000; ++i) weights->data()[i] = static_cast<float>(i);
  const float* const before = weights->data();
  EXPECT_EQ(ExitStatusOf(Fork([&] { SharedWeights::Open(weights->handle(), 1000); })), 1) << "not sealed yet";
  weights->Seal();
  EXPECT_EQ(weights->data(), before);
  const auto check = [&](int64_t elements) {
    return Fork([&, elements] {
      const auto mine = SharedWeights::Open(weights->handle(), elements);
      for (int i = 0; i < 1000; ++i) HULLFT_CHECK(mine->data()[i] == static_cast<float>(i));
    });
  };
  EXPECT_EQ(ExitStatusOf(check(1000)), 0);
  EXPECT_EQ(ExitStatusOf(check(999)), 1);
  const auto write_to = [](float* data) {
    ::signal(SIGSEGV, SIG_DFL);  // without a sanitizer's handler
    data[3] = 1;
  };
  EXPECT_EQ(ExitStatusOf(Fork([&] { write_to(SharedWeights::Open(weights->handle(), 1000)->data()); })), 128 + SIGSEGV);
  EXPECT_EQ(ExitStatusOf(Fork([&] { write_to(weights->data()); })), 128 + SIGSEGV);
  EXPECT_EQ(weights->data()[3], 3.0F);
}

TEST(SharedWeights, AHandleOfAProcessThatIsGoneIsAnError) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const pid_t pid = Fork([&] {
    const auto weights = SharedWeights::Create(1 << 20);
    weights->Seal();
    const std::string& handle = weights->handle();
    HULLFT_CHECK(write(ends[1], handle.data(), handle.size()) == static_cast<ssize_t>(handle.size()));
    pause();
  });
  char text[64] = {};
  ASSERT_GT(read(ends[0], text, sizeof text - 1), 0);
  EXPECT_EQ(SharedWeights::Open(text, 1 << 20)->data()[12345], 0.0F);
  kill(pid, SIGKILL);
  EXPECT_EQ(ExitStatusOf(pid), 128 + SIGKILL);
  EXPECT_THROW(SharedWeights::Open(text, 1 << 20), Error);
  close(ends[0]);
  close(ends[1]);
}

}  // namespace
}  // namespace hullft::worker
