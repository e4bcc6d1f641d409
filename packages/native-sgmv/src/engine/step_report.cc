#include "engine/step_report.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>
#include <vector>

namespace sgmv {
namespace {

Sample no_logprobs() {
  return {.token = 0, .logprob = std::numeric_limits<float>::quiet_NaN(), .top = {}};
}

template <typename T>
void append(std::vector<T>& to, std::vector<T>&& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

// Once there is an entry for one token there is one for each.
void pad_logprobs(StepReport& report) {
  report.logprobs.resize(report.token.size(), no_logprobs());
}

}  // namespace

void add_rows(StepReport& report, std::span<const Chunk> chunks, const Batch& batch) {
  for (const Chunk& chunk : chunks) {
    const bool decodes = chunk.sequence->num_uncomputed() == 1;
    (decodes ? report.num_decode_rows : report.num_prefill_tokens) += chunk.num_rows;
  }
  report.num_adapters =
      static_cast<int>(std::count_if(batch.adapters, batch.adapters + batch.segments.num_segments,
                                     [](const auto* adapter) { return adapter != nullptr; }));
}

void add_token(StepReport& report, const Request& request, Sample sample) {
  const bool wants_logprobs = request.sampling.num_logprobs >= 0;
  if (wants_logprobs) pad_logprobs(report);
  report.token_request.push_back(request.id);
  report.token.push_back(sample.token);
  report.token_index.push_back(static_cast<int32_t>(request.tokens.size()) -
                               request.num_prompt_tokens);
  if (wants_logprobs) {
    report.logprobs.push_back(std::move(sample));
  } else if (!report.logprobs.empty()) {
    pad_logprobs(report);
  }
}

void add_end(StepReport& report, RequestId id, FinishReason reason, bool by_pressure) {
  report.end_request.push_back(id);
  report.end_reason.push_back(reason);
  report.end_by_pressure.push_back(by_pressure);
}

void add_error(StepReport& report, const std::string& error) {
  if (error.empty()) return;
  if (!report.error.empty()) report.error += '\n';
  report.error += error;
}

void merge(StepReport& report, StepReport&& next) {
  if (!report.logprobs.empty() || !next.logprobs.empty()) {
    pad_logprobs(report);
    pad_logprobs(next);
    append(report.logprobs, std::move(next.logprobs));
  }
  report.step = next.step;
  report.num_adapters = next.num_adapters;
  report.duration_ms += next.duration_ms;
  report.num_prefill_tokens += next.num_prefill_tokens;
  report.num_decode_rows += next.num_decode_rows;
  append(report.token_request, std::move(next.token_request));
  append(report.token, std::move(next.token));
  append(report.token_index, std::move(next.token_index));
  append(report.end_request, std::move(next.end_request));
  append(report.end_reason, std::move(next.end_reason));
  report.end_by_pressure.insert(report.end_by_pressure.end(), next.end_by_pressure.begin(),
                                next.end_by_pressure.end());
  add_error(report, next.error);
  report.device_lost = report.device_lost || next.device_lost;
}

}  // namespace sgmv
