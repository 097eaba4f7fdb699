// The hand-written cross-entropy against autograd in double precision.
#include "worker/finetune/head_loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "worker/finetune/row_softmax.h"

namespace hullft::worker {
namespace {

struct Problem {
  at::Tensor hidden, weight;
  std::vector<int32_t> targets;
  Problem(int64_t n, int64_t D, int64_t V, double scale) {
    at::manual_seed(3);
    hidden = at::randn({n, D}) * scale;
    weight = at::randn({V, D});
    for (int64_t i = 0; i < n; ++i) targets.push_back(static_cast<int32_t>((i * 7919) % V));
  }
  at::Tensor TargetTensor() const {
    at::Tensor t = at::empty({static_cast<int64_t>(targets.size())}, at::TensorOptions(at::kLong));
    for (size_t i = 0; i < targets.size(); ++i) t[static_cast<int64_t>(i)] = targets[i];
    return t;
  }
};

void ExpectNear(const at::Tensor& actual, const at::Tensor& expected, double relative) {
  EXPECT_LT((actual.to(at::kDouble) - expected).norm().item<double>(), relative * expected.norm().item<double>());
}

TEST(HeadLoss, IsAutogradsCrossEntropy) {
  for (const int64_t n : {1, 5, 256, 300, 513}) {
    for (const double scale : {0.1, 3.0}) {
      const Problem problem(n, 24, 1003, scale);
      const at::Tensor h = problem.hidden.to(at::kDouble).requires_grad_();
      const at::Tensor w = problem.weight.to(at::kDouble).requires_grad_();
      const at::Tensor loss = at::cross_entropy_loss(at::matmul(h, w.t()), problem.TargetTensor());
      loss.backward();
      HeadLoss head(2);
      const at::Tensor dw = at::empty_like(problem.weight);
      const HeadLoss::Result result = head.WithGradients(problem.hidden, problem.weight, problem.targets, dw);
      EXPECT_NEAR(result.loss, loss.item<double>(), 2e-6 * std::max(1.0, result.loss));
      ExpectNear(result.hidden_gradient, h.grad(), 3e-6);
      ExpectNear(dw, w.grad(), 3e-6);
      const HeadLoss::Result frozen = head.WithGradients(problem.hidden, problem.weight, problem.targets, {});
      EXPECT_EQ(frozen.loss, result.loss);
      EXPECT_TRUE(at::equal(frozen.hidden_gradient, result.hidden_gradient));
      EXPECT_NEAR(head.LogLikelihood(problem.hidden, problem.weight, problem.targets),
                  -result.loss * static_cast<double>(n), 1e-9 * static_cast<double>(n));
    }
  }
}

TEST(HeadLoss, IdleMemoryGivesTheSameBits) {
  const Problem problem(300, 24, 1003, 1.0);
  HeadLoss head(1);
  const at::Tensor dw_own = at::empty_like(problem.weight);
  const HeadLoss::Result own = head.WithGradients(problem.hidden, problem.weight, problem.targets, dw_own);
  for (const int64_t elements : {300 * 1003 + 5, 100}) {  // the second is too short: not used
    const at::Tensor idle = at::full({elements}, std::nanf("")), dw = at::empty_like(problem.weight);
    const HeadLoss::Result result = head.WithGradients(problem.hidden, problem.weight, problem.targets, dw, idle);
    EXPECT_EQ(result.loss, own.loss);
    EXPECT_TRUE(at::equal(dw, dw_own));
    EXPECT_TRUE(at::equal(result.hidden_gradient, own.hidden_gradient));
    EXPECT_EQ(at::isnan(idle).all().item<bool>(), elements == 100);
  }
}

TEST(RowSoftmax, IsRightAtEveryRangeOfLogits) {
  std::mt19937 random(5);
  for (const float range : {1e-3F, 1.0F, 30.0F, 300.0F, 1e4F}) {
    for (const int64_t V : {1, 2, 15, 16, 17, 511, 513, 5000}) {
      std::uniform_real_distribution<float> uniform(-range, range);
      std::vector<float> row(static_cast<size_t>(V));
      for (float& x : row) x = uniform(random);
      const auto target = static_cast<int32_t>(V / 2);
      long double maximum = row[0], sum = 0;
      for (const float x : row) maximum = std::max<long double>(maximum, x);
      for (const float x : row) sum += std::exp(x - maximum);
      const auto expected = static_cast<double>(row[static_cast<size_t>(target)] - maximum - std::log(sum));
      double log_probability = 0, again = 0;
      LogProbabilityRows(row.data(), 1, V, &target, &log_probability, 1);
      EXPECT_NEAR(log_probability, expected, 1e-6) << range << " " << V;
      std::vector<float> gradient = row;
      CrossEntropyRows(gradient.data(), 1, V, &target, 0.25F, &again, 1);
      EXPECT_EQ(again, log_probability);
      for (int64_t k = 0; k < V; ++k) {
        const auto p = static_cast<double>(std::exp(row[static_cast<size_t>(k)] - maximum) / sum);
        ASSERT_NEAR(gradient[static_cast<size_t>(k)], 0.25 * (p - (k == target ? 1 : 0)), 1e-7);
      }
    }
  }
}

TEST(RowSoftmax, BitsDoNotDependOnThreads) {
  const Problem problem(64, 8, 777, 2.0);
  const at::Tensor logits = at::matmul(problem.hidden, problem.weight.t());
  at::Tensor one = logits.clone(), four = logits.clone();
  std::vector<double> a(64), b(64);
  CrossEntropyRows(one.mutable_data_ptr<float>(), 64, 777, problem.targets.data(), 0.1F, a.data(), 1);
  CrossEntropyRows(four.mutable_data_ptr<float>(), 64, 777, problem.targets.data(), 0.1F, b.data(), 4);
  EXPECT_TRUE(at::equal(one, four));
  EXPECT_EQ(a, b);
}

TEST(RowSoftmax, NotANumberIsNeverLost) {
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    for (const size_t place : {0U, 5U, 40U}) {
      std::vector<float> row(41, 1.0F);
      row[place] = bad;
      const int32_t target = 3;
      double log_probability = 0;
      LogProbabilityRows(row.data(), 1, 41, &target, &log_probability, 1);
      EXPECT_FALSE(std::isfinite(log_probability)) << bad << " at " << place;
    }
  }
}

}  // namespace
}  // namespace hullft::worker
