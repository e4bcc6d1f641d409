#pragma once

#include <cublasLt.h>

#include <string>

namespace sgmv {

// The functions of cuBLASLt that dense products need. The library is half a gigabyte and not on
// every machine that has a GPU, so it is opened at run time.
struct CublasLt {
  // Throws std::runtime_error saying which files were tried. `path` is tried first if not empty.
  explicit CublasLt(const std::string& path);

  decltype(&cublasLtCreate) create;
  decltype(&cublasLtDestroy) destroy;
  decltype(&cublasLtGetVersion) get_version;
  decltype(&cublasLtMatmul) matmul;
  decltype(&cublasLtMatmulAlgoGetHeuristic) get_heuristic;
  decltype(&cublasLtMatmulDescCreate) create_desc;
  decltype(&cublasLtMatmulDescDestroy) destroy_desc;
  decltype(&cublasLtMatmulDescSetAttribute) set_desc;
  decltype(&cublasLtMatmulPreferenceCreate) create_preference;
  decltype(&cublasLtMatmulPreferenceDestroy) destroy_preference;
  decltype(&cublasLtMatmulPreferenceSetAttribute) set_preference;
  decltype(&cublasLtMatrixLayoutCreate) create_layout;
  decltype(&cublasLtMatrixLayoutDestroy) destroy_layout;
};

// Throws std::runtime_error if `status` is not success.
void check_cublas(cublasStatus_t status, const char* call);

}  // namespace sgmv
