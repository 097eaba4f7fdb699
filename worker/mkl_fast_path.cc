// Tells the MKL inside LibTorch that it may use its fastest kernels on any CPU: on AMD it would take its AVX2 path, at
// half the speed. Undocumented; must be an object of the executable itself, not of a static library. It changes
// low-order bits of results on AMD; on Intel CPUs it answers what MKL would find by itself. Option
// HULLFT_MKL_FAST_PATH, decision 0002.
extern "C" int mkl_serv_intel_cpu_true() {
  return 1;
}
