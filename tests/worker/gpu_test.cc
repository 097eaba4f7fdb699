// What only a GPU can show: Adam's kernel has the CPU's bits, NCCL brings the weights and its watchdog ends a wait, a
// run's workers load through it. Timings are printed, never judged. Skipped as a whole where no GPU exists;
// tuner_test with HULLFT_TEST_DEVICE=cuda compares tuning itself (scripts/gpu_check runs both).
#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

#include "common/comm/in_process.h"
#include "common/error.h"
#include "tests/caught.h"
#include "worker/cuda/adam_cuda.h"
#include "worker/cuda/nccl.h"
#include "worker/device.h"
#include "worker/load_tuner.h"
#include "worker/system_info.h"

namespace hullft::worker {
namespace {

using Floats = std::vector<float>;

class NeedsGpu : public ::testing::Environment {
  void SetUp() override {
    if (GpuCount() == 0) GTEST_SKIP() << "no GPU on this machine: run scripts/gpu_check on one that has a GPU";
  }
};
const auto* const kNeedsGpu = ::testing::AddGlobalTestEnvironment(new NeedsGpu);

at::Device Gpu(int index) {
  return {at::kCUDA, static_cast<at::DeviceIndex>(index)};
}

at::Tensor ToGpu(const Floats& values) {
  return at::from_blob(const_cast<float*>(values.data()), {static_cast<int64_t>(values.size())}, at::kFloat).to(Gpu(0));
}

Floats ToHost(const at::Tensor& tensor) {
  const at::Tensor host = tensor.cpu();
  const float* const data = host.const_data_ptr<float>();
  return {data, data + host.numel()};
}

double Milliseconds(const std::function<void()>& body) {
  SynchronizeDevice(Gpu(0));
  const auto start = std::chrono::steady_clock::now();
  body();
  SynchronizeDevice(Gpu(0));
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

void ExpectSameBits(const Floats& a, const Floats& b) {
  ASSERT_EQ(a.size(), b.size());
  size_t different = 0;
  for (size_t i = 0; i < a.size(); ++i) different += std::memcmp(&a[i], &b[i], sizeof(float)) != 0 ? 1 : 0;
  EXPECT_EQ(different, 0U) << "of " << a.size();
}

TEST(AdamCuda, HasTheBitsOfTheCpu) {
  constexpr int64_t kSize = 100003;
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  const auto draw = [&](bool all_magnitudes) {
    Floats values(kSize);
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = normal(random) * (all_magnitudes ? std::pow(10.0F, -static_cast<float>(i % 25)) : 1.0F);
    }
    return values;
  };
  const AdamSettings settings{.learning_rate = 1e-3};
  Floats base = draw(false), weights(kSize, NAN), m(kSize, NAN), v(kSize, NAN);
  const at::Tensor gpu_base = ToGpu(base), gpu_weights = ToGpu(weights), gpu_m = ToGpu(m), gpu_v = ToGpu(v);
  int64_t done = 0;
  for (const int steps : {2, 1, 5, 130}) {  // 130: more than one launch
    const Floats gradient = draw(true);
    const at::Tensor gpu_gradient = ToGpu(gradient);
    const AdamSegment segment{
        done == 0 ? base.data() : weights.data(), weights.data(), m.data(), v.data(), gradient.data(), kSize};
    const auto pointer = [](const at::Tensor& tensor) { return tensor.mutable_data_ptr<float>(); };
    const AdamSegment gpu{pointer(done == 0 ? gpu_base : gpu_weights),
                          pointer(gpu_weights),
                          pointer(gpu_m),
                          pointer(gpu_v),
                          pointer(gpu_gradient),
                          kSize};
    AdamRun(settings, done, steps, {&segment, 1}, 1);
    ASSERT_EQ(AdamRunCuda(settings, done, steps, gpu, nullptr), nullptr);
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    done += steps;
    SCOPED_TRACE(done);
    ExpectSameBits(ToHost(gpu_weights), weights);
    ExpectSameBits(ToHost(gpu_m), m);
    ExpectSameBits(ToHost(gpu_v), v);
  }
}

TEST(AdamCuda, Timing) {
  const int64_t size = int64_t{135} << 20;
  const auto options = at::TensorOptions(at::kFloat).device(Gpu(0));
  const at::Tensor w = at::ones({size}, options), m = at::zeros({size}, options), v = at::zeros({size}, options),
                   g = at::ones({size}, options);
  const AdamSegment segment{w.data_ptr<float>(), w.data_ptr<float>(), m.data_ptr<float>(),
                            v.data_ptr<float>(), g.data_ptr<float>(), size};
  double best = 1e9;
  for (int i = 0; i < 10; ++i) {
    best = std::min(best, Milliseconds([&] { ASSERT_EQ(AdamRunCuda({}, 1 + 2 * i, 2, segment, nullptr), nullptr); }));
  }
  std::printf("Adam, 142 million weights, 2 steps: %.3f ms, %.0f GB/s\n", best,
              28e-6 * static_cast<double>(size) / best);
}

// Runs body(rank) on a thread per rank; returns what each threw.
std::vector<std::string> OnThreads(int ranks, const std::function<void(int)>& body) {
  std::vector<std::string> errors(static_cast<size_t>(ranks));
  std::vector<std::thread> threads;
  for (int r = 0; r < ranks; ++r) {
    threads.emplace_back([&, r] {
      try {
        body(r);
      } catch (const std::exception& error) {
        errors[static_cast<size_t>(r)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

void BroadcastOn(int gpus) {
  constexpr int64_t kCount = (int64_t{300} << 20) + 7;  // more than a piece of 256 Mi
  const std::string id = NcclGroup::NewId();
  std::vector<double> ms(static_cast<size_t>(gpus));
  const auto errors = OnThreads(gpus, [&](int rank) {
    const c10::DeviceGuard guard(Gpu(rank));
    const auto options = at::TensorOptions(at::kFloat).device(Gpu(rank));
    const at::Tensor expected = at::arange(kCount, options).remainder_(65521);
    const at::Tensor values = rank == 0 ? expected.clone() : at::zeros({kCount}, options);
    SynchronizeDevice(Gpu(rank));
    NcclGroup group(id, rank, gpus, rank, std::chrono::seconds(60));
    const auto start = std::chrono::steady_clock::now();
    group.Broadcast(values.mutable_data_ptr<float>(), kCount, 0);
    ms[static_cast<size_t>(rank)] =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    EXPECT_TRUE(values.equal(expected)) << "GPU " << rank;
  });
  EXPECT_THAT(errors, ::testing::Each(""));
  std::printf("NCCL broadcast of %.1f GB on %d GPUs: %.1f ms\n", 4e-9 * static_cast<double>(kCount), gpus, ms.back());
}

TEST(Nccl, BroadcastOnOneGpu) {
  BroadcastOn(1);
}

TEST(Nccl, BroadcastOnAllGpus) {
  if (GpuCount() < 2) GTEST_SKIP() << "needs 2 GPUs, this machine has " << GpuCount();
  BroadcastOn(GpuCount());
}

TEST(Nccl, APeerThatDoesNotComeIsAnErrorInTime) {
  const std::string id = NcclGroup::NewId();
  const auto start = std::chrono::steady_clock::now();
  ExpectFault(Code::kPeer, "NCCL init did not finish within 2000 ms (rank 0, host",
              [&] { const NcclGroup group(id, 0, 2, 0, std::chrono::seconds(2)); });
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));  // it ends at all
}

std::string Device(int rank) {
  return "cuda:" + std::to_string(rank % GpuCount());
}

// A run's workers, the first on the golden model, the others on its config.json alone.
void LoadAndCompare(int workers) {
  namespace fs = std::filesystem;
  const fs::path model = fs::path(HULLFT_GOLDENS) / "finetune/llama_gqa_tied";
  const fs::path without = fs::temp_directory_path() / fmt::format("hullft_gpu_test_{}", getpid());
  fs::create_directories(without);
  fs::copy_file(model / "config.json", without / "config.json", fs::copy_options::overwrite_existing);
  comm::InProcessWorld world(workers);
  std::vector<double> scores(static_cast<size_t>(workers));
  const auto errors = OnThreads(workers, [&](int rank) {
    const WeightGroup all{rank, workers, [&world, rank](int root, std::string bytes) {
                            return world.rank(rank).Broadcast(root, std::move(bytes),
                                                              comm::After(std::chrono::minutes(1)));
                          }};
    const TunerOptions options{.model_dir = rank == 0 ? model : without, .device = Device(rank), .threads = 1};
    const auto tuner = LoadTunerShared(options, {all, all, all, "host"});
    const std::vector<TrainSequence> train = {{{5, 6, 7, 8, 9, 10, 11, 12}, 3}};
    const std::vector<EvalDocument> eval = {{{9, 8, 7, 6, 5, 4, 3, 2, 1}, 30}};
    scores[static_cast<size_t>(rank)] = tuner->Run({.max_length = 24}, train, eval).after[0].log_likelihood;
  });
  fs::remove_all(without);
  EXPECT_THAT(errors, ::testing::Each(""));
  EXPECT_LT(scores[0], 0);
  EXPECT_THAT(scores, ::testing::Each(scores[0])) << "same bits on every worker of one kind of GPU";
}

TEST(LoadTunerShared, TwoWorkersOnOneGpuDoWithoutNccl) {
  LoadAndCompare(GpuCount() + 1);
}

TEST(LoadTunerShared, OneWorkerForEachGpuByNccl) {
  if (GpuCount() < 2) GTEST_SKIP() << "needs 2 GPUs, this machine has " << GpuCount();
  LoadAndCompare(GpuCount());
}

TEST(Tuner, Timing) {
  const char* const data = std::getenv("HULLFT_DATA");
  const std::string model = (data != nullptr ? std::string(data) : std::string(HULLFT_SOURCE_DIR) + "/data") +
                            "/models/smollm2-135m-instruct";
  if (!std::filesystem::exists(model)) GTEST_SKIP() << model << " is missing: run scripts/get_models";
  std::vector<TrainSequence> train(20, TrainSequence{std::vector<int32_t>(256), 1});
  for (size_t i = 0; i < train.size(); ++i) {
    for (size_t t = 0; t < 256; ++t) train[i].tokens[t] = static_cast<int32_t>((i * 7919 + t * 104729) % 49152);
  }
  const std::vector<EvalDocument> eval = {{std::vector<int32_t>(4096, 42), std::nullopt}};
  for (const bool tf32 : {false, true}) {
    const auto tuner = Tuner::Load({.model_dir = model, .device = "cuda", .precision = tf32 ? "tf32" : "float32"});
    tuner->Run({.max_length = 256}, {train.data(), 2}, eval);  // kernels loaded
    const TuneResult result = tuner->Run({.max_length = 256}, train, eval);
    std::printf("SmolLM2-135M, 256 tokens, %s: %.1f ms a gradient with its step, %.0f ms to score 4096 tokens\n",
                tf32 ? "TF32" : "float32", result.tune_ms / static_cast<double>(train.size()), result.score_before_ms);
  }
  std::fflush(stdout);
}

}  // namespace
}  // namespace hullft::worker
