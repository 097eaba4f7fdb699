// The layer pieces with their own backward passes against plain ATen under autograd, and the activation's kernel
// against double precision.
#include "worker/models/lean_blocks.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <vector>

#include "worker/models/gated_blocks.h"
#include "worker/models/gelu.h"
#include "worker/models/rope.h"
#include "worker/models/weight_gradient.h"

namespace hullft::worker {
namespace {

constexpr double kEpsilon = 1e-5;

at::Tensor Random(std::vector<int64_t> shape, double deviation) {
  return (at::randn(shape) * deviation).set_requires_grad(true);
}

// Both functions give the same values, and the same gradients of all inputs for one gradient of the result.
void ExpectSame(const std::vector<at::Tensor>& inputs, const std::function<at::Tensor()>& lean,
                const std::function<at::Tensor()>& plain, double tolerance = 2e-6) {
  const auto run = [&](const std::function<at::Tensor()>& body) {
    at::manual_seed(3);
    std::vector<at::Tensor> results;
    const at::Tensor y = body();
    y.backward(at::randn_like(y));
    results.push_back(y.detach());
    for (at::Tensor input : inputs) {
      results.push_back(input.grad().clone());
      input.mutable_grad().reset();
    }
    return results;
  };
  const std::vector<at::Tensor> a = run(lean), b = run(plain);
  for (size_t i = 0; i < a.size(); ++i) {
    const double size = b[i].abs().max().item<double>();
    EXPECT_GT(size, 0) << i;
    EXPECT_LT((a[i] - b[i]).abs().max().item<double>(), tolerance * size) << i;
  }
}

TEST(LeanBlocks, NormProjectIsTheNormAndTheProjection) {
  for (const bool in_out : {true, false}) {
    at::manual_seed(1);
    const at::Tensor x = Random({37, 24}, 2), nw = Random({24}, 1), nb = Random({24}, 1), b = Random({50}, 1),
                     w = in_out ? Random({24, 50}, 0.3) : Random({50, 24}, 0.3);
    ExpectSame(
        {x, nw, nb, w, b},
        [&] {
          return NormProject(x, {nw, nb, kEpsilon}, {w, b, in_out}, Precision::kFloat32);
        },
        [&] { return at::addmm(b, at::layer_norm(x, {24}, nw, nb, kEpsilon), in_out ? w : w.t()); });
  }
}

TEST(LeanBlocks, NormMlpIsTheNormAndTwoProjections) {
  for (const Activation activation : {Activation::kGeluTanh, Activation::kGelu, Activation::kRelu, Activation::kSilu}) {
    for (const bool in_out : {true, false}) {
      at::manual_seed(2);
      const at::Tensor x = Random({29, 16}, 2), up = in_out ? Random({16, 64}, 0.4) : Random({64, 16}, 0.4),
                       down = in_out ? Random({64, 16}, 0.3) : Random({16, 64}, 0.3);
      const at::Tensor nw = Random({16}, 1), nb = Random({16}, 1), ub = Random({64}, 1), db = Random({16}, 1);
      ExpectSame(
          {x, nw, nb, up, ub, down, db},
          [&] {
            return NormMlp(x, {nw, nb, kEpsilon}, {up, ub, in_out}, {down, db, in_out}, activation,
                           Precision::kFloat32);
          },
          [&] {
            const at::Tensor inner = at::addmm(ub, at::layer_norm(x, {16}, nw, nb, kEpsilon), in_out ? up : up.t());
            return at::addmm(db, Activate(activation, inner), in_out ? down : down.t());
          });
    }
  }
}

TEST(LeanBlocks, RmsNormProjectIsTheNormAndThreeProjections) {
  for (const bool adjacent : {true, false}) {
    at::manual_seed(6);
    const at::Tensor x = Random({31, 24}, 2), norm = Random({24}, 1), all = at::randn({40, 24}) * 0.3;
    std::vector<at::Tensor> w;
    for (const auto& [begin, rows] : {std::pair{0, 24}, {24, 8}, {32, 8}}) {
      const at::Tensor part = all.narrow(0, begin, rows);
      w.push_back((adjacent ? part.detach() : part.clone()).set_requires_grad(true));
    }
    EXPECT_EQ(Stacked(w).is_alias_of(all), adjacent);
    EXPECT_TRUE(Stacked(w).equal(all));
    ExpectSame(
        {x, norm, w[0], w[1], w[2]},
        [&] {
          return RmsNormProject(x, {norm, kEpsilon}, w, Precision::kFloat32);
        },
        [&] {
          const at::Tensor n = at::rms_norm(x, {24}, norm, kEpsilon);
          return at::cat({at::linear(n, w[0]), at::linear(n, w[1]), at::linear(n, w[2])}, 1);
        });
  }
}

TEST(LeanBlocks, RmsNormGatedMlpIsTheNormAndThreeProjections) {
  for (const Activation activation : {Activation::kSilu, Activation::kGeluTanh}) {
    at::manual_seed(7);
    const at::Tensor x = Random({29, 16}, 2), norm = Random({16}, 1), gate = Random({48, 16}, 0.4),
                     up = Random({48, 16}, 0.4), down = Random({16, 48}, 0.3);
    ExpectSame(
        {x, norm, gate, up, down},
        [&] {
          return RmsNormGatedMlp(x, {norm, kEpsilon}, {gate, up}, down, activation, Precision::kFloat32);
        },
        [&] {
          const at::Tensor n = at::rms_norm(x, {16}, norm, kEpsilon);
          return at::linear(Activate(activation, at::linear(n, gate)) * at::linear(n, up), down);
        });
  }
}

TEST(LeanBlocks, NormalizeAndGatedAreThePlainOperations) {
  at::manual_seed(9);
  const at::Tensor x = Random({31, 24}, 2), norm = Random({24}, 1), gate = Random({31, 24}, 2),
                   up = Random({31, 24}, 1);
  ExpectSame(
      {x, norm},
      [&] {
        return Normalize(x, {norm, kEpsilon});
      },
      [&] { return at::rms_norm(x, {24}, norm, kEpsilon); });
  ExpectSame(
      {gate, up}, [&] { return Gated(gate, up, Activation::kSilu); }, [&] { return at::silu(gate) * up; });
}

TEST(LeanBlocks, RotateIsRopeWithItsGradient) {
  at::manual_seed(8);
  for (const int64_t rotated : {8, 4}) {  // all of a head, half of it
    const at::Tensor x = Random({13, 5, 8}, 1), angles = at::randn({13, 1, rotated / 2});
    ExpectSame(
        {x}, [&] { return Rotate(x, angles.cos(), angles.sin()); },
        [&] { return Rope::Apply(x, angles.cos(), angles.sin()); });
  }
}

// Bfloat16 keeps 8 bits: 0.4% a factor, and errors of a sum's terms partly cancel. That the results differ from
// float32's at all shows that the precision is used.
TEST(LeanBlocks, Bf16IsNearFloat32) {
  at::manual_seed(4);
  const at::Tensor x = Random({64, 32}, 2), nw = Random({32}, 1), nb = Random({32}, 1), w = Random({32, 48}, 0.3),
                   b = Random({48}, 1);
  ExpectSame(
      {x, nw, nb, w, b},
      [&] {
        return NormProject(x, {nw, nb, kEpsilon}, {w, b, true}, Precision::kBf16);
      },
      [&] {
        return NormProject(x, {nw, nb, kEpsilon}, {w, b, true}, Precision::kFloat32);
      },
      2e-2);
  EXPECT_FALSE(NormProject(x, {nw, nb, kEpsilon}, {w, b, true}, Precision::kBf16)
                   .equal(NormProject(x, {nw, nb, kEpsilon}, {w, b, true}, Precision::kFloat32)));
}

TEST(Project, BothLayoutsAndPrecisionsWithAndWithoutBias) {
  at::manual_seed(5);
  const at::Tensor x = Random({40, 24}, 1), w = Random({24, 30}, 0.5), v = Random({30, 24}, 0.5), b = Random({30}, 1);
  for (const Precision precision : {Precision::kFloat32, Precision::kBf16}) {
    const double tolerance = precision == Precision::kBf16 ? 2e-2 : 2e-6;
    ExpectSame(
        {x, w, b}, [&] { return Project(x, w, true, b, precision); }, [&] { return at::addmm(b, x, w); }, tolerance);
    ExpectSame(
        {x, v, b}, [&] { return Project(x, v, false, b, precision); }, [&] { return at::linear(x, v, b); }, tolerance);
    ExpectSame(
        {x, w}, [&] { return Project(x, w, true, {}, precision); }, [&] { return at::mm(x, w); }, tolerance);
    ExpectSame(
        {x, v}, [&] { return Project(x, v, false, {}, precision); }, [&] { return at::linear(x, v); }, tolerance);
  }
  EXPECT_GT(Bf16Speedup(at::kCPU), 0);
}

TEST(Gelu, IsTheFormulaInDouble) {
  std::vector<float> x;
  for (int i = -30000; i <= 30000; ++i) x.push_back(static_cast<float>(i) * 1e-3F * (i % 7 == 0 ? 10.0F : 0.3F));
  std::vector<float> y(x.size()), slope(x.size(), 1.0F);
  const auto n = static_cast<int64_t>(x.size());
  GeluTanh(x.data(), y.data(), n, 1);
  GeluTanhBackward(x.data(), slope.data(), n, 1);
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = x[i], c = std::sqrt(2 / M_PI), u = c * (v + 0.044715 * v * v * v), tanh = std::tanh(u);
    ASSERT_NEAR(y[i], 0.5 * v * (1 + tanh), 3e-7 * std::max(1.0, std::abs(v))) << v;
    const double exact = 0.5 * (1 + tanh) + 0.5 * v * (1 - tanh * tanh) * c * (1 + 3 * 0.044715 * v * v);
    ASSERT_NEAR(slope[i], exact, 2e-6) << v;
  }
}

TEST(Gelu, BitsDoNotDependOnThreadsAndNanStaysNan) {
  std::vector<float> x(100'000);
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i)) * 5;
  x[70'000] = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> one(x.size()), many(x.size());
  const auto n = static_cast<int64_t>(x.size());
  GeluTanh(x.data(), one.data(), n, 1);
  GeluTanh(x.data(), many.data(), n, 3);
  EXPECT_EQ(std::memcmp(one.data(), many.data(), x.size() * sizeof(float)), 0);
  EXPECT_TRUE(std::isnan(one[70'000]));
}

}  // namespace
}  // namespace hullft::worker
