// Torch's exceptions as the errors that the rest of the program knows.
#include "worker/runtime.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <functional>
#include <new>

#include "common/error.h"
#include "tests/caught.h"

namespace hullft::worker {
namespace {

Code CodeOf(const std::function<void()>& body) {
  return Caught([&] { CallTorch(body); }).code();
}

TEST(CallTorch, SaysWhatKindOfErrorItIs) {
  constexpr int64_t kMoreThanAnyMachineHas = int64_t{1} << 50;
  EXPECT_EQ(CodeOf([] { (void)at::empty({kMoreThanAnyMachineHas}); }), Code::kMemory);
  EXPECT_EQ(CodeOf([] { throw std::bad_alloc(); }), Code::kMemory);
  EXPECT_EQ(CodeOf([] { (void)at::ones({2}).view({3}); }), Code::kInternal);
  EXPECT_EQ(CodeOf([] { throw DataError("its own"); }), Code::kData);
}

}  // namespace
}  // namespace hullft::worker
