#include "engine/batcher.h"

#include <algorithm>

namespace sgmv {

std::vector<Chunk> plan_step(std::span<Sequence* const> sequences, int max_rows,
                             PrefillBudget& budget) {
  std::vector<Chunk> chunks;
  for (Sequence* sequence : sequences) {
    if (sequence->num_uncomputed() == 1) chunks.push_back({sequence, 1});
  }
  const int num_decode_rows = static_cast<int>(chunks.size());
  if (chunks.size() == sequences.size()) return chunks;
  int rows_left = std::min(max_rows - num_decode_rows, budget.rows(num_decode_rows));
  for (Sequence* sequence : sequences) {
    if (rows_left == 0) break;
    if (sequence->num_uncomputed() == 1) continue;
    chunks.push_back({sequence, std::min(sequence->num_uncomputed(), rows_left)});
    rows_left -= chunks.back().num_rows;
  }
  return chunks;
}

const Batch& Batcher::build(std::vector<Chunk>& chunks) {
  std::ranges::stable_sort(chunks, {},
                           [](const Chunk& chunk) { return chunk.sequence->request.adapter; });
  clear();
  for (size_t i = 0; i < chunks.size(); ++i) {
    const AdapterHandle adapter = chunks[i].sequence->request.adapter;
    if (i == 0 || adapter != chunks[i - 1].sequence->request.adapter) {
      segment_start_.push_back(static_cast<int32_t>(tokens_.size()));
      const auto* resident = chunks[i].sequence->resident;
      adapters_.push_back(resident == nullptr ? nullptr : resident->device.get());
    }
    append(chunks[i]);
  }
  const auto num_rows = static_cast<int32_t>(tokens_.size());
  segment_start_.push_back(num_rows);
  batch_ = {.num_rows = num_rows,
            .num_seqs = static_cast<int>(chunks.size()),
            .tokens = tokens_.data(),
            .positions = positions_.data(),
            .row_start = row_start_.data(),
            .context_len = context_len_.data(),
            .page_start = page_start_.data(),
            .pages = pages_.data(),
            .segments = {segment_start_.data(), static_cast<int>(adapters_.size())},
            .adapters = adapters_.data(),
            .samples = samples_};
  return batch_;
}

void Batcher::clear() {
  tokens_.clear();
  positions_.clear();
  row_start_.assign(1, 0);
  context_len_.clear();
  page_start_.assign(1, 0);
  pages_.clear();
  segment_start_.clear();
  adapters_.clear();
  samples_.clear();
}

void Batcher::append(const Chunk& chunk) {
  Sequence& sequence = *chunk.sequence;
  const Request& request = sequence.request;
  const int context_len = sequence.num_computed + chunk.num_rows;
  for (int position = sequence.num_computed; position < context_len; ++position) {
    tokens_.push_back(request.tokens[position]);
    positions_.push_back(position);
  }
  row_start_.push_back(static_cast<int32_t>(tokens_.size()));
  context_len_.push_back(context_len);
  const auto pages_end = sequence.pages.begin() + pages_for(context_len, page_size_);
  pages_.insert(pages_.end(), sequence.pages.begin(), pages_end);
  page_start_.push_back(static_cast<int32_t>(pages_.size()));
  if (!chunk.completes()) return;
  samples_.push_back({.row = static_cast<int>(tokens_.size()) - 1,
                      .params = &request.sampling,
                      .position = sequence.num_tokens(),
                      .tokens = request.tokens,
                      .num_prompt_tokens = request.num_prompt_tokens});
  if (sequence.constraint) {
    samples_.back().allowed =
        sequence.constraint->allowed(sequence.generated(), request.stop_tokens);
  }
}

}  // namespace sgmv
