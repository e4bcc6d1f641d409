#include <cmath>
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

std::string megabytes(double num_bytes) {
  return std::to_string(std::llround(num_bytes / 1e6)) + " MB";
}

// The pool that memory_fraction leaves room for. What others have on the device counts as taken.
size_t pool_of_fraction(const Backend& backend, double fraction) {
  if (!(fraction > 0 && fraction <= 1)) {
    throw EngineError("invalid_options",
                      "Neither poolBytes nor memoryFraction says how large the "
                      "pool is; memoryFraction must be above 0 and at most 1.");
  }
  const DeviceInfo device = backend.device();
  const double total = static_cast<double>(device.total_bytes);
  const double taken = total - static_cast<double>(device.free_bytes);
  const double left = fraction * total - taken;
  if (left >= static_cast<double>(backend.page_bytes())) return static_cast<size_t>(left);
  throw EngineError(
      "out_of_memory",
      "memoryFraction " + std::to_string(fraction) + " of the device's " + megabytes(total) +
          " leaves no KV page (" + megabytes(static_cast<double>(backend.page_bytes())) +
          "): " + megabytes(taken) +
          " are taken by the model and by others. Raise memoryFraction, free the device, or take "
          "a smaller model.");
}

int count_slots(size_t pool_bytes, size_t page_bytes) {
  const size_t num_slots = pool_bytes / page_bytes;
  if (num_slots >= 1 && num_slots <= std::numeric_limits<int>::max()) {
    return static_cast<int>(num_slots);
  }
  throw EngineError("invalid_options",
                    "poolBytes is " + std::to_string(pool_bytes) + "; it must hold from 1 to " +
                        std::to_string(std::numeric_limits<int>::max()) + " KV pages of " +
                        std::to_string(page_bytes) + " bytes.");
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
  const size_t pool_bytes = options.pool_bytes > 0
                                ? options.pool_bytes
                                : pool_of_fraction(*backend, options.memory_fraction);
  const int num_slots = count_slots(pool_bytes, backend->page_bytes());
  try {
    backend->reserve_pool(num_slots);
  } catch (const std::exception& error) {
    throw EngineError("out_of_memory", "A pool of " + std::to_string(pool_bytes) +
                                           " bytes (poolBytes) cannot be had: " + error.what());
  }
  try {
    backend->reserve_host_adapters(options.host_adapter_bytes);
  } catch (const std::exception& error) {
    throw EngineError("out_of_memory", error.what());
  }
  return std::make_unique<StepEngine>(std::move(backend), std::move(model), options, num_slots);
}

}  // namespace sgmv
