# The four helpers every folder uses. Sources are listed, never globbed; headers sit beside them.
include(GoogleTest)

# hullft_library(NAME SOURCES a.cc ... DEPS target ...): a static library hullft_NAME, included from the root.
function(hullft_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(hullft_${name} STATIC ${ARG_SOURCES})
  target_include_directories(hullft_${name} PUBLIC ${CMAKE_SOURCE_DIR})
  target_link_libraries(hullft_${name} PUBLIC ${ARG_DEPS})
endfunction()

# hullft_test(NAME SOURCES a_test.cc ... DEPS target ... [LABELS unit]): one GoogleTest program; ctest runs it whole.
function(hullft_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name} PRIVATE
    HULLFT_GOLDENS="${CMAKE_SOURCE_DIR}/tests/goldens" HULLFT_BINARY="${CMAKE_BINARY_DIR}/hullft"
    HULLFT_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()

# hullft_mpi_test(NAME RANKS 1 2 3 4 SOURCES ... DEPS ...): one program with its own main, run at each number of ranks.
function(hullft_mpi_test name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;RANKS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gmock GTest::gtest)
  target_compile_definitions(${name} PRIVATE HULLFT_GOLDENS="${CMAKE_SOURCE_DIR}/tests/goldens")
  foreach(ranks ${ARG_RANKS})
    add_test(NAME ${name}_${ranks} COMMAND ${HULLFT_MPIRUN} -n ${ranks} $<TARGET_FILE:${name}> --world ${ranks})
    set_tests_properties(${name}_${ranks} PROPERTIES LABELS mpi TIMEOUT ${ARG_TIMEOUT} PROCESSORS ${ranks}
      ENVIRONMENT "OMPI_ALLOW_RUN_AS_ROOT=1;OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1;OMPI_MCA_mpi_yield_when_idle=1")
  endforeach()
endfunction()

# hullft_bench(NAME SOURCES ... DEPS ...): a Google Benchmark program, built but run by hand.
function(hullft_bench name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  if(NOT TARGET benchmark::benchmark_main)
    return()
  endif()
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} benchmark::benchmark_main)
  target_compile_definitions(${name} PRIVATE HULLFT_GOLDENS="${CMAKE_SOURCE_DIR}/tests/goldens")
endfunction()
