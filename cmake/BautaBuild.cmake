# How every target of the project is built: one place for flags, output folders and naming.

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/bin")
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

add_library(bauta_flags INTERFACE)
target_compile_options(bauta_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Werror
  -fstack-protector-strong -fno-math-errno
  # Part of -Wconversion with clang, but not with GCC, by whose warnings the code is written.
  $<$<CXX_COMPILER_ID:Clang>:-Wno-sign-conversion>)
target_compile_definitions(bauta_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
target_include_directories(bauta_flags INTERFACE "${CMAKE_SOURCE_DIR}/libs" "${CMAKE_SOURCE_DIR}")
target_link_options(bauta_flags INTERFACE -Wl,-z,relro,-z,now)

set(BAUTA_SANITIZE "" CACHE STRING "Sanitizers to build with, as given to -fsanitize=")
if(BAUTA_SANITIZE)
  add_compile_options(-fsanitize=${BAUTA_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${BAUTA_SANITIZE})
endif()

if(BAUTA_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "Fuzz targets need clang: cmake --preset fuzz")
  endif()
  # Not recovering makes undefined behaviour a finding.
  add_compile_options(-fsanitize=fuzzer-no-link -fno-sanitize-recover=undefined)
endif()

# bauta_library(NAME SOURCES file... [USES target...] [PRIVATE_USES target...])
# makes the static library bauta_NAME, alias bauta::NAME. USES are public, PRIVATE_USES stay behind the .cpp files.
function(bauta_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;PRIVATE_USES" ${ARGN})
  add_library(bauta_${name} STATIC ${ARG_SOURCES})
  add_library(bauta::${name} ALIAS bauta_${name})
  target_link_libraries(bauta_${name} PUBLIC ${ARG_USES} PRIVATE ${ARG_PRIVATE_USES} bauta_flags)
  target_include_directories(bauta_${name} PUBLIC "${CMAKE_SOURCE_DIR}/libs" "${CMAKE_SOURCE_DIR}")
endfunction()

# bauta_test(NAME SOURCES file... USES target... [LABELS label...]): one test program, each test its own CTest case.
function(bauta_test name)
  if(NOT BAUTA_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LABELS" ${ARGN})
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(${name}_test ${ARG_SOURCES})
  target_link_libraries(${name}_test PRIVATE ${ARG_USES} GTest::gtest_main GTest::gmock bauta_flags)
  set_target_properties(${name}_test PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  set(properties TIMEOUT 300)
  if(ARG_LABELS)
    list(APPEND properties LABELS "${ARG_LABELS}")
  endif()
  gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST PROPERTIES ${properties})
endfunction()

# bauta_isa_tests(NAME): the tests of bauta_test(NAME) again, as NAME.scalar and NAME.avx2, with the instruction sets that
# this machine would not choose by itself.
function(bauta_isa_tests name)
  if(NOT BAUTA_TESTS)
    return()
  endif()
  foreach(isa scalar avx2)
    add_test(NAME ${name}.${isa} COMMAND ${name}_test --gtest_brief=1)
    # 2: the processor lacks it.
    set_tests_properties(${name}.${isa} PROPERTIES
      ENVIRONMENT "BAUTA_ISA=${isa}" SKIP_RETURN_CODE 2 TIMEOUT 600 LABELS isa)
  endforeach()
endfunction()

# bauta_constant_time_test(NAME SOURCES file... USES target...): a program that marks its secrets as undefined with
# base/poison.h and runs the code that handles them. The tests constant_time.NAME.ISA run it under valgrind, which reports
# every branch and every address that depends on undefined memory; constant_time.NAME.control runs it with the argument
# `control`, with which it must branch on a secret and be caught.
function(bauta_constant_time_test name)
  if(NOT BAUTA_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "" "SOURCES;USES" ${ARGN})
  find_program(BAUTA_VALGRIND valgrind)
  find_path(BAUTA_VALGRIND_HEADERS valgrind/memcheck.h)
  if(NOT BAUTA_VALGRIND OR NOT BAUTA_VALGRIND_HEADERS OR BAUTA_SANITIZE)
    add_test(NAME constant_time.${name} COMMAND "${CMAKE_COMMAND}" -E echo
      "skipped: needs valgrind with its headers, and a build without sanitizers")
    set_tests_properties(constant_time.${name} PROPERTIES SKIP_REGULAR_EXPRESSION "^skipped" LABELS constant_time)
    return()
  endif()
  add_executable(${name}_constant_time ${ARG_SOURCES})
  target_link_libraries(${name}_constant_time PRIVATE ${ARG_USES} bauta_flags)
  target_include_directories(${name}_constant_time SYSTEM PRIVATE "${BAUTA_VALGRIND_HEADERS}")
  set_target_properties(${name}_constant_time PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/tests")
  set(valgrind "${BAUTA_VALGRIND}" --quiet --error-exitcode=9 $<TARGET_FILE:${name}_constant_time>)
  # valgrind has no AVX-512; that code is the same text as that of AVX2, on wider vectors.
  foreach(isa scalar avx2)
    add_test(NAME constant_time.${name}.${isa} COMMAND ${valgrind})
    set_tests_properties(constant_time.${name}.${isa} PROPERTIES
      ENVIRONMENT "BAUTA_ISA=${isa}" SKIP_RETURN_CODE 2 TIMEOUT 300 LABELS constant_time)
  endforeach()
  add_test(NAME constant_time.${name}.control COMMAND ${valgrind} control)
  set_tests_properties(constant_time.${name}.control PROPERTIES WILL_FAIL ON TIMEOUT 300 LABELS constant_time)
endfunction()
