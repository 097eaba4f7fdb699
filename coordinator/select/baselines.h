// What HullFT is compared with: the N nearest, N at random, SIFT and maximal marginal relevance (docs/method.md). Rows
// of a pool in, picked rows out. Letters: K pool size, d width, N multiset size. Deterministic on every machine. Thread
// safety: free functions, reentrant.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace hullft::select {

// The n rows with the largest <t, x> (tx, K of them), best first, lower row first on ties. n <= K.
std::vector<int> NearestRows(std::span<const double> tx, int n);

// n different rows of k, uniform over all ordered choices: the first n places of a Fisher-Yates shuffle driven by
// splitmix64 started at a hash of (seed, key), with Lemire's unbiased bounded draw. The same rows on every platform,
// for ever.
std::vector<int> RandomRows(int k, int n, uint64_t seed, const std::string& key);

// SIFT (Huebotter et al., arXiv 2410.08020): greedy with replacement. Each pick minimises the target's posterior
// variance k_tt - k_tj^2 / (k_jj + lambda) of the linear kernel, then the covariance is conditioned on it. First row on
// ties. gains, when given, receives for each pick the variance that it removed. The covariance is never whole: its
// column of a row is made when the row is first picked, K d, and one rank-one downdate per pick since then is applied
// to it when it is picked again, O(K) each.
std::vector<int> SiftRows(std::span<const float> rows, std::span<const double> tx, int k, int d, int n, double lambda,
                          std::vector<double>* gains = nullptr);

// Maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998): n different rows, each with the largest
// lambda <t, x> - (1 - lambda) max over the rows picked so far <y, x> (0 before the first), lower row first on ties.
// n <= K. Costs K d per pick.
std::vector<int> MmrRows(std::span<const float> rows, std::span<const double> tx, int k, int d, int n, double lambda);

}  // namespace hullft::select
