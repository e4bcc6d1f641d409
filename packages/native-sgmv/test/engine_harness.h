#pragma once

#include <condition_variable>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "engine/engine.h"
#include "fake_model.h"

namespace sgmv {

struct Outcome {
  std::vector<int32_t> tokens;
  std::vector<int32_t> indices;
  FinishReason reason{};
  bool by_pressure = false;
  int num_ends = 0;
};

// Runs requests on a fake device and keeps what became of them.
class Harness {
 public:
  explicit Harness(const EngineOptions& options)
      : engine_(create_engine(std::make_unique<FakeBackend>(device),
                              std::make_unique<FakeModel>(device), options)) {
    engine_->on_step([this](StepReport&& report) { record(report); });
  }

  FakeDevice device;
  std::string errors;
  bool device_lost = false;
  int num_prefill_tokens = 0;

  Engine& engine() { return *engine_; }

  AdapterHandle load(int rank) { return engine_->load_random_adapter(rank, {Module::kQ}, 0); }

  Outcome wait_for(RequestId id) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return outcomes_[id].num_ends > 0; });
    CHECK(outcomes_[id].num_ends == 1);
    return outcomes_[id];
  }

 private:
  void record(const StepReport& report) {
    const std::lock_guard lock(mutex_);
    for (size_t i = 0; i < report.token.size(); ++i) {
      Outcome& outcome = outcomes_[report.token_request[i]];
      CHECK(outcome.num_ends == 0);
      outcome.tokens.push_back(report.token[i]);
      outcome.indices.push_back(report.token_index[i]);
    }
    for (size_t i = 0; i < report.end_request.size(); ++i) {
      Outcome& outcome = outcomes_[report.end_request[i]];
      outcome.reason = report.end_reason[i];
      outcome.by_pressure = report.end_by_pressure[i];
      ++outcome.num_ends;
    }
    errors += report.error;
    device_lost = device_lost || report.device_lost;
    num_prefill_tokens += report.num_prefill_tokens;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<RequestId, Outcome> outcomes_;
  std::unique_ptr<Engine> engine_;  // last, so that its thread ends first
};

inline EngineOptions options_of(int num_slots) {
  EngineOptions options;
  options.model.page_size = kFakePageSize;
  options.max_batch_size = 8;
  options.max_step_tokens = 8;
  options.pool_bytes = num_slots;
  options.host_adapter_bytes = 1 << 20;
  options.max_waiting = 64;
  return options;
}

inline Request request_of(RequestId id, std::vector<int32_t> prompt, int max_new_tokens,
                          AdapterHandle adapter = 0) {
  Request request{};
  request.id = id;
  request.adapter = adapter;
  request.num_prompt_tokens = static_cast<int>(prompt.size());
  request.tokens = std::move(prompt);
  request.max_new_tokens = max_new_tokens;
  return request;
}

inline std::vector<int32_t> expected_tokens(std::vector<int32_t> context, int count, int rank = 0) {
  const size_t num_prompt_tokens = context.size();
  for (int i = 0; i < count; ++i) context.push_back(fake_next_token(context, rank));
  return {context.begin() + static_cast<std::ptrdiff_t>(num_prompt_tokens), context.end()};
}

}  // namespace sgmv
