#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/engine.h"
#include "engine/host_adapters.h"
#include "engine/inbox.h"
#include "engine/step_loop.h"
#include "grammar/grammar_cache.h"

namespace sgmv {

// The engine: what callers see, on their threads, and the step loop on its own.
class StepEngine final : public Engine {
 public:
  // The backend's pool has `num_slots` slots.
  StepEngine(std::unique_ptr<Backend> backend, std::unique_ptr<Model> model,
             const EngineOptions& options, int num_slots);
  ~StepEngine() override;

  const ModelConfig& config() const override;
  size_t weight_bytes() const override;
  void on_step(std::function<void(StepReport&&)> callback) override;
  AdapterHandle load_adapter(const std::string& folder) override;
  AdapterHandle load_random_adapter(int rank, std::vector<Module> modules, uint64_t seed) override;
  void unload_adapter(AdapterHandle adapter) override;
  void pin_adapter(AdapterHandle adapter, bool pinned) override;
  void submit(Request request) override;
  void cancel(RequestId id) override;
  void evict(RequestId id) override;
  EngineStats stats() const override;

 private:
  std::shared_ptr<Grammar> grammar_of(const Request& request);
  void check_rank(int rank) const;
  // Throws EngineError "adapter_memory_full".
  void prepare(HostAdapter& adapter) const;

  const std::unique_ptr<Backend> backend_;
  const std::unique_ptr<Model> model_;
  const int num_slots_;
  const int page_size_;
  const int max_adapter_rank_;
  GrammarCache grammars_;
  HostAdapters adapters_;
  Inbox inbox_;
  StepLoop loop_;
  StepLoop::Listener listener_;
  std::thread thread_;  // last, so that all it uses is there when it starts
};

}  // namespace sgmv
