#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "engine/engine.h"

namespace sgmv {

using BenchClock = std::chrono::steady_clock;

// What a client saw of one request.
struct Served {
  AdapterHandle adapter = 0;
  int num_prompt_tokens = 0;
  int num_new_tokens = 0;
  double first_token_ms = 0;      // since it was submitted
  std::vector<double> gaps_ms{};  // between its tokens
};

// An engine with its requests, timed as their tokens arrive.
class Server {
 public:
  // `on_end` is called on the engine's thread when a request is over; it may submit the next.
  Server(std::unique_ptr<Backend> backend, const EngineOptions& options,
         std::function<void(const Served&)> on_end = nullptr);

  Engine& engine() { return *engine_; }

  // Loads adapters of random weights on several threads.
  std::vector<AdapterHandle> load_adapters(int count, int rank);

  // Greedy decoding of a prompt of made-up tokens, to the last of `num_new_tokens`.
  void submit(AdapterHandle adapter, int num_prompt_tokens, int num_new_tokens);

  // Called with each step's report before its tokens are counted, on the engine's thread.
  std::function<void(const StepReport&)> on_step;
  // The adapter of a request under way; from on_step.
  AdapterHandle adapter_of(RequestId id);

  // Waits until `count` requests are over, and takes what became of them. Throws if one did not end
  // at its length.
  std::vector<Served> finish(size_t count);

 private:
  struct Open {
    Served served;
    BenchClock::time_point last;
  };

  void record(const StepReport& report);

  std::function<void(const Served&)> on_end_;
  std::mutex mutex_;
  std::condition_variable changed_;
  RequestId next_id_ = 1;
  std::unordered_map<RequestId, Open> open_;
  std::vector<Served> closed_;
  std::string problem_;
  std::unique_ptr<Engine> engine_;  // last, so that its thread ends first
};

}  // namespace sgmv
