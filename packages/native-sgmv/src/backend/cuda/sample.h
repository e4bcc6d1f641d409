#pragma once

#include <cuda_runtime.h>

#include "backend/batch.h"
#include "backend/cuda/sampler.h"

namespace sgmv {

// All arrays are in device memory, but for what comes back, which is in pinned host memory.
struct SampleArgs {
  const float* logits;  // [num_rows, vocab_size]
  int vocab_size;
  int num_rows;
  const SamplerRow* rows;
  const int32_t* tokens;
  const SamplerBias* biases;
  const uint32_t* allowed;  // masks as in SampleRow, one behind the other
  float* changed_logits;    // [rows with penalties, bias or a mask, vocab_size]
  uint32_t* counts;         // the same; zero before and after
  SamplerResult* results;
  TokenLogprob* top;
};

void launch_sample(const SampleArgs& args, bool has_changed_rows, cudaStream_t stream);

}  // namespace sgmv
