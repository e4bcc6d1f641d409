#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <span>

#include "backend/batch.h"
#include "backend/cuda/device_memory.h"

namespace sgmv {

// What the kernels read of one row to sample from.
struct SamplerRow {
  uint64_t seed;
  float temperature;
  float top_p;
  float min_p;
  float repetition_penalty;
  float presence_penalty;
  float frequency_penalty;
  int32_t top_k;
  int32_t position;
  int32_t changed;  // among the rows with penalties, bias or a mask; negative: none of these
  int32_t first_token;
  int32_t num_tokens;
  int32_t num_prompt_tokens;
  int32_t first_bias;
  int32_t num_biases;
  int32_t first_allowed;  // word of the row's mask; negative: every token is allowed
  int32_t num_top;        // log-probabilities of the likeliest tokens; negative: none at all
  int32_t first_top;      // where they go
};

struct SamplerBias {
  int32_t token;
  float bias;
};

struct SamplerResult {
  int32_t token;
  float logprob;
  int32_t is_valid;  // every logit is finite, and a token is allowed
};

// Chooses tokens from logits on the device, by the rules of cpu/sampler.h. Only token ids and the
// log-probabilities that were asked for come back.
class Sampler {
 public:
  // logits is [rows.size(), vocab_size] in device memory. Waits until the samples are in host
  // memory.
  void run(const float* logits, int vocab_size, std::span<const SampleRow> rows,
           std::span<Sample> samples, cudaStream_t stream);

 private:
  // Offsets into the block that goes to the device, and of the results that come back behind it.
  struct Layout {
    size_t tokens = 0;
    size_t biases = 0;
    size_t allowed = 0;
    size_t results = 0;
    size_t top = 0;
    size_t end = 0;
    int num_changed = 0;
  };

  Layout lay_out(std::span<const SampleRow> rows, int vocab_size);
  void write(const Layout& layout, std::span<const SampleRow> rows, int vocab_size);
  void read(const Layout& layout, std::span<const SampleRow> rows, std::span<Sample> samples) const;
  void reserve(const Layout& layout, int vocab_size, cudaStream_t stream);

  PinnedBytes host_;
  DeviceBytes device_;
  size_t capacity_ = 0;
  DeviceBytes
      changed_;  // f32 logits [num_changed, vocab_size], then u32 counts, zero between steps
  size_t changed_capacity_ = 0;  // values of each
};

}  // namespace sgmv
