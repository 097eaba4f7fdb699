// The BLAS that the program is linked with, by its Fortran names: LibTorch's MKL (cmake/dependencies.cmake says why).
#pragma once

extern "C" {
void sgemm_(const char* transa, const char* transb, const int* m, const int* n, const int* k, const float* alpha,
            const float* a, const int* lda, const float* b, const int* ldb, const float* beta, float* c,
            const int* ldc);
// MKL's thread count of the calling thread; returns the one before. Weak: another BLAS takes its own number of threads.
[[gnu::weak]] int MKL_Set_Num_Threads_Local(int threads);
}

namespace hullft {

// The calling thread's products run on so many threads while this lives.
class BlasThreads {
 public:
  explicit BlasThreads(int threads) {
    if (MKL_Set_Num_Threads_Local != nullptr) before_ = MKL_Set_Num_Threads_Local(threads);
  }
  ~BlasThreads() {
    if (MKL_Set_Num_Threads_Local != nullptr) MKL_Set_Num_Threads_Local(before_);
  }
  BlasThreads(const BlasThreads&) = delete;
  BlasThreads& operator=(const BlasThreads&) = delete;

 private:
  int before_ = 0;
};

}  // namespace hullft
