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
  -fstack-protector-strong -fno-math-errno)
target_compile_definitions(bauta_flags INTERFACE $<$<NOT:$<CONFIG:Debug>>:_FORTIFY_SOURCE=2>)
target_include_directories(bauta_flags INTERFACE "${CMAKE_SOURCE_DIR}/libs" "${CMAKE_SOURCE_DIR}")
target_link_options(bauta_flags INTERFACE -Wl,-z,relro,-z,now)

set(BAUTA_SANITIZE "" CACHE STRING "Sanitizers to build with, as given to -fsanitize=")
if(BAUTA_SANITIZE)
  add_compile_options(-fsanitize=${BAUTA_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${BAUTA_SANITIZE})
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
