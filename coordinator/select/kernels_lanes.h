// The loops of kernels.h for one instruction set: each source that includes this is compiled for another one and must
// not include anything with inline functions of its own, which the linker would then take for all.
#pragma once

#include <cstddef>
#include <cstring>

#ifdef __FMA__
#include <immintrin.h>
#endif

#include "coordinator/select/kernels.h"

namespace hullft::select {
namespace {

// GCC and Clang vectors of W lanes, the register width of each instruction set (a wider type than the registers is
// lowered through the stack, at five times the cost).
template <int W>
struct Wide {
  using Doubles [[gnu::vector_size(W * sizeof(double))]] = double;
  using Floats [[gnu::vector_size(W * sizeof(float))]] = float;
  using Places [[gnu::vector_size(W * sizeof(double))]] = long long;
};

#define HULLFT_INLINE static inline __attribute__((always_inline))

template <int W>
HULLFT_INLINE void Load(const double* from, typename Wide<W>::Doubles* to) {
  std::memcpy(to, from, sizeof(*to));
}
template <int W>
HULLFT_INLINE void Load(const float* from, typename Wide<W>::Doubles* to) {
  typename Wide<W>::Floats narrow;
  std::memcpy(&narrow, from, sizeof(narrow));
#ifdef __AVX512F__
  if constexpr (W == 8) return void(*to = _mm512_maskz_cvtps_pd(0xff, narrow));
#endif
#ifdef __AVX__
  if constexpr (W == 4) return void(*to = _mm256_cvtps_pd(narrow));
#endif
  *to = __builtin_convertvector(narrow, typename Wide<W>::Doubles);
}

// The sum of sixteen lanes in the order of kernels.h.
template <int W>
HULLFT_INLINE double Fold(typename Wide<W>::Doubles lanes) {
  if constexpr (W == 8) {
    return Fold<4>(__builtin_shufflevector(lanes, lanes, 0, 1, 2, 3) +
                   __builtin_shufflevector(lanes, lanes, 4, 5, 6, 7));
  } else if constexpr (W == 4) {
    return Fold<2>(__builtin_shufflevector(lanes, lanes, 0, 1) + __builtin_shufflevector(lanes, lanes, 2, 3));
  } else {
    return lanes[0] + lanes[1];
  }
}
template <int W>
HULLFT_INLINE double FoldParts(typename Wide<W>::Doubles* parts) {
#pragma GCC unroll 4
  for (int half = kLanes / W / 2; half > 0; half /= 2) {
#pragma GCC unroll 4
    for (int p = 0; p < half; ++p) parts[p] += parts[p + half];
  }
  return Fold<W>(parts[0]);
}

// The last d mod 16 values, filled up with zeros, which change no sum: a lane is never -0.
template <class T>
struct Tail {
  Tail(const T* from, int count) {
    for (int l = 0; l < count; ++l) values[l] = from[l];
  }
  T values[kLanes] = {};
};

template <int W, class T>
HULLFT_INLINE void AddProducts(const T* a, const double* b, typename Wide<W>::Doubles* sum) {
#pragma GCC unroll 8
  for (ptrdiff_t part = 0; part < kLanes / W; ++part) {
    typename Wide<W>::Doubles x, y;
    Load<W>(a + part * W, &x);
    Load<W>(b + part * W, &y);
    sum[part] += x * y;
  }
}

template <int W, class T>
HULLFT_INLINE double LaneDot(const T* a, const double* b, int d) {
  typename Wide<W>::Doubles sum[kLanes / W] = {};
  int i = 0;
  for (; i + kLanes <= d; i += kLanes) AddProducts<W>(a + i, b + i, sum);
  if (i < d) AddProducts<W>(Tail<T>(a + i, d - i).values, Tail<double>(b + i, d - i).values, sum);
  return FoldParts<W>(sum);
}

template <int W>
static void LaneRowDots(const float* rows, int k, int d, const double* v, double* out) {
  for (int i = 0; i < k; ++i) out[i] = LaneDot<W>(rows + static_cast<long>(i) * d, v, d);
}

// x y + sum, of products that are exact: fused where there is such an instruction.
template <int W>
HULLFT_INLINE typename Wide<W>::Doubles AddExactProduct(typename Wide<W>::Doubles x, typename Wide<W>::Doubles y,
                                                        typename Wide<W>::Doubles sum) {
#ifdef __AVX512F__
  if constexpr (W == 8) return _mm512_fmadd_pd(x, y, sum);
#endif
#ifdef __FMA__
  if constexpr (W == 4) return _mm256_fmadd_pd(x, y, sum);
#endif
  return x * y + sum;
}

template <int W, int R, int C>
HULLFT_INLINE void AddExactProducts(const float* const* x, const double* const* v, int at, long ahead,
                                    typename Wide<W>::Doubles (*sum)[R][kLanes / W]) {
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) __builtin_prefetch(x[r] + at + ahead);  // a row may end at a page, where hardware stops
#pragma GCC unroll 8
  for (ptrdiff_t part = 0; part < kLanes / W; ++part) {
    typename Wide<W>::Doubles y[C];
#pragma GCC unroll 3
    for (int c = 0; c < C; ++c) Load<W>(v[c] + at + part * W, &y[c]);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      typename Wide<W>::Doubles wide;
      Load<W>(x[r] + at + part * W, &wide);
#pragma GCC unroll 3
      for (int c = 0; c < C; ++c) sum[c][r][part] = AddExactProduct<W>(wide, y[c], sum[c][r][part]);
    }
  }
}

