// What every call of FAISS needs. Included by faiss_build.cc and faiss_index.cc only. Thread safety: free functions.
#pragma once

#include <faiss/impl/FaissException.h>
#include <omp.h>

#include "common/error.h"

namespace hullft::index {

// FAISS's errors as hullft's; a clear one where this processor lacks what the kernels were compiled for.
template <class Function>
auto Translate(const Function& function) {
#ifdef HULLFT_FAISS_AVX2
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) {
    throw Error(Code::kUsage, "this build's FAISS kernels need a processor with AVX2 and FMA",
                "configure with -DHULLFT_FAISS_SOURCE= for the library's own, or use --index Flat");
  }
#endif
  try {
    return function();
  } catch (const faiss::FaissException& error) {
    throw Error(Code::kInternal, fmt::format("FAISS: {}", error.what()));
  }
}

// The calling thread's OpenMP loops run on so many threads while this lives.
class OmpThreads {
 public:
  explicit OmpThreads(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~OmpThreads() { omp_set_num_threads(before_); }
  OmpThreads(const OmpThreads&) = delete;
  OmpThreads& operator=(const OmpThreads&) = delete;

 private:
  const int before_;
};

}  // namespace hullft::index
