// Everything of the GPU side that can be checked without a GPU: names of devices, the watchdog, the ATen version of the
// head and its loss (run on the CPU), what a build or a machine without GPUs says.
#include "worker/device.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "common/error.h"
#include "tests/caught.h"
#include "worker/cuda/watchdog.h"
#include "worker/finetune/device_head_loss.h"
#include "worker/system_info.h"
#include "worker/tuner.h"

namespace hullft::worker {
namespace {

using ::testing::HasSubstr;

std::string Fault(const std::function<void()>& body, Code code) {
  const Error error = Caught(body);
  EXPECT_EQ(error.code(), code);
  return error.what();
}

TEST(ParseDevice, NamesAndFaults) {
  EXPECT_TRUE(ParseDevice("cpu").is_cpu());
  for (const char* name : {"", "gpu", "CPU", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:99999999999"}) {
    EXPECT_THAT(Fault([&] { (void)ParseDevice(name); }, Code::kUsage), HasSubstr("is unknown")) << name;
  }
  const std::string text = Fault([] { (void)ParseDevice("cuda:63"); }, Code::kUsage);
#ifdef HULLFT_CUDA
  EXPECT_THAT(text, HasSubstr(fmt::format("device 'cuda:63': this machine has {} GPU", GpuCount())));
#else
  EXPECT_THAT(text, HasSubstr("device 'cuda:63': this build has no CUDA"));
#endif
}

TEST(ParseDevice, TheTunerSaysTheSame) {
  const std::string model = std::string(HULLFT_GOLDENS) + "/finetune/gpt2";
  EXPECT_THAT(Fault([&] { Tuner::Load({.model_dir = model, .device = "cuda:63"}); }, Code::kUsage),
              HasSubstr("device 'cuda:63'"));
}

TEST(ChooseDevice, DealsTheGpusOutInTurn) {
  EXPECT_EQ(ChooseDevice("cuda:5", 1), "cuda:5");
  EXPECT_EQ(ChooseDevice("cpu", 0), "cpu");
  const int gpus = GpuCount();
  for (const int rank : {0, 1, 5}) {
    EXPECT_EQ(ChooseDevice("auto", rank), gpus == 0 ? "cpu" : "cuda:" + std::to_string(rank % gpus));
  }
}

TEST(WaitOrThrow, EndsWhenDoneAndAtTheDeadline) {
  int calls = 0;
  WaitOrThrow("work", 3, std::chrono::minutes(1), [&] { return ++calls == 5; });
  EXPECT_EQ(calls, 5);
  const std::string text =
      Fault([] { WaitOrThrow("NCCL broadcast", 3, std::chrono::milliseconds(20), [] { return false; }); }, Code::kPeer);
  EXPECT_THAT(text, HasSubstr("NCCL broadcast did not finish within 20 ms (rank 3, host " + HostName() + ")"));
  EXPECT_THAT(Fault([] { WaitOrThrow("x", 0, std::chrono::minutes(1), []() -> bool { throw DataError("inner"); }); },
                    Code::kData),
              HasSubstr("inner"));
}

TEST(DeviceHeadLoss, EqualsTheCpusOwn) {
  for (const int64_t n : {1, 7, 1024, 1025, 2300}) {  // chunks of 1024
    constexpr int64_t kWidth = 24, kVocabulary = 501;
    at::manual_seed(5);
    const at::Tensor hidden = at::randn({n, kWidth}), weight = at::randn({kVocabulary, kWidth});
    std::vector<int32_t> targets;
    for (int64_t i = 0; i < n; ++i) targets.push_back(static_cast<int32_t>(i * 7919 % kVocabulary));
    HeadLoss head(1);
    const at::Tensor expected_dw = at::empty_like(weight);
    const HeadLoss::Result expected = head.WithGradients(hidden, weight, targets, expected_dw);
    const at::Tensor buffer = at::full_like(weight, std::numeric_limits<float>::quiet_NaN());
    const HeadLoss::Result actual = DeviceWithGradients(hidden, weight, targets, buffer);
    EXPECT_NEAR(actual.loss, expected.loss, 2e-6 * expected.loss);
    EXPECT_TRUE(at::allclose(actual.hidden_gradient, expected.hidden_gradient, 1e-4, 1e-7));
    EXPECT_TRUE(at::allclose(buffer, expected_dw, 1e-4, 1e-6));
    EXPECT_NEAR(DeviceLogLikelihood(hidden, weight, targets), head.LogLikelihood(hidden, weight, targets),
                2e-6 * expected.loss * static_cast<double>(n));
  }
}

TEST(DeviceHeadLoss, NaNAndInfinityComeOut) {
  const at::Tensor hidden = at::ones({2, 3}), weight = at::ones({4, 3});
  weight[1][1] = std::numeric_limits<float>::quiet_NaN();
  const std::vector<int32_t> targets = {0, 3};
  EXPECT_TRUE(std::isnan(DeviceLogLikelihood(hidden, weight, targets)));
  EXPECT_TRUE(std::isnan(DeviceWithGradients(hidden, weight, targets, at::empty_like(weight)).loss));
}

}  // namespace
}  // namespace hullft::worker
