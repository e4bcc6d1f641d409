#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/batch.h"
#include "engine/prefill_budget.h"
#include "engine/sequence.h"

namespace sgmv {

// The next `num_rows` uncomputed tokens of a sequence.
struct Chunk {
  Sequence* sequence;
  int num_rows;

  // Whether the chunk reaches the last token, so that the next one is sampled.
  bool completes() const { return num_rows == sequence->num_uncomputed(); }
};

// Which rows run next. Sequences with one token to compute come first, so that nobody's stream
// stops for another's prompt; then prompts, first come first served, within `max_rows` in all and
// within what `budget` leaves to prompts. `sequences` are in order of arrival and no more than
// `max_rows`.
std::vector<Chunk> plan_step(std::span<Sequence* const> sequences, int max_rows,
                             PrefillBudget& budget);

// The flat arrays of one step, kept from step to step so that they are allocated once.
class Batcher {
 public:
  explicit Batcher(int page_size) : page_size_(page_size) {}

  // Sorts `chunks` by adapter, so that each adapter is one segment, and lays them out. The batch
  // is valid until the next call; samples are in the order of the chunks that complete.
  const Batch& build(std::vector<Chunk>& chunks);

 private:
  void clear();
  void append(const Chunk& chunk);

  int page_size_;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> positions_;
  std::vector<int32_t> row_start_;
  std::vector<int32_t> context_len_;
  std::vector<int32_t> page_start_;
  std::vector<int32_t> pages_;
  std::vector<int32_t> segment_start_;
  std::vector<const DeviceAdapter*> adapters_;
  std::vector<SampleRow> samples_;
  Batch batch_{};
};

}  // namespace sgmv
