// Kernels are plain loops that the compiler vectorises once per instruction set; the loader picks the clone for this
// CPU. -ffp-contract=off (global) keeps the bits of all clones equal. Everything a cloned function calls must be
// HULLFT_INLINE, otherwise it stays at the baseline instruction set.
#pragma once

#define HULLFT_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__) && \
    !defined(__SANITIZE_ADDRESS__)
#define HULLFT_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else  // other compilers; sanitizers start before the loader can resolve the clones
#define HULLFT_CLONES
#endif
