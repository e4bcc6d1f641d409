#include "backend/cuda/cublas_lt.h"

#include <dlfcn.h>

#include <stdexcept>
#include <vector>

namespace sgmv {
namespace {

// Stays open: its code is behind every handle made with it.
void* open_library(const std::string& path) {
  std::vector<std::string> names{"libcublasLt.so.13", "libcublasLt.so.12",
                                 "/usr/local/cuda/lib64/libcublasLt.so.13",
                                 "/usr/local/cuda/lib64/libcublasLt.so.12"};
  if (!path.empty()) names.insert(names.begin(), path);
  std::string tried;
  for (const std::string& name : names) {
    if (void* library = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
    tried += (tried.empty() ? "" : ", ") + name;
  }
  throw std::runtime_error("cuBLASLt was not found (tried " + tried +
                           "); install the CUDA libraries, put their folder on LD_LIBRARY_PATH, or "
                           "name the file in the option cublas_lt");
}

template <typename Function>
void find(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) {
    throw std::runtime_error(std::string("cuBLASLt has no ") + name +
                             "; version 12 or 13 is needed");
  }
}

}  // namespace

CublasLt::CublasLt(const std::string& path) {
  void* library = open_library(path);
  find(library, "cublasLtCreate", create);
  find(library, "cublasLtDestroy", destroy);
  find(library, "cublasLtGetVersion", get_version);
  find(library, "cublasLtMatmul", matmul);
  find(library, "cublasLtMatmulAlgoGetHeuristic", get_heuristic);
  find(library, "cublasLtMatmulDescCreate", create_desc);
  find(library, "cublasLtMatmulDescDestroy", destroy_desc);
  find(library, "cublasLtMatmulDescSetAttribute", set_desc);
  find(library, "cublasLtMatmulPreferenceCreate", create_preference);
  find(library, "cublasLtMatmulPreferenceDestroy", destroy_preference);
  find(library, "cublasLtMatmulPreferenceSetAttribute", set_preference);
  find(library, "cublasLtMatrixLayoutCreate", create_layout);
  find(library, "cublasLtMatrixLayoutDestroy", destroy_layout);
}

void check_cublas(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw std::runtime_error(std::string(call) + " failed with status " + std::to_string(status));
}

}  // namespace sgmv
