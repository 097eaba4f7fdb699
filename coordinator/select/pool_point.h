// The point c = X^T w of a run over one pool, known by its inner products with the rows, p = X c: what all variants of
// Frank-Wolfe share (frank_wolfe.h). Letters: K pool size, d width, m support size. Thread safety: one thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "coordinator/select/frank_wolfe.h"
#include "coordinator/select/gram_columns.h"

namespace hullft::select {

// Memory that runs on one thread use one after another. After a run it holds O(K m + d + m^2) values.
struct Workspace {
  GramColumns columns;
  std::vector<double> products;         // p
  std::vector<double> target, scores;   // Select: t [d] widened, X t [K]
  std::vector<double> residual, step;   // [d]
  std::vector<double> factor, scratch;  // kCorrective: triangular matrix [m][m]; vectors of m
};

// The most points that a run can have in its support: one beyond the limit, where it stops.
int MostPoints(const FrankWolfeProblem& problem, const FrankWolfeOptions& options);

class PoolPoint {
 public:
  // At most `most` points in the support at once.
  PoolPoint(const FrankWolfeProblem& problem, int most, Workspace* workspace);

  // Where a run begins: the given start, or the row with the largest <t, x>. Sets p.
  void Start(std::vector<int64_t>* support, std::vector<double>* weights);

  // The first row with the largest <x_i, rho>.
  int Oracle() const;
  double Score(int row) const { return problem_.tx[static_cast<size_t>(row)] - Product(row); }
  double Product(int row) const { return workspace_.products[static_cast<size_t>(row)]; }
  double target_sq() const { return target_sq_; }
  double tx(int row) const { return problem_.tx[static_cast<size_t>(row)]; }

  // <t, c> and <c, c> from p.
  struct CenterProducts {
    double tc = 0, cc = 0;
  };
  CenterProducts Products(std::span<const int64_t> support, std::span<const double> weights) const;

  // The row's Gram column [K], kept until Release.
  const double* Column(int row);
  void Release(int row) { workspace_.columns.Unpin(row); }
  // p = keep p + gamma G_row: c moves towards (or away from) the row.
  void Move(double keep, double gamma, int row);
  // p = sum w_i G_i. O(K m).
  void Set(std::span<const int64_t> support, std::span<const double> weights);

  // rho = t - sum w_i x_i from the vectors; O(m d). Valid until the next call.
  std::span<const double> Residual(std::span<const int64_t> support, std::span<const double> weights);
  // The step from c = t - rho to a row, from the vectors.
  Direction DirectionTo(int row, std::span<const double> rho);

  // The certificate from the vectors, and the support in order, cut to the limit, with its Gram matrix.
  void Finish(std::span<const int64_t> support, std::span<const double> weights, const FrankWolfeOptions& options,
              FrankWolfeResult* result);

 private:
  std::span<const float> Row(int64_t row) const;
  std::span<const int> Guess(int row);  // partners for the row's column (gram_columns.h)
  double Dot(std::span<const double> a, std::span<const double> b) const;

  const FrankWolfeProblem& problem_;
  std::unique_ptr<Workspace> own_;
  Workspace& workspace_;
  double target_sq_ = 0;
  std::array<int, GramColumns::kMostPartners> guess_;
};

// Updates, at most max_iter, until one gives a reason to stop. update: that reason, or null; it counts the iterations.
template <class Update>
void Iterate(int max_iter, FrankWolfeResult* result, const Update& update) {
  const char* stop = nullptr;
  while (stop == nullptr && result->iterations < max_iter) stop = update();
  result->stop = stop == nullptr ? "max_iter" : stop;
}

// The variants' loops. options have been checked.
FrankWolfeResult RunReference(const FrankWolfeProblem& problem, const FrankWolfeOptions& options, Workspace* workspace);
// kAway and kPairwise.
FrankWolfeResult RunActiveSet(const FrankWolfeProblem& problem, const FrankWolfeOptions& options, Workspace* workspace);
FrankWolfeResult RunCorrective(const FrankWolfeProblem& problem, const FrankWolfeOptions& options,
                               Workspace* workspace);

}  // namespace hullft::select
