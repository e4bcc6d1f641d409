#include "backend/cuda/step_arrays.h"

#include <algorithm>
#include <cstring>

#include "backend/cuda/cuda_adapter.h"
#include "backend/cuda/cuda_check.h"

namespace sgmv {
namespace {

constexpr size_t kAlignment = 64;

size_t align(size_t num_bytes) { return (num_bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Bytes of everything but the pages, for one row more or less.
constexpr size_t kRowBytes = 5 * sizeof(int32_t) + sizeof(void*) + 2 * sizeof(AttentionSequence);
constexpr size_t kFixedBytes = 16 * kAlignment;

}  // namespace

template <typename T, typename U>
T* StepUpload::take(const U*& device, size_t count) {
  auto* host = reinterpret_cast<T*>(host_.get() + used_);
  device = reinterpret_cast<const U*>(device_.get() + used_);
  used_ += align(count * sizeof(T));
  return host;
}

bool StepUpload::lay_out(const Batch& batch, int num_rows, const ModelShape& shape) {
  const int capacity_rows = std::max(num_rows, static_cast<int>(batch.samples.size()));
  const size_t num_bytes = kFixedBytes + (capacity_rows + 1) * kRowBytes +
                           align(batch.page_start[batch.num_seqs] * sizeof(int32_t));
  const bool moves = num_bytes > capacity_;
  if (moves) reserve(2 * num_bytes);
  used_ = 0;
  fill_rows(batch, num_rows, shape);
  fill_segments(batch, num_rows);
  fill_sequences(batch, num_rows, shape);
  return moves;
}

void StepUpload::reserve(size_t num_bytes) {
  host_ = allocate_pinned(num_bytes);
  device_ = allocate_device(num_bytes, "the arrays of a step; lower maxStepTokens");
  capacity_ = num_bytes;
}

void StepUpload::copy(cudaStream_t stream) const {
  CUDA_CHECK(cudaMemcpyAsync(device_.get(), host_.get(), used_, cudaMemcpyHostToDevice, stream));
}

void StepUpload::fill_rows(const Batch& batch, int num_rows, const ModelShape& shape) {
  auto* tokens = take<int32_t>(arrays_.tokens, num_rows);
  auto* positions = take<int32_t>(arrays_.positions, num_rows);
  auto* kv_slots = take<int32_t>(arrays_.kv_slots, num_rows);
  std::fill_n(tokens, num_rows, 0);
  std::fill_n(positions, num_rows, 0);
  std::fill_n(kv_slots, num_rows, -1);
  std::copy_n(batch.tokens, batch.num_rows, tokens);
  std::copy_n(batch.positions, batch.num_rows, positions);
  for (int s = 0; s < batch.num_seqs; ++s) {
    const int32_t* pages = batch.pages + batch.page_start[s];
    const int num_pages = batch.page_start[s + 1] - batch.page_start[s];
    for (int t = batch.row_start[s]; t < batch.row_start[s + 1]; ++t) {
      const int page = positions[t] / shape.page_size;
      if (page >= num_pages) continue;  // Operations that read no keys may run without pages.
      kv_slots[t] = pages[page] * shape.page_size + positions[t] % shape.page_size;
    }
  }
  const size_t num_samples = std::max<size_t>(num_rows, batch.samples.size());
  auto* sampled_rows = take<int32_t>(arrays_.sampled_rows, num_samples);
  std::fill_n(sampled_rows, num_samples, 0);
  for (const SampleRow& sample : batch.samples) *sampled_rows++ = sample.row;
}

void StepUpload::fill_segments(const Batch& batch, int num_rows) {
  auto* start = take<int32_t>(arrays_.segment_start, num_rows + 1);
  auto* adapters = take<const void*>(arrays_.adapters, num_rows);
  auto* num_segments = take<int32_t>(arrays_.num_segments, 1);
  // Segments are consecutive, so rows without adapter become segments with a null one.
  int count = 0;
  bool has_adapter = false;
  start[0] = 0;
  for (int i = 0; i < batch.segments.num_segments; ++i) {
    if (batch.segments.s[i + 1] == batch.segments.s[i]) continue;
    const auto* adapter = static_cast<const CudaAdapter*>(batch.adapters[i]);
    adapters[count] = adapter == nullptr ? nullptr : adapter->memory;
    has_adapter = has_adapter || adapter != nullptr;
    start[++count] = batch.segments.s[i + 1];
  }
  *num_segments = count;
  sizes_.num_segments = has_adapter ? count : 0;
}

void StepUpload::fill_sequences(const Batch& batch, int num_rows, const ModelShape& shape) {
  auto* decode = take<AttentionSequence>(arrays_.decode, num_rows);
  auto* prefill = take<AttentionSequence>(arrays_.prefill, num_rows);
  auto* num_decode = take<int32_t>(arrays_.num_decode, 1);
  auto* num_decode_tasks = take<int32_t>(arrays_.num_decode_tasks, 1);
  auto* num_prefill = take<int32_t>(arrays_.num_prefill, 1);
  auto* num_prefill_tasks = take<int32_t>(arrays_.num_prefill_tasks, 1);
  sizes_.num_decode = sizes_.num_decode_tasks = 0;
  sizes_.num_prefill = sizes_.num_prefill_tasks = 0;
  const int heads_per_kv = shape.num_kv_heads > 0 ? shape.num_heads / shape.num_kv_heads : 0;
  for (int s = 0; s < batch.num_seqs; ++s) {
    const int seq_rows = batch.row_start[s + 1] - batch.row_start[s];
    if (seq_rows == 0) continue;
    AttentionSequence sequence{batch.row_start[s], seq_rows, batch.context_len[s],
                               batch.page_start[s], 0};
    if (seq_rows == 1) {
      sequence.first_task = sizes_.num_decode_tasks;
      sizes_.num_decode_tasks += num_chunks(sequence.context_len, shape.sliding_window);
      decode[sizes_.num_decode++] = sequence;
    } else {
      sequence.first_task = sizes_.num_prefill_tasks;
      sizes_.num_prefill_tasks +=
          (seq_rows * heads_per_kv + kPrefillBlockRows - 1) / kPrefillBlockRows;
      prefill[sizes_.num_prefill++] = sequence;
    }
  }
  *num_decode = sizes_.num_decode;
  *num_decode_tasks = sizes_.num_decode_tasks;
  *num_prefill = sizes_.num_prefill;
  *num_prefill_tasks = sizes_.num_prefill_tasks;
  const int num_pages = batch.page_start[batch.num_seqs];
  std::copy_n(batch.pages, num_pages, take<int32_t>(arrays_.pages, num_pages));
}

}  // namespace sgmv
