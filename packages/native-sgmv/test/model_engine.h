// What the tests of a whole engine with a real model share. They run on the CPU, and with the
// argument "cuda" on a GPU.
#pragma once

#include <dlfcn.h>

#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "backend/create_backend.h"
#include "check.h"
#include "engine/engine.h"

namespace sgmv {

inline const std::string kModels = "../../models";
inline const std::vector<std::string> kAdapterNames = {"sql-helper", "extract-json", "sentiment",
                                                       "french",     "pirate-tales", "bard"};

// Asks the driver, so that a plug-in that does not load is no reason to skip.
inline bool has_gpu() {
  void* driver = dlopen("libcuda.so.1", RTLD_NOW);
  if (driver == nullptr) return false;
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  return init != nullptr && init(0) == 0;
}

// The backend that the command line names. Ends the test where it is a GPU and there is none.
inline std::string backend_of(int argc, char** argv) {
  const std::string kind = argc > 1 ? argv[1] : "cpu";
  if (kind == "cpu" || has_gpu()) return kind;
  std::printf("skipped: no GPU\n");
  std::exit(0);
}

// A request's tokens with the bits of their log-probabilities, and how it ended.
struct Outcome {
  std::vector<int32_t> tokens;
  std::vector<uint32_t> logprobs;
  FinishReason reason{};

  bool operator==(const Outcome&) const = default;
};

// An engine of the demo model, whose reports are sorted by request.
class ModelEngine {
 public:
  // `options` without the model; pool_bytes counts slots.
  ModelEngine(const std::string& backend_kind, EngineOptions options) {
    std::unique_ptr<Backend> backend = create_backend({.kind = backend_kind, .num_threads = 2});
    options.model.folder = kModels + "/base";
    options.model.max_rows = options.max_step_tokens;
    options.host_adapter_bytes = size_t{64} << 20;
    std::unique_ptr<Model> model = load_model(*backend, options.model);
    options.pool_bytes *= backend->page_bytes();
    engine_ = create_engine(std::move(backend), std::move(model), options);
    engine_->on_step([this](StepReport&& report) { record(report); });
  }

  Engine& engine() { return *engine_; }

  // In the order of kAdapterNames, the base model first.
  std::vector<AdapterHandle> load_adapters() {
    std::vector<AdapterHandle> handles{0};
    for (const std::string& name : kAdapterNames) handles.push_back(load(name));
    return handles;
  }
  AdapterHandle load(const std::string& name) {
    return engine_->load_adapter(kModels + "/adapters/" + name);
  }

  // Starts a request under an id of its own.
  RequestId start(Request request) {
    const RequestId id = next_id_++;
    request.id = id;
    engine_->submit(std::move(request));
    return id;
  }

  void wait_for_first(RequestId id) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !open_[id].tokens.empty() || ended_.contains(id); });
  }

  Outcome wait_for(RequestId id) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_.contains(id); });
    const auto node = ended_.extract(id);
    return node.mapped();
  }

  Outcome run(const Request& request) { return wait_for(start(request)); }

  uint64_t num_steps() { return engine_->stats().num_steps; }
  int num_prefill_tokens() {
    const std::lock_guard lock(mutex_);
    return num_prefill_tokens_;
  }

 private:
  void record(const StepReport& report) {
    const std::lock_guard lock(mutex_);
    CHECK(report.error.empty());
    num_prefill_tokens_ += report.num_prefill_tokens;
    for (size_t i = 0; i < report.token.size(); ++i) {
      Outcome& outcome = open_[report.token_request[i]];
      outcome.tokens.push_back(report.token[i]);
      uint32_t bits = 0;
      if (!report.logprobs.empty()) std::memcpy(&bits, &report.logprobs[i].logprob, sizeof bits);
      outcome.logprobs.push_back(bits);
    }
    for (size_t i = 0; i < report.end_request.size(); ++i) {
      const RequestId id = report.end_request[i];
      CHECK(!ended_.contains(id));
      Outcome& outcome = ended_[id] = std::move(open_[id]);
      outcome.reason = report.end_reason[i];
      open_.erase(id);
    }
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  RequestId next_id_ = 1;
  std::map<RequestId, Outcome> open_;
  std::map<RequestId, Outcome> ended_;
  int num_prefill_tokens_ = 0;
  std::unique_ptr<Engine> engine_;  // last, so that its thread ends first
};

// `num_tokens` token ids that begin like a text; the others are any of the vocabulary.
template <typename Random>
std::vector<int32_t> random_prompt(Random& random, int num_tokens) {
  std::vector<int32_t> prompt{1};
  while (static_cast<int>(prompt.size()) < num_tokens) {
    prompt.push_back(3 + static_cast<int32_t>(random() % 4093));
  }
  return prompt;
}

}  // namespace sgmv
