# Third-party libraries as imported targets. Debian's packages, and LibTorch from a PyPI wheel (docs/decisions/0001).
include(FindPkgConfig)
find_package(Threads REQUIRED)
find_package(Boost 1.74 REQUIRED COMPONENTS program_options)
find_package(GTest REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
if(HULLFT_WORKER_ONLY OR HULLFT_FUZZ)
  set(HULLFT_MPI OFF)
endif()
if(NOT HULLFT_WORKER_ONLY)
  find_package(benchmark REQUIRED)
  find_package(simdjson REQUIRED)
  find_package(ZLIB REQUIRED)
  pkg_check_modules(HTTPLIB REQUIRED IMPORTED_TARGET cpp-httplib)
  pkg_check_modules(TOMLPLUSPLUS REQUIRED IMPORTED_TARGET tomlplusplus)
  pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
endif()
if(HULLFT_FUZZ)
  return()
endif()
find_package(OpenMP REQUIRED)

# LibTorch: find_package(Torch) insists on CUDA even for its CPU half, so name the files. Never libtorch.so: it needs CUDA.
function(hullft_wheel_lib target file)
  if(NOT EXISTS ${HULLFT_WHEELS}/${file})
    message(FATAL_ERROR "${HULLFT_WHEELS}/${file} is missing: run scripts/setup, or set HULLFT_WHEELS")
  endif()
  add_library(${target} SHARED IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES IMPORTED_LOCATION ${HULLFT_WHEELS}/${file})
endfunction()
hullft_wheel_lib(torch::c10 torch/lib/libc10.so)
hullft_wheel_lib(torch::cpu torch/lib/libtorch_cpu.so)
target_compile_features(torch::cpu INTERFACE cxx_std_20)
set(torch_include ${HULLFT_WHEELS}/torch/include)
if(EXISTS ${torch_include}/fmt)  # an installed PyTorch: its fmt headers would hide Debian's from spdlog
  set(torch_include ${CMAKE_BINARY_DIR}/torch_include)
  file(GLOB entries RELATIVE ${HULLFT_WHEELS}/torch/include ${HULLFT_WHEELS}/torch/include/*)
  list(REMOVE_ITEM entries fmt)
  file(MAKE_DIRECTORY ${torch_include})
  foreach(entry ${entries})
    file(CREATE_LINK ${HULLFT_WHEELS}/torch/include/${entry} ${torch_include}/${entry} SYMBOLIC)
  endforeach()
endif()
target_include_directories(torch::cpu SYSTEM INTERFACE ${torch_include} ${torch_include}/torch/csrc/api/include)
target_link_libraries(torch::cpu INTERFACE torch::c10)

if(HULLFT_CUDA)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
  endif()
  # CUDA 13 lies in nvidia/cu13; the wheels of CUDA 12 have a folder for each library.
  file(GLOB cudart RELATIVE ${HULLFT_WHEELS} ${HULLFT_WHEELS}/nvidia/cu13/lib/libcudart.so.*
    ${HULLFT_WHEELS}/nvidia/cuda_runtime/lib/libcudart.so.*)
  if(NOT cudart)
    message(FATAL_ERROR "no nvidia/*/lib/libcudart.so in ${HULLFT_WHEELS}: run scripts/setup_cuda, or set HULLFT_WHEELS")
  endif()
  list(GET cudart 0 cudart)
  cmake_path(GET cudart PARENT_PATH cuda_root)
  cmake_path(GET cuda_root PARENT_PATH cuda_root)
  # The wheels' compiler where there is one, else the system's: it must have the same major version.
  find_program(HULLFT_NVCC nvcc HINTS ${HULLFT_WHEELS}/${cuda_root}/bin NO_DEFAULT_PATH)
  if(HULLFT_NVCC AND NOT CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_COMPILER ${HULLFT_NVCC})
  endif()
  set(CMAKE_CUDA_RUNTIME_LIBRARY None)  # the one that LibTorch loads, named below; else a second, static one is linked
  enable_language(CUDA)
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 knows no C++20 flag for nvcc
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
  endif()
  hullft_wheel_lib(cuda::cudart ${cudart})
  find_path(HULLFT_CUDA_INCLUDE cuda_runtime_api.h REQUIRED
    HINTS ${HULLFT_WHEELS}/${cuda_root}/include ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  target_include_directories(cuda::cudart SYSTEM INTERFACE ${HULLFT_CUDA_INCLUDE})
  hullft_wheel_lib(torch::c10_cuda torch/lib/libc10_cuda.so)
  hullft_wheel_lib(torch::cuda torch/lib/libtorch_cuda.so)
  target_link_libraries(torch::cuda INTERFACE torch::c10_cuda torch::cpu cuda::cudart)
  target_link_options(torch::cuda INTERFACE LINKER:--no-as-needed)  # it registers its kernels when it is loaded
  hullft_wheel_lib(nccl::nccl nvidia/nccl/lib/libnccl.so.2)
  target_include_directories(nccl::nccl SYSTEM INTERFACE ${HULLFT_WHEELS}/nvidia/nccl/include)
endif()

if(HULLFT_WORKER_ONLY)
  return()
endif()

# BLAS: libtorch_cpu exports sgemm_ and friends (MKL's); linked before OpenBLAS it serves Torch and FAISS alike, and
# OpenBLAS only the LAPACK names that FAISS uses. That OpenBLAS is a dependency of torch::cpu keeps CMake to this order; the
# other one costs a factor of four in everything (tests/coordinator/doctor_test watches it).
find_library(HULLFT_OPENBLAS NAMES openblas PATH_SUFFIXES openblas-openmp REQUIRED)
add_library(openblas::openblas SHARED IMPORTED GLOBAL)
set_target_properties(openblas::openblas PROPERTIES IMPORTED_LOCATION ${HULLFT_OPENBLAS})
target_link_libraries(torch::cpu INTERFACE openblas::openblas)

# FAISS: the archive itself; its CMake package drags in reference BLAS by path.
find_library(HULLFT_FAISS NAMES libfaiss.a REQUIRED)
add_library(faiss::faiss STATIC IMPORTED GLOBAL)
target_compile_definitions(faiss::faiss INTERFACE FINTEGER=int)
target_link_libraries(faiss::faiss INTERFACE torch::cpu OpenMP::OpenMP_CXX)

# Debian's archive has SSE2 kernels only. In a copy of it, the two members with all distances of HNSW and the codecs of SQ8 are
# replaced by the same sources (of the same version: scripts/setup fetches them) compiled with AVX2.
set(HULLFT_FAISS_SOURCE ${HULLFT_DEPS}/faiss CACHE PATH "FAISS's sources, of the version of libfaiss.a; without them its SSE2 kernels stay")
if(EXISTS ${HULLFT_FAISS_SOURCE}/faiss/utils/distances_simd.cpp)
  add_library(faiss_avx2 OBJECT ${HULLFT_FAISS_SOURCE}/faiss/utils/distances_simd.cpp
    ${HULLFT_FAISS_SOURCE}/faiss/impl/ScalarQuantizer.cpp)
  target_include_directories(faiss_avx2 SYSTEM PRIVATE ${HULLFT_FAISS_SOURCE})
  target_compile_definitions(faiss_avx2 PRIVATE FINTEGER=int)
  target_compile_options(faiss_avx2 PRIVATE -O3 -mavx2 -mfma -mf16c -mpopcnt -w)
  target_link_libraries(faiss_avx2 PRIVATE OpenMP::OpenMP_CXX)
  set(archive ${CMAKE_BINARY_DIR}/libfaiss_avx2.a)
  add_custom_command(OUTPUT ${archive} COMMAND_EXPAND_LISTS VERBATIM DEPENDS faiss_avx2 $<TARGET_OBJECTS:faiss_avx2> ${HULLFT_FAISS}
    COMMAND ${CMAKE_COMMAND} -E copy ${HULLFT_FAISS} ${archive}
    COMMAND ${CMAKE_AR} r ${archive} $<TARGET_OBJECTS:faiss_avx2>
    COMMENT "FAISS's kernels with AVX2")
  add_custom_target(faiss_avx2_archive DEPENDS ${archive})
  add_dependencies(faiss::faiss faiss_avx2_archive)
  set_target_properties(faiss::faiss PROPERTIES IMPORTED_LOCATION ${archive})
  target_compile_definitions(faiss::faiss INTERFACE HULLFT_FAISS_AVX2)
else()
  set_target_properties(faiss::faiss PROPERTIES IMPORTED_LOCATION ${HULLFT_FAISS})
endif()

find_path(HULLFT_ROCKSDB_INCLUDE rocksdb/db.h REQUIRED)
find_library(HULLFT_ROCKSDB NAMES librocksdb.so REQUIRED)
add_library(rocksdb::rocksdb SHARED IMPORTED GLOBAL)
set_target_properties(rocksdb::rocksdb PROPERTIES IMPORTED_LOCATION ${HULLFT_ROCKSDB})

if(HULLFT_MPI)
  find_package(MPI REQUIRED COMPONENTS CXX)
  set(HULLFT_MPIRUN ${MPIEXEC_EXECUTABLE} --oversubscribe --bind-to none CACHE STRING "How tests start ranks")
endif()
