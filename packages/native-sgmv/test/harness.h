#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <numeric>
#include <span>
#include <stdexcept>
#include <utility>
#include <vector>

#include "backend/backend.h"
#include "model/model.h"

namespace sgmv {

// A sequence that a Harness runs: its tokens so far, and how many of them are in the KV cache.
struct TestSequence {
  const DeviceAdapter* adapter = nullptr;
  std::vector<int32_t> tokens;
  int num_cached = 0;
  std::vector<int32_t> pages;
};

// The next `num_tokens` uncached tokens of a sequence.
struct Chunk {
  TestSequence* sequence;
  int num_tokens;
};

// What a step made of one chunk: logits of all its rows, and the token sampled from the last one.
struct ChunkResult {
  std::vector<float> logits;  // [num_tokens, vocab_size]
  int32_t token;
};

// Drives Model::step() the way the engine does, without its policies: hands out pages one after
// the other, lays out batches with one segment an adapter, and reads the logits of every row.
class Harness {
 public:
  Harness(std::unique_ptr<Backend> backend, const ModelOptions& options, int num_slots)
      : backend_(std::move(backend)),
        model_(load_model(*backend_, options)),
        page_size_(options.page_size),
        first_adapter_slot_(num_slots) {
    backend_->reserve_pool(num_slots);
  }

  // Takes back the pages of all sequences.
  void reset() { next_page_ = 0; }

  const ModelConfig& config() const { return model_->config(); }

  // Puts an adapter at the far end of the pool.
  const DeviceAdapter* add_adapter(std::unique_ptr<HostAdapter> adapter) {
    const size_t page_bytes = backend_->page_bytes();
    const int num_slots =
        static_cast<int>((backend_->adapter_bytes(*adapter) + page_bytes - 1) / page_bytes);
    first_adapter_slot_ -= num_slots;
    host_adapters_.push_back(std::move(adapter));
    adapters_.push_back(backend_->place_adapter(*host_adapters_.back(), first_adapter_slot_));
    while (!backend_->adapter_ready(*adapters_.back())) {
    }
    return adapters_.back().get();
  }

  // Runs the chunks in one step; results are in the order of the chunks.
  std::vector<ChunkResult> step(std::span<const Chunk> chunks) {
    Layout layout = lay_out(chunks);
    std::vector<Sample> samples(layout.samples.size());
    model_->step(layout.batch, samples);
    const int vocab_size = config().vocab_size;
    std::vector<float> logits(samples.size() * vocab_size);
    backend_->read_logits(logits);

    std::vector<ChunkResult> results(chunks.size());
    for (size_t i = 0; i < chunks.size(); ++i) {
      const int first = layout.first_row[i];
      const int end = first + chunks[i].num_tokens;
      results[i].logits.assign(logits.begin() + int64_t{first} * vocab_size,
                               logits.begin() + int64_t{end} * vocab_size);
      results[i].token = samples[end - 1].token;
      chunks[i].sequence->num_cached += chunks[i].num_tokens;
    }
    return results;
  }

 private:
  struct Layout {
    std::vector<int> first_row;  // of each chunk
    std::vector<int32_t> tokens, positions, row_start, context_len, page_start, pages,
        segment_start;
    std::vector<const DeviceAdapter*> adapters;
    std::vector<SampleRow> samples;
    Batch batch;
  };

  Layout lay_out(std::span<const Chunk> chunks) {
    Layout layout;
    layout.first_row.resize(chunks.size());
    std::vector<size_t> order(chunks.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return chunks[a].sequence->adapter < chunks[b].sequence->adapter;
    });
    for (const size_t i : order) append(layout, chunks[i], i);
    const auto num_rows = static_cast<int32_t>(layout.tokens.size());
    layout.segment_start.push_back(num_rows);
    layout.row_start.push_back(num_rows);
    layout.page_start.push_back(static_cast<int32_t>(layout.pages.size()));
    layout.batch = {
        .num_rows = num_rows,
        .num_seqs = static_cast<int>(chunks.size()),
        .tokens = layout.tokens.data(),
        .positions = layout.positions.data(),
        .row_start = layout.row_start.data(),
        .context_len = layout.context_len.data(),
        .page_start = layout.page_start.data(),
        .pages = layout.pages.data(),
        .segments = {layout.segment_start.data(), static_cast<int>(layout.adapters.size())},
        .adapters = layout.adapters.data(),
        .samples = layout.samples};
    return layout;
  }

  void append(Layout& layout, const Chunk& chunk, size_t index) {
    TestSequence& sequence = *chunk.sequence;
    const auto first_row = static_cast<int32_t>(layout.tokens.size());
    if (layout.adapters.empty() || layout.adapters.back() != sequence.adapter) {
      layout.adapters.push_back(sequence.adapter);
      layout.segment_start.push_back(first_row);
    }
    layout.first_row[index] = first_row;
    layout.row_start.push_back(first_row);
    const int end = sequence.num_cached + chunk.num_tokens;
    layout.context_len.push_back(end);
    for (int position = sequence.num_cached; position < end; ++position) {
      const auto row = static_cast<int>(layout.tokens.size());
      layout.tokens.push_back(sequence.tokens[position]);
      layout.positions.push_back(position);
      layout.samples.push_back({row, &greedy_, position + 1, {}, 0});
    }
    while (static_cast<int>(sequence.pages.size()) * page_size_ < end) {
      sequence.pages.push_back(next_page());
    }
    layout.page_start.push_back(static_cast<int32_t>(layout.pages.size()));
    layout.pages.insert(layout.pages.end(), sequence.pages.begin(), sequence.pages.end());
  }

  int next_page() {
    if (next_page_ == first_adapter_slot_) throw std::runtime_error("the pool is full");
    return next_page_++;
  }

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  int page_size_;
  int next_page_ = 0;  // pages come from the near end of the pool, adapters from the far one
  int first_adapter_slot_;
  SamplingParams greedy_;
  std::vector<std::unique_ptr<HostAdapter>> host_adapters_;
  std::vector<std::unique_ptr<DeviceAdapter>> adapters_;
};

}  // namespace sgmv