// R rows with C vectors: enough independent sums to hide the latency of an addition, and each loaded value is used R or
// C times.
template <int W, int R, int C>
HULLFT_INLINE void Block(const float* rows, int d, const double* const* v, double* const* out, int at) {
  typename Wide<W>::Doubles sum[C][R][kLanes / W] = {};
  const float* x[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) x[r] = rows + static_cast<long>(r) * d;
  int i = 0;
  for (; i + kLanes <= d; i += kLanes) AddExactProducts<W, R, C>(x, v, i, static_cast<long>(R) * d, sum);
  if (i < d) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const Tail<float> narrow(x[r] + i, d - i);
#pragma GCC unroll 3
      for (int c = 0; c < C; ++c) {
        const Tail<double> wide(v[c] + i, d - i);
        AddProducts<W>(narrow.values, wide.values, sum[c][r]);
      }
    }
  }
#pragma GCC unroll 3
  for (int c = 0; c < C; ++c) {
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) out[c][at + r] = FoldParts<W>(sum[c][r]);
  }
}

template <int W, int R, int C>
HULLFT_INLINE void Columns(const float* rows, int k, int d, const double* const* v, double* const* out) {
  int i = 0;
  for (; i + R <= k; i += R) Block<W, R, C>(rows + static_cast<long>(i) * d, d, v, out, i);
  for (; i < k; ++i) Block<W, 1, C>(rows + static_cast<long>(i) * d, d, v, out, i);
}

template <int W>
static void LaneAddScaled(double weight, const float* x, int d, double* out) {
  int i = 0;
  for (; i + W <= d; i += W) {
    typename Wide<W>::Doubles wide, sum;
    Load<W>(x + i, &wide);
    Load<W>(out + i, &sum);
    sum += weight * wide;
    std::memcpy(out + i, &sum, sizeof(sum));
  }
  for (; i < d; ++i) out[i] += weight * x[i];
}

template <int W>
static void LaneBlend(double keep, double gamma, const double* y, int k, double* x) {
  int i = 0;
  for (; i + W <= k; i += W) {
    typename Wide<W>::Doubles a, b;
    Load<W>(x + i, &a);
    Load<W>(y + i, &b);
    a = keep * a + gamma * b;
    std::memcpy(x + i, &a, sizeof(a));
  }
  for (; i < k; ++i) x[i] = keep * x[i] + gamma * y[i];
}

// Two running maxima, so that a step need not wait for the one before it.
template <int W>
static int LaneLargestDifference(const double* a, const double* b, int k) {
  using Doubles = typename Wide<W>::Doubles;
  using Places = typename Wide<W>::Places;
  int best = 0, i = 0;
  double largest = a[0] - b[0];
  if (k >= 2 * W) {
    Doubles top[2], x, y;
    Places place[2], here[2];
    for (ptrdiff_t h = 0; h < 2; ++h) {
      for (int l = 0; l < W; ++l) here[h][l] = h * W + l;
      place[h] = here[h];
      Load<W>(a + h * W, &x);
      Load<W>(b + h * W, &y);
      top[h] = x - y;
    }
    for (i = 2 * W; i + 2 * W <= k; i += 2 * W) {
#pragma GCC unroll 2
      for (ptrdiff_t h = 0; h < 2; ++h) {
        here[h] += 2 * W;
        Load<W>(a + i + h * W, &x);
        Load<W>(b + i + h * W, &y);
        const Doubles value = x - y;
        const Places above = value > top[h];
        place[h] = above ? here[h] : place[h];
        top[h] = above ? value : top[h];
      }
    }
    for (ptrdiff_t h = 0; h < 2; ++h) {
      for (int l = 0; l < W; ++l) {
        const int at = static_cast<int>(place[h][l]);
        if (top[h][l] > largest || (top[h][l] == largest && at < best)) best = at, largest = top[h][l];
      }
    }
  }
  for (; i < k; ++i) {
    if (a[i] - b[i] > largest) best = i, largest = a[i] - b[i];
  }
  return best;
}

// One pass over the rows for all columns. Three take fewer rows at once, so that the sums still fit into the registers.
template <int W, int Rows>
static void LaneGramColumns(const float* rows, int k, int d, const double* const* v, int count, double* const* out) {
  if (count == 1) return Columns<W, Rows, 1>(rows, k, d, v, out);
  if (count == 2) return Columns<W, Rows, 2>(rows, k, d, v, out);
  Columns<W, Rows / 2, 3>(rows, k, d, v, out);
}

// The variant of W lanes whose gram_columns takes `Rows` rows at once.
template <int W, int Rows>
constexpr Kernels Variant(const char* name) {
  return {name,         LaneRowDots<W>,          LaneGramColumns<W, Rows>, LaneDot<W, double>, LaneAddScaled<W>,
          LaneBlend<W>, LaneLargestDifference<W>};
}

}  // namespace
}  // namespace hullft::select
