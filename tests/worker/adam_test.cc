// Adam's gradient-reuse runs against r plain steps, against double precision and against Torch's own Adam.
#include "worker/finetune/adam.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

namespace hullft::worker {
namespace {

using Floats = std::vector<float>;

struct State {
  Floats weights, m, v;
};

struct Problem {
  std::vector<int64_t> sizes = {1, 15, 512, 513, 40000, 70001};  // strips and blocks, whole and cut
  Floats base;
  std::vector<Floats> gradients;  // one a run
  explicit Problem(int runs) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    int64_t total = 0;
    for (const int64_t size : sizes) total += size;
    base.resize(static_cast<size_t>(total));
    for (float& x : base) x = normal(random);
    for (int r = 0; r < runs; ++r) {
      Floats g(base.size());
      for (size_t i = 0; i < g.size(); ++i) {  // all magnitudes that occur, zeros of both signs too
        g[i] = i % 97 == 0 ? (i % 2 == 0 ? 0.0F : -0.0F) : normal(random) * std::pow(10.0F, -static_cast<float>(i % 9));
      }
      gradients.push_back(std::move(g));
    }
  }

  std::vector<AdamSegment> Segments(State* state, const Floats& gradient, bool fresh) const {
    std::vector<AdamSegment> segments;
    int64_t at = 0;
    for (const int64_t size : sizes) {
      segments.push_back({(fresh ? base.data() : state->weights.data()) + at, state->weights.data() + at,
                          state->m.data() + at, state->v.data() + at, gradient.data() + at, size});
      at += size;
    }
    return segments;
  }

  // All runs, each of `steps` steps with one gradient: in one pass, or step by step from a copy of the base and zero
  // moments.
  State Run(int steps, bool one_pass, int threads) const {
    const AdamSettings settings{.learning_rate = 1e-2};
    const float junk = std::nanf("");  // the first pass must not read what is there
    State state;
    state.weights.assign(base.size(), junk);
    state.m = state.v = state.weights;
    int64_t done = 0;
    for (const Floats& gradient : gradients) {
      if (one_pass) {
        AdamRun(settings, done, steps, Segments(&state, gradient, done == 0), threads);
      } else {
        for (int s = 0; s < steps; ++s) {
          AdamRun(settings, done + s, 1, Segments(&state, gradient, done + s == 0), threads);
        }
      }
      done += steps;
    }
    return state;
  }
};

void ExpectSameBits(const Floats& a, const Floats& b) {
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
}

TEST(Adam, ARunHasTheBitsOfItsSingleSteps) {
  for (const int steps : {1, 2, 3, 7, 50}) {
    const Problem problem(2);
    const State run = problem.Run(steps, true, 1), single = problem.Run(steps, false, 1);
    ExpectSameBits(run.weights, single.weights);
    ExpectSameBits(run.m, single.m);
    ExpectSameBits(run.v, single.v);
  }
}

TEST(Adam, BitsDoNotDependOnThreads) {
  const Problem problem(3);
  const State one = problem.Run(2, true, 1);
  for (const int threads : {2, 3, 8}) {
    const State many = problem.Run(2, true, threads);
    ExpectSameBits(one.weights, many.weights);
    ExpectSameBits(one.v, many.v);
  }
}

// The same expression, scalar and compiled without vectors: every instruction set must give these bits.
TEST(Adam, HasTheBitsOfTheScalarFormula) {
  const Problem problem(3);
  const State state = problem.Run(2, true, 2);
  for (size_t i = 0; i < problem.base.size(); i += 13) {
    volatile float p = problem.base[i], m = 0, v = 0;
    int t = 0;
    for (const Floats& gradient : problem.gradients) {
      for (int s = 0; s < 2; ++s) {
        ++t;
        const float g = gradient[i];
        const auto step = static_cast<float>(1e-2 / (1 - std::pow(0.9, t)));
        const auto bias = static_cast<float>(1 / std::sqrt(1 - std::pow(0.999, t)));
        m = m + static_cast<float>(1 - 0.9) * (g - m);
        v = v * 0.999F + (static_cast<float>(1 - 0.999) * g) * g;
        p = p - step * m / (std::sqrt(v) * bias + 1e-8F);
      }
    }
    ASSERT_EQ(state.weights[i], p) << i;
    ASSERT_EQ(state.m[i], m) << i;
    ASSERT_EQ(state.v[i], v) << i;
  }
}

TEST(Adam, IsTorchsAdam) {
  const Problem problem(4);
  const State ours = problem.Run(3, true, 1);
  const auto tensor = [](const Floats& x) {
    return at::from_blob(const_cast<float*>(x.data()), {static_cast<int64_t>(x.size())}).clone();
  };
  const at::Tensor p = tensor(problem.base), m = at::zeros_like(p), v = at::zeros_like(p);
  const at::Tensor step = at::zeros({});
  for (const Floats& gradient : problem.gradients) {
    for (int s = 0; s < 3; ++s) {
      step.add_(1);
      at::_fused_adam_({p}, {tensor(gradient)}, {m}, {v}, {}, {step}, 1e-2, 0.9, 0.999, 0.0, 1e-8, false, false);
    }
  }
  // Twelve steps of at most 0.01: rounding differs by a few units in the last place of weights of size about 1.
  EXPECT_LT((tensor(ours.weights) - p).abs().max().item<float>(), 2e-6F);
  at::Tensor size = at::zeros_like(p);  // of the terms of m, which may cancel
  for (const Floats& gradient : problem.gradients) size += tensor(gradient).abs();
  EXPECT_TRUE(at::all((tensor(ours.m) - m).abs() <= size * 3e-7).item<bool>());
  EXPECT_LT(((tensor(ours.v) - v).abs() / (v + 1e-20)).max().item<float>(), 1e-5F);
  EXPECT_GT((p - tensor(problem.base)).abs().max().item<float>(), 0.05F);  // it moved
}

TEST(Adam, GradientNormIsExactAndIndependentOfThreads) {
  const Problem problem(1);
  State state = problem.Run(1, true, 1);
  const std::vector<AdamSegment> segments = problem.Segments(&state, problem.gradients[0], false);
  long double sum = 0;
  for (const float g : problem.gradients[0]) sum += static_cast<long double>(g) * g;
  const double norm = GradientNorm(segments, 1);
  EXPECT_NEAR(norm, std::sqrt(static_cast<double>(sum)), 1e-12 * norm);
  EXPECT_EQ(norm, GradientNorm(segments, 5));
}

}  // namespace
}  // namespace hullft::worker
