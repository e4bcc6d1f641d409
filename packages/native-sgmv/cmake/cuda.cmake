# libpunica_cuda.so: the CUDA backend. Nothing of CUDA is linked to it but the static runtime, so that
# it loads, and says what is missing, where there is no driver.
#
#   CMAKE_CUDA_ARCHITECTURES  one architecture, for a quick build while developing
#   CUBLAS_DIR                the folder that has include/cublasLt.h, if the toolkit does not
include(CheckLanguage)
if(NOT CMAKE_CUDA_COMPILER AND EXISTS /usr/local/cuda/bin/nvcc)
  set(CMAKE_CUDA_COMPILER /usr/local/cuda/bin/nvcc)
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 86-real 89-real 90)
endif()
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  message(STATUS "CUDA backend: off, nvcc was not found")
  return()
endif()
get_filename_component(CUDA_BIN ${CMAKE_CUDA_COMPILER} DIRECTORY)
find_path(CUBLAS_INCLUDE cublasLt.h
  HINTS ${CUBLAS_DIR}/include $ENV{CUBLAS_DIR}/include ${CUDA_BIN}/../include)
if(NOT CUBLAS_INCLUDE)
  message(STATUS "CUDA backend: off, cublasLt.h was not found (CUBLAS_DIR names its folder)")
  return()
endif()
enable_language(CUDA)
# CMake 3.25 does not know yet that nvcc has C++20.
set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
set(CMAKE_CUDA_STANDARD 20)
find_package(CUDAToolkit REQUIRED)
message(STATUS "CUDA backend: on, nvcc ${CMAKE_CUDA_COMPILER_VERSION}, ${CUBLAS_INCLUDE}/cublasLt.h")

file(GLOB CUDA_SOURCES CONFIGURE_DEPENDS src/backend/cuda/*.cc src/backend/cuda/*.cu)
add_library(punica_cuda MODULE ${CUDA_SOURCES})
set_target_properties(punica_cuda PROPERTIES CUDA_RUNTIME_LIBRARY Static
  CXX_VISIBILITY_PRESET hidden CUDA_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
target_include_directories(punica_cuda SYSTEM PRIVATE
  ${CUBLAS_INCLUDE} ${CUDAToolkit_INCLUDE_DIRS})
target_link_libraries(punica_cuda PRIVATE engine CUDA::cudart_static)
target_link_options(punica_cuda PRIVATE -Wl,--exclude-libs,ALL -Wl,--no-undefined)

# The SGMV bench and test call the kernels themselves, without the plug-in around them.
file(GLOB SGMV_SOURCES CONFIGURE_DEPENDS src/backend/cuda/sgmv*.cu)
add_library(sgmv_kernels STATIC EXCLUDE_FROM_ALL ${SGMV_SOURCES} src/backend/cuda/sgmv_layout.cc)
target_link_libraries(sgmv_kernels PUBLIC engine CUDA::cudart_static)
add_executable(bench_sgmv ${CHECKS_IN_ALL} bench/sgmv.cu)
target_link_libraries(bench_sgmv PRIVATE sgmv_kernels)
add_executable(cuda_sgmv_test ${CHECKS_IN_ALL} test/cuda_sgmv_test.cu)
target_include_directories(cuda_sgmv_test PRIVATE test)
target_link_libraries(cuda_sgmv_test PRIVATE sgmv_kernels)
add_test(NAME cuda_sgmv_test COMMAND cuda_sgmv_test WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
set_tests_properties(cuda_sgmv_test PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: no GPU")
add_dependencies(checks cuda_sgmv_test)

add_executable(bench_dense ${CHECKS_IN_ALL} bench/dense.cu src/backend/cuda/dense_product.cc
  src/backend/cuda/cublas_lt.cc src/backend/cuda/device_memory.cc
  src/backend/cuda/skinny_product.cu)
target_include_directories(bench_dense SYSTEM PRIVATE ${CUBLAS_INCLUDE})
target_link_libraries(bench_dense PRIVATE engine CUDA::cudart_static)

# Tests that need a GPU; each says so and succeeds where there is none.
file(GLOB CUDA_TEST_SOURCES CONFIGURE_DEPENDS test/cuda_*_test.cc)
foreach(SOURCE ${CUDA_TEST_SOURCES})
  get_filename_component(NAME ${SOURCE} NAME_WE)
  add_executable(${NAME} ${CHECKS_IN_ALL} ${SOURCE})
  target_link_libraries(${NAME} PRIVATE engine CUDA::cudart_static)
  target_include_directories(${NAME} PRIVATE test)
  add_dependencies(${NAME} punica_cuda)
  add_test(NAME ${NAME} COMMAND ${NAME} WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  set_tests_properties(${NAME} PROPERTIES SKIP_REGULAR_EXPRESSION "skipped: no GPU")
  add_dependencies(checks ${NAME})
endforeach()
