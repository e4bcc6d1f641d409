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

// Chooses tokens from logits on the device, by the rules of cpu/sampler.h, in three parts, so that
// the host has nothing to do between the forward pass and the choice. Only token ids and the
// log-probabilities that were asked for come back.
class Sampler {
 public:
  // Before the forward pass: copies what the choice needs beside the logits. What the step before
  // put on the stream must be over.
  void prepare(std::span<const SampleRow> rows, int vocab_size, cudaStream_t stream);
  // After it: chooses for the rows of prepare(), whose logits are in device memory,
  // [rows.size(), vocab_size].
  void launch(const float* logits, cudaStream_t stream) const;
  // Once the stream has been waited for: samples[i] is for rows[i].
  void read(std::span<Sample> samples) const;

 private:
  // Offsets into the block that goes to the device, and behind it, in host memory alone, of what
  // the device writes.
  struct Layout {
    size_t tokens = 0;
    size_t biases = 0;
    size_t allowed = 0;
    size_t results = 0;
    size_t top = 0;
    size_t end = 0;
    int num_rows = 0;
    int num_changed = 0;
    int vocab_size = 0;
  };

  static Layout lay_out(std::span<const SampleRow> rows, int vocab_size);
  void reserve(cudaStream_t stream);
  void write(std::span<const SampleRow> rows);

  Layout layout_;  // of the step under way
  PinnedBytes host_;
  DeviceBytes device_;
  size_t capacity_ = 0;
  DeviceBytes
      changed_;  // f32 logits [num_changed, vocab_size], then u32 counts, zero between steps
  size_t changed_capacity_ = 0;  // values of each
};

}  // namespace sgmv
