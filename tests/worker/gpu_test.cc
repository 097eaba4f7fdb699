// What only a GPU can show: Adam's kernel has the CPU's bits, NCCL brings the weights and its watchdog ends a wait, a
// run's workers load through it. Timings are printed, never judged. Skipped as a whole where no GPU exists;
// tuner_test with HULLFT_TEST_DEVICE=cuda compares tuning itself (scripts/gpu_check runs both).
#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <c10/cuda/CUDACachingAllocator.h>
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
#include "tests/worker/golden_tensor.h"
#include "worker/cuda/adam_cuda.h"
#include "worker/cuda/nccl.h"
#include "worker/device.h"
#include "worker/encoder.h"
#include "worker/load_tuner.h"
#include "worker/memory_plan.h"
#include "worker/models/encoder_model.h"
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

std::string SmolLm2() {
  const char* const data = std::getenv("HULLFT_DATA");
  return (data != nullptr ? std::string(data) : std::string(HULLFT_SOURCE_DIR) + "/data") +
         "/models/smollm2-135m-instruct";
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

std::vector<TrainSequence> MadeUpSequences(size_t count, size_t tokens, int32_t vocabulary) {
  std::vector<TrainSequence> train(count, TrainSequence{std::vector<int32_t>(tokens), 4});
  for (size_t i = 0; i < count; ++i) {
    for (size_t t = 0; t < tokens; ++t)
      train[i].tokens[t] = static_cast<int32_t>((i * 7919 + t * 104729) % static_cast<size_t>(vocabulary));
  }
  return train;
}

// Losses of every step and the score with graphs and without, of two queries; adapters too.
TEST(CudaGraphs, GiveTheLossesOfThePlainPasses) {
  const std::string model = std::string(HULLFT_GOLDENS) + "/finetune/llama_gqa_tied";
  std::vector<TrainSequence> train = MadeUpSequences(4, 40, 100);
  train[1].tokens.resize(25);
  train[3].tokens.resize(25);
  const std::vector<EvalDocument> eval = {{train[0].tokens, 30}};
  for (const std::string adapter : {"none", "lora"}) {
    SCOPED_TRACE(adapter);
    const auto run = [&](bool graphs) {
      const auto tuner = Tuner::Load(
          {.model_dir = model, .device = "cuda", .threads = 1, .cuda_graphs = graphs, .adapter = {.kind = adapter}});
      tuner->Run({.max_length = 40}, train, eval);  // a query before: its graphs serve the next
      return tuner->Run({.max_length = 40}, train, eval, /*grad_norms=*/true);
    };
    const TuneResult plain = run(false), replayed = run(true);
    ASSERT_EQ(plain.steps.size(), replayed.steps.size());
    EXPECT_EQ(plain.gradients_replayed, 0);
    EXPECT_EQ(replayed.gradients_replayed, replayed.gradients_computed - 1) << "all but the query's first";
    for (size_t i = 0; i < plain.steps.size(); ++i) {
      EXPECT_EQ(plain.steps[i].loss, replayed.steps[i].loss) << i;
      EXPECT_EQ(plain.steps[i].grad_norm, replayed.steps[i].grad_norm) << i;
    }
    EXPECT_EQ(plain.after[0].log_likelihood, replayed.after[0].log_likelihood);
    std::printf("CUDA graphs, parity (%s): %zu steps, score %.9g with, %.9g without\n", adapter.c_str(),
                plain.steps.size(), replayed.after[0].log_likelihood, plain.after[0].log_likelihood);
  }
}

// Side by side over one copy of the base weights, each on a stream of its own.
TEST(Lanes, TwoQueriesAtATimeHaveTheScoresOfOne) {
  const std::string model = std::string(HULLFT_GOLDENS) + "/finetune/llama_gqa_tied";
  const TunerOptions options{.model_dir = model, .device = "cuda", .threads = 1, .own_stream = true};
  const std::shared_ptr<Tuner> first = Tuner::Load(options);
  const std::unique_ptr<Tuner> second = Tuner::Load(options, SharedBase(first));
  Tuner* const lanes[] = {first.get(), second.get()};
  const std::vector<TrainSequence> sets[] = {MadeUpSequences(30, 40, 100), MadeUpSequences(20, 31, 90)};
  const std::vector<EvalDocument> eval = {{sets[1][0].tokens, 30}};
  const auto score = [&](size_t lane) { return lanes[lane]->Run({.max_length = 40}, sets[lane], eval).after[0]; };
  std::vector<double> alone, together(2);
  const double one_by_one = Milliseconds([&] {
    for (const size_t lane : {0, 1}) alone.push_back(score(lane).log_likelihood);
  });
  const double at_once = Milliseconds([&] {
    EXPECT_THAT(OnThreads(2,
                          [&](int lane) {
                            together[static_cast<size_t>(lane)] = score(static_cast<size_t>(lane)).log_likelihood;
                          }),
                ::testing::Each(""));
  });
  EXPECT_EQ(alone, together);
  std::printf("Two queries: %.0f ms at a time, %.0f ms one after the other\n", at_once, one_by_one);
}

TEST(EncoderOnGpu, HasTheHiddenStatesOfTheCpu) {
  for (const auto& folder : std::filesystem::directory_iterator(HULLFT_GOLDENS "/encoders")) {
    if (!std::filesystem::exists(folder.path() / "config.json")) continue;
    SCOPED_TRACE(folder.path().filename());
    EncoderModel model(folder.path());
    std::vector<int32_t> ids(29);
    for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(5 + 7 * i % 90);
    const at::Tensor on_cpu = model.Hidden(ids);
    model.MoveTo(Gpu(0));
    EXPECT_LT((model.Hidden(ids).cpu() - on_cpu).abs().max().item<float>(), 1e-5);
  }
}

TEST(EncoderOnGpu, ATextHasTheSameBitsInAnyBatch) {
  const std::string folder = RealModel("all-minilm-l6-v2").string();
  std::vector<std::string> texts;
  for (int i = 0; i < 512; ++i) {
    texts.push_back("text " + std::to_string(i));
    for (int word = 0; word < i % 200; ++word) texts.back() += " " + std::to_string(word * i % 97);
  }
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  const auto encoder = Encoder::Load({.model_dir = folder, .threads = 1});
  encoder->MoveTo("cuda");
  const auto width = static_cast<size_t>(encoder->dim());
  Floats all(texts.size() * width), alone(width);
  encoder->Embed(views, all);
  const double ms = Milliseconds([&] { encoder->Embed(views, all); });
  for (const size_t row : {0, 17, 199, 511}) {
    encoder->Embed({&views[row], 1}, alone);
    ExpectSameBits(alone, {all.begin() + static_cast<std::ptrdiff_t>(row * width),
                           all.begin() + static_cast<std::ptrdiff_t>((row + 1) * width)});
  }
  std::printf("Encoder, MiniLM, up to 256 tokens: %.0f texts/s\n", 1e3 * static_cast<double>(texts.size()) / ms);
}

TEST(Memory, APassTakesWhatIsPlanned) {
  const std::string model = SmolLm2();
  if (!std::filesystem::exists(model)) GTEST_SKIP() << model << " is missing: run scripts/get_models";
  namespace allocator = c10::cuda::CUDACachingAllocator;
  allocator::resetPeakStats(0);
  const auto tuner = Tuner::Load({.model_dir = model, .device = "cuda"});
  tuner->Run({.max_length = 1024}, MadeUpSequences(1, 1024, 49152), {});
  const int64_t planned = PlanMemory(ReadModelShape(model), 1024, 1, 1).Total();
  const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const int64_t peak = allocator::getDeviceStats(0).allocated_bytes[all].peak;
  EXPECT_LT(static_cast<double>(peak), 1.25 * static_cast<double>(planned));
  std::printf("Memory, SmolLM2-135M, 1024 tokens: %.2f GB, planned %.2f GB\n", 1e-9 * static_cast<double>(peak),
              1e-9 * static_cast<double>(planned));
}

TEST(Tuner, Timing) {
  const std::string model = SmolLm2();
  if (!std::filesystem::exists(model)) GTEST_SKIP() << model << " is missing: run scripts/get_models";
  std::vector<TrainSequence> train = MadeUpSequences(20, 256, 49152);
  for (TrainSequence& sequence : train) sequence.count = 1;
  const std::vector<EvalDocument> eval = {{std::vector<int32_t>(4096, 42), std::nullopt}};
  for (const auto& [precision, graphs] :
       {std::pair("float32", false), {"float32", true}, {"tf32", false}, {"tf32", true}}) {
    const auto tuner =
        Tuner::Load({.model_dir = model, .device = "cuda", .cuda_graphs = graphs, .precision = precision});
    tuner->Run({.max_length = 256}, {train.data(), 4}, eval);  // kernels loaded, graphs recorded
    const TuneResult result = tuner->Run({.max_length = 256}, train, eval);
    std::printf("SmolLM2-135M, 256 tokens, %s%s: %.1f ms a gradient with its step, %.0f ms to score 4096 tokens\n",
                precision, graphs ? ", CUDA graphs" : "", result.tune_ms / static_cast<double>(train.size()),
                result.score_before_ms);
  }
  std::fflush(stdout);
}

}  // namespace
}  // namespace hullft::worker
