#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "engine/batcher.h"
#include "engine/engine.h"
#include "engine/host_adapters.h"
#include "engine/inbox.h"
#include "engine/kv_cache.h"
#include "engine/pool.h"
#include "engine/prefill_budget.h"
#include "engine/prefix_cache.h"
#include "engine/resident_adapters.h"
#include "engine/sequence.h"
#include "engine/space.h"
#include "model/model.h"

namespace sgmv {

// Continuous batching: between two steps it takes in what is new, admits what has room, makes room
// for what grows, and reports what ended. Belongs to the engine's thread, except stats().
//
// Requests are admitted in the order they came in: one that has no room yet holds up those behind
// it. A request that is admitted has KV pages for all tokens it has; it runs once its adapter's
// copy is over, and others go on meanwhile. When a running request needs a page and none can be
// had, the newest one is evicted.
class StepLoop {
 public:
  struct Stats {
    uint64_t num_steps = 0;
    int free_slots = 0;
    int cached_slots = 0;
    int kv_slots = 0;
    int adapter_slots = 0;
    uint64_t num_adapter_copies = 0;
  };
  using Listener = std::function<void(StepReport&&)>;

  StepLoop(Backend& backend, Model& model, HostAdapters& adapters, Inbox& inbox,
           const EngineOptions& options, int num_slots);

  // Runs until the inbox is closed or the device is lost. `listener` is read when there is
  // something to report.
  void run(const Listener& listener);

  Stats stats() const;

 private:
  // Whether a request ends for want of pages or for a reason of its own.
  enum class Cause : uint8_t { kItself, kPressure };

  void iterate(Inbox::Mail mail);
  void drop_forgotten();
  void stop(const Inbox::Stop& stop);

  void admit();
  bool make_room_to_join(Sequence& sequence);
  bool join_pool(Sequence& sequence, Pins pins);
  bool take_slots(Sequence& sequence, Pins pins);
  void leave_pool(Sequence& sequence);

  std::vector<Sequence*> runnable();
  bool make_room_to_grow(Sequence& sequence);
  void step(std::vector<Chunk>& chunks);
  void settle(std::span<const Chunk> chunks);
  void accept(Sequence& sequence, Sample sample);

  void end(Sequence& sequence, FinishReason reason, Cause cause = Cause::kItself);
  void fail(std::span<Sequence* const> sequences, const std::string& why);
  void fail_all(const std::string& why);
  bool stop_if_lost();
  void sweep();
  void publish(const Listener& listener);

  Backend& backend_;
  Model& model_;
  HostAdapters& adapters_;
  Inbox& inbox_;
  const int max_batch_size_;
  const int max_step_tokens_;
  PrefillBudget prefill_budget_;

  Pool pool_;
  PrefixCache prefixes_;
  ResidentAdapters residents_;
  Space space_;
  KvCache kv_;
  Batcher batcher_;

  std::deque<std::unique_ptr<Sequence>> waiting_;  // in order of arrival
  std::vector<std::unique_ptr<Sequence>> batch_;   // in order of arrival; the last is the newest
  std::vector<Sample> samples_;
  uint64_t num_steps_ = 0;
  bool stepped_ = false;  // in this iteration
  StepReport report_{};   // of this iteration

  mutable std::mutex stats_mutex_;
  Stats stats_;
};

}  // namespace sgmv
