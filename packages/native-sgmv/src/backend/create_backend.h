#pragma once

#include <memory>
#include <string>

#include "backend/backend.h"

namespace sgmv {

struct BackendOptions {
  std::string kind = "cpu";  // "cuda", or "auto": CUDA where there is a GPU, else the CPU
  // Of the CPU backend.
  int num_threads = 0;  // 0: one for each core
  bool bf16_compute = false;
  // Of the CUDA backend: a JSON object that it reads itself.
  std::string plugin_options = "{}";
};

// "cuda" is a plug-in: libpunica_cuda.so beside the library or program that this code is part of,
// so that one build of the addon runs with and without a GPU.
// Throws std::runtime_error saying what was tried. `why_not_cuda` gets that where "auto" took the
// CPU.
std::unique_ptr<Backend> create_backend(const BackendOptions& options,
                                        std::string* why_not_cuda = nullptr);

}  // namespace sgmv
