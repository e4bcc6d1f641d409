#include <limits>
#include <new>
#include <string>
#include <utility>

#include "engine/engine.h"
#include "engine/step_engine.h"

namespace sgmv {
namespace {

constexpr int kMaxStepTokens = 65536;
constexpr int kMaxWaiting = 1'000'000;

void check_range(const char* option, int64_t value, int64_t min, int64_t max) {
  if (value >= min && value <= max) return;
  throw EngineError("invalid_options", std::string(option) + " is " + std::to_string(value) +
                                           "; it must be from " + std::to_string(min) + " to " +
                                           std::to_string(max) + ".");
}

void check_options(const EngineOptions& options) {
  check_range("maxStepTokens", options.max_step_tokens, 1, kMaxStepTokens);
  // A step must have a row for each running request.
  check_range("maxBatchSize", options.max_batch_size, 1, options.max_step_tokens);
  if (!(options.target_step_ms >= 0)) {
    throw EngineError("invalid_options", "targetStepMs is " +
                                             std::to_string(options.target_step_ms) +
                                             "; it must be positive, or 0 for none.");
  }
  check_range("maxWaiting", options.max_waiting, 1, kMaxWaiting);
  check_range("maxAdapterRank", options.max_adapter_rank, 1, kMaxRank);
  check_range("pageSize", options.model.page_size, 1, 256);
}

int count_slots(const EngineOptions& options, size_t page_bytes) {
  const size_t num_slots = options.pool_bytes / page_bytes;
  if (num_slots >= 1 && num_slots <= std::numeric_limits<int>::max()) {
    return static_cast<int>(num_slots);
  }
  throw EngineError("invalid_options", "poolBytes is " + std::to_string(options.pool_bytes) +
                                           "; it must hold from 1 to " +
                                           std::to_string(std::numeric_limits<int>::max()) +
                                           " KV pages of " + std::to_string(page_bytes) +
                                           " bytes.");
}

}  // namespace

std::unique_ptr<Engine> create_engine(std::unique_ptr<Backend> backend,
                                      const EngineOptions& options) {
  check_options(options);
  ModelOptions model_options = options.model;
  model_options.max_rows = options.max_step_tokens;
  std::unique_ptr<Model> model;
  try {
    model = load_model(*backend, model_options);
  } catch (const std::bad_alloc& error) {
    throw EngineError("out_of_memory",
                      std::string("There is not enough memory for the model: ") + error.what());
  } catch (const std::exception& error) {
    throw EngineError("model_invalid", error.what());
  }
  return create_engine(std::move(backend), std::move(model), options);
}

std::unique_ptr<Engine> create_engine(std::unique_ptr<Backend> backend,
                                      std::unique_ptr<Model> model, const EngineOptions& options) {
  check_options(options);
  const int num_slots = count_slots(options, backend->page_bytes());
  try {
    backend->reserve_pool(num_slots);
  } catch (const std::exception& error) {
    throw EngineError("out_of_memory", "A pool of " + std::to_string(options.pool_bytes) +
                                           " bytes (poolBytes) cannot be had: " + error.what());
  }
  return std::make_unique<StepEngine>(std::move(backend), std::move(model), options, num_slots);
}

}  // namespace sgmv
