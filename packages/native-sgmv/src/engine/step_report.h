#pragma once

#include <span>

#include "engine/batcher.h"
#include "engine/engine.h"

namespace sgmv {

// Counts what a step runs.
void add_rows(StepReport& report, std::span<const Chunk> chunks, const Batch& batch);

// Adds the next token of `request`, which is not in its tokens yet, with its log-probabilities if
// the request asked for them.
void add_token(StepReport& report, const Request& request, Sample sample);

void add_end(StepReport& report, RequestId id, FinishReason reason, bool by_pressure);

void add_error(StepReport& report, const std::string& error);

// Makes one report of two that follow each other, for a listener that has fallen behind. Rows and
// milliseconds add up; `step` and `num_adapters` are the later one's.
void merge(StepReport& report, StepReport&& next);

}  // namespace sgmv
