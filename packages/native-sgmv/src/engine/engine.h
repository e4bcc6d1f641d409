#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "model/model.h"

namespace sgmv {

struct EngineOptions {
  ModelOptions model;
  int max_batch_size = 32;    // sequences of one step
  int max_step_tokens = 512;  // rows of one step: decode rows first, then prefill chunks
  double target_step_ms = 0;  // that prefill chunks keep to while others decode; 0: none
  // Of the backend's memory, for KV pages and adapters together. 0: what is left of
  // `memory_fraction` of the device's memory when the model is there.
  size_t pool_bytes = 0;
  double memory_fraction = 0;
  size_t host_adapter_bytes = 0;  // of host memory, for adapters that are loaded
  int max_waiting = 1024;         // requests accepted but not yet in the batch
  int max_adapter_rank = kMaxRank;
};

using RequestId = uint64_t;
using AdapterHandle = uint32_t;  // 0: the base model alone

// A request as the caller hands it over; checked by submit().
struct Request {
  RequestId id;
  AdapterHandle adapter = 0;
  std::string cache_key;        // who may share KV pages with it; "" shares with nobody
  std::vector<int32_t> tokens;  // prompt, and what was generated of it elsewhere before
  int num_prompt_tokens;        // tokens[num_prompt_tokens..] were generated
  int max_new_tokens;           // counted from num_prompt_tokens
  std::vector<int32_t> stop_tokens;
  bool ignore_eos = false;  // stop_tokens are sampled like any other
  // What the generated text must be, as read_program() of grammar/program.h reads it; empty: free.
  // A text that is whole ends the request at a stop token, or where nothing may follow it.
  std::vector<int32_t> grammar{};
  SamplingParams sampling;
};

enum class FinishReason : uint8_t {
  kStop,       // a stop token, or the end of what the grammar allows
  kLength,     // max_new_tokens, or the model's context is full
  kCancelled,  // cancel()
  kEvicted,    // evict(), or no KV page was left and this was the newest request
  kError,  // the step failed, and StepReport.error says why; or, where that is empty, the model's
           // output for this request is not finite (weights of its adapter that are too large)
};

// What one step did: flat arrays, in one callback. Tokens come before the ends that follow them.
struct StepReport {
  uint64_t step;
  double duration_ms;
  int num_prefill_tokens;
  int num_decode_rows;
  int num_adapters;                      // distinct adapters of the batch, the base not counted
  std::vector<RequestId> token_request;  // one entry a token
  std::vector<int32_t> token;
  std::vector<int32_t> token_index;  // 0-based among the request's generated tokens
  // One a token where any request asked for them, else empty; `logprob` is NaN for tokens of
  // requests that did not.
  std::vector<Sample> logprobs;
  std::vector<RequestId> end_request;  // one entry an end
  std::vector<FinishReason> end_reason;
  std::vector<bool> end_by_pressure;  // kEvicted because no page was left
  std::string error;
  // The device can run no further step; `error` says why. Every request has ended, and the engine
  // takes no more.
  bool device_lost = false;
};

struct AdapterState {
  AdapterHandle handle;
  size_t host_bytes;
  size_t pool_bytes;  // what it takes of the pool when resident
  bool resident;
  int num_requests;  // that hold it
};

struct EngineStats {
  uint64_t num_steps;
  int num_running;
  int num_waiting;
  int page_size;
  size_t page_bytes;
  int num_slots;                // of the pool
  int free_slots;               // or kept only for prefix reuse
  int cached_slots;             // of the free ones: kept for prefix reuse
  int kv_slots;                 // taken by KV pages of requests
  int adapter_slots;            // taken by adapters, in use or not
  uint64_t num_adapter_copies;  // into the pool, since the start
  size_t host_adapter_bytes;
  std::vector<AdapterState> adapters;
};

// Thrown by the calls below; `code` is one of the closed list in lib/errors.ts.
class EngineError : public std::runtime_error {
 public:
  EngineError(std::string code, const std::string& message)
      : std::runtime_error(message), code(std::move(code)) {}
  std::string code;
};

// Requests in, tokens out. One engine owns one model on one backend and runs its steps on a thread
// of its own; every method may be called from any thread and none waits for a step.
class Engine {
 public:
  virtual ~Engine() = default;  // Stops the thread; requests under way are dropped.

  virtual const ModelConfig& config() const = 0;
  // Bytes of weights that every step reads.
  virtual size_t weight_bytes() const = 0;

  // Called from the engine's thread after each step. Set it before the first submit().
  virtual void on_step(std::function<void(StepReport&&)> callback) = 0;

  // Reads and checks a PEFT folder into host memory. Slow: call it off the JavaScript thread.
  // Throws EngineError "adapter_invalid" or "adapter_memory_full".
  virtual AdapterHandle load_adapter(const std::string& folder) = 0;
  virtual AdapterHandle load_random_adapter(int rank, std::vector<Module> modules,
                                            uint64_t seed) = 0;
  // Forgets an adapter as soon as no request holds it. Throws EngineError "unknown_adapter".
  virtual void unload_adapter(AdapterHandle adapter) = 0;
  // Keeps an adapter in the pool once it is there (at most half of the pool may be pinned). It is
  // still given up when a request that has the pool to itself could not run otherwise.
  // Throws EngineError "unknown_adapter" or "adapter_memory_full".
  virtual void pin_adapter(AdapterHandle adapter, bool pinned) = 0;

  // Throws EngineError "unknown_adapter", "duplicate_request", "invalid_request" (naming field and
  // limit), "queue_full", "request_too_large" (it could never fit the pool) or "device_lost".
  virtual void submit(Request request) = 0;
  // The request ends with kCancelled or kEvicted after the step under way; unknown ids are ignored.
  virtual void cancel(RequestId id) = 0;
  virtual void evict(RequestId id) = 0;

  virtual EngineStats stats() const = 0;
};

// Loads the model, fills in the options' model.max_rows, and starts the engine's thread. Throws
// EngineError "invalid_options", "model_invalid" or "out_of_memory".
std::unique_ptr<Engine> create_engine(std::unique_ptr<Backend> backend,
                                      const EngineOptions& options);

// The same with a model that is loaded already, of options.max_step_tokens rows or more.
std::unique_ptr<Engine> create_engine(std::unique_ptr<Backend> backend,
                                      std::unique_ptr<Model> model, const EngineOptions& options);

}  // namespace sgmv
