// What a message and a round cost: ping-pong between ranks 0 and 1, and the step of global Frank-Wolfe (max-reduce of
// 16 queries' (score, id), then a broadcast of 16 x d floats, d = 384), as median and 90th percentile over all rounds.
// Why: the choice between collectives over point-to-point and MPI's own (docs/decisions/0010).
//
//   mpirun -n N comm_bench mpi          the communicator over MPI
//   mpirun -n N comm_bench native       MPI_Iallreduce + MPI_Ibcast on a thread of their own, as a communicator would
//   mpirun -n N comm_bench native-bare  the same in the calling thread: no hand-over, cannot overlap with computing
//   comm_bench threads N                the communicator in process
// --think US (last) lets every rank sleep so long before each round, as if it computed.
#include <mpi.h>
#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/comm/group.h"
#include "common/comm/in_process.h"
#include "common/comm/mpi.h"
#include "common/error.h"

namespace hullft::comm {
namespace {

using std::chrono::microseconds;
constexpr int kQueries = 16, kWidth = 384;  // B, d
constexpr size_t kBroadcastBytes = kQueries * kWidth * sizeof(float);
int rounds = 2'000;
microseconds think{0};

Deadline Soon() {
  return After(std::chrono::milliseconds(60'000));
}

// Times `body` `rounds` times after a warm-up of a tenth; prints when `report`.
void Time(const std::string& what, bool report, const std::function<void()>& body) {
  std::vector<double> took_us;
  for (int i = -rounds / 10; i < rounds; ++i) {
    if (think.count() > 0) std::this_thread::sleep_for(think);
    const auto start = Clock::now();
    body();
    if (i >= 0) took_us.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  std::sort(took_us.begin(), took_us.end());
  if (report) {
    std::printf("%-44s median %8.1f us   p90 %8.1f us\n", what.c_str(), took_us[took_us.size() / 2],
                took_us[took_us.size() * 9 / 10]);
    std::fflush(stdout);
  }
}

void RunCommunicator(const std::string& name, Communicator& c) {
  const int tag = 1;
  const auto receive = [&](int from) { (void)c.Receive(from, std::span(&tag, 1), Soon()); };
  for (const size_t bytes : {size_t{8}, size_t{32'000}, size_t{1} << 20}) {
    if (c.rank() > 1 || c.size() == 1) break;
    const std::string payload(bytes, 'x');
    Time(fmt::format("{} ping-pong {} bytes, there and back", name, bytes), c.rank() == 0, [&] {
      if (c.rank() == 0) c.Send(1, tag, payload);
      receive(1 - c.rank());
      if (c.rank() == 1) c.Send(0, tag, payload);
    });
  }
  c.Barrier(Soon());
  const std::vector<ScoredId> values(kQueries, ScoredId{0.5, static_cast<uint64_t>(c.rank())});
  const std::string row(kBroadcastBytes, 'x');
  int root = 0;
  Time(fmt::format("{} max-reduce + broadcast, {} ranks", name, c.size()), c.rank() == 0, [&] {
    (void)c.MaxReduce(values, Soon());
    (void)c.Broadcast(root++ % c.size(), row, Soon());
  });
  c.Barrier(Soon());
}

void TakeBest(void* in, void* inout, int* count, MPI_Datatype*) {
  const auto* theirs = static_cast<const ScoredId*>(in);
  auto* best = static_cast<ScoredId*>(inout);
  for (int i = 0; i < *count; ++i) {
    if (Better(theirs[i], best[i])) best[i] = theirs[i];
  }
}

// Waits for a request as the communicator's MPI thread does: a short spin, then sleeps.
void Await(MPI_Request* request, bool yield_only) {
  const auto start = Clock::now();
  for (int done = 0;;) {
    MPI_Test(request, &done, MPI_STATUS_IGNORE);
    if (done != 0) return;
    const auto waited = Clock::now() - start;
    if (yield_only || waited < microseconds(50)) {
      sched_yield();
    } else {
      std::this_thread::sleep_for(std::clamp<Clock::duration>(waited / 2, microseconds(20), microseconds(100)));
    }
  }
}

// Runs jobs on one thread; Do returns when the job is done.
class Server {
 public:
  void Do(std::function<void()> job) {
    std::unique_lock lock(mutex_);
    job_ = std::move(job);
    changed_.notify_all();
    changed_.wait(lock, [&] { return !job_; });
  }

 private:
  void Serve(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [&] { return static_cast<bool>(job_); })) {
      const auto job = job_;
      lock.unlock();
      job();
      lock.lock();
      job_ = nullptr;
      changed_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::function<void()> job_;
  std::jthread thread_{[this](const std::stop_token& stop) { Serve(stop); }};
};

void RunNative(bool bare) {
  int rank = 0, size = 0;
  MPI_Datatype scored;
  MPI_Op best;
  Server server;
  const auto on_mpi_thread = [&](const std::function<void()>& job) { bare ? job() : server.Do(job); };
  on_mpi_thread([&] {
    int provided = 0;
    MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Type_contiguous(sizeof(ScoredId), MPI_BYTE, &scored);
    MPI_Type_commit(&scored);
    MPI_Op_create(TakeBest, 1, &best);
  });
  std::vector<ScoredId> values(kQueries, ScoredId{0.5, static_cast<uint64_t>(rank)}), result(kQueries);
  std::string row(kBroadcastBytes, 'x');
  int root = 0;
  Time(fmt::format("{} max-reduce + broadcast, {} ranks", bare ? "native-bare" : "native", size), rank == 0, [&] {
    MPI_Request request = MPI_REQUEST_NULL;
    on_mpi_thread([&] {
      MPI_Iallreduce(values.data(), result.data(), kQueries, scored, best, MPI_COMM_WORLD, &request);
      Await(&request, bare);
    });
    on_mpi_thread([&] {
      MPI_Ibcast(row.data(), static_cast<int>(row.size()), MPI_BYTE, root++ % size, MPI_COMM_WORLD, &request);
      Await(&request, bare);
    });
  });
  on_mpi_thread([] { MPI_Finalize(); });
}

void RunThreads(int size) {
  InProcessWorld world(size);
  std::vector<std::jthread> threads;
  for (int r = 0; r < size; ++r) threads.emplace_back([&, r] { RunCommunicator("threads", world.rank(r)); });
}

}  // namespace
}  // namespace hullft::comm

int main(int argc, char** argv) {
  using namespace hullft::comm;
  std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() >= 3 && args[args.size() - 2] == "--think") {
    think = microseconds(std::atoi(args.back().c_str()));
    rounds = 300;
    args.resize(args.size() - 2);
  }
  const std::string mode = args.empty() ? "" : args[0];
  if (mode == "threads" && args.size() == 2) {
    RunThreads(std::atoi(args[1].c_str()));
  } else if (mode == "native" || mode == "native-bare") {
    RunNative(mode == "native-bare");
  } else if (mode == "mpi") {
    MpiWorld mpi;
    RunCommunicator("mpi", mpi.world());
    mpi.Shutdown(Soon());
  } else {
    std::fprintf(stderr, "usage: comm_bench mpi | native | native-bare | threads N [--think US]\n");
    return 2;
  }
  return 0;
}
