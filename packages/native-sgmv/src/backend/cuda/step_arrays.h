#pragma once

#include <cuda_runtime.h>

#include <vector>

#include "backend/backend.h"
#include "backend/batch.h"
#include "backend/cuda/attention.h"
#include "backend/cuda/device_memory.h"

namespace sgmv {

// What kernels read of a batch, in device memory.
struct StepArrays {
  const int32_t* tokens;             // [rows]
  const int32_t* positions;          // [rows]
  const int32_t* kv_slots;           // [rows]: page * page_size + slot; negative: a row of padding
  const int32_t* sampled_rows;       // [samples]
  const int32_t* segment_start;      // [segments + 1]
  const void* const* adapters;       // [segments]: device adapters; rows without one are in none
  const AttentionSequence* decode;   // [decode sequences]: those of one row
  const AttentionSequence* prefill;  // [prefill sequences]: the others
  const int32_t* pages;              // of all sequences
  const int32_t* num_segments;       // [1], and so on
  const int32_t* num_decode;
  const int32_t* num_decode_tasks;
  const int32_t* num_prefill;
  const int32_t* num_prefill_tasks;
};

// Sizes of a batch that decide on launches.
struct StepSizes {
  int num_segments;  // with an adapter and at least one row
  int num_decode;
  int num_decode_tasks;
  int num_prefill;
  int num_prefill_tasks;
};

// Lays out the arrays of a batch in pinned memory and copies them to the device at once. Where an
// array lies depends on the rows alone, so that graphs of that many rows stay valid.
class StepUpload {
 public:
  // The arrays of `batch`, padded to num_rows rows. Waits for nothing, so the copy of the step
  // before must be over. Returns true if the arrays of other batches have moved.
  bool lay_out(const Batch& batch, int num_rows, const ModelShape& shape);
  // Copies what lay_out() made.
  void copy(cudaStream_t stream) const;

  const StepArrays& arrays() const { return arrays_; }
  const StepSizes& sizes() const { return sizes_; }

 private:
  void reserve(size_t num_bytes);
  void fill_rows(const Batch& batch, int num_rows, const ModelShape& shape);
  void fill_segments(const Batch& batch, int num_rows);
  void fill_sequences(const Batch& batch, int num_rows, const ModelShape& shape);

  // The array's place on the host, and, in `device`, on the device.
  template <typename T, typename U>
  T* take(const U*& device, size_t count);

  PinnedBytes host_;
  DeviceBytes device_;
  size_t capacity_ = 0;
  size_t used_ = 0;
  StepArrays arrays_{};
  StepSizes sizes_{};
};

}  // namespace sgmv
