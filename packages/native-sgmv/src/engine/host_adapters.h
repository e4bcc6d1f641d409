#pragma once

#include <atomic>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "backend/lora.h"
#include "engine/engine.h"

namespace sgmv {

// An adapter in host memory. It lives as long as the table, a request or a copy under way needs it.
struct LoadedAdapter {
  AdapterHandle handle;
  std::unique_ptr<const HostAdapter> host;
  size_t host_bytes;
  size_t pool_bytes;
  int num_slots;  // of the pool, when resident
  std::atomic<bool> pinned{false};
  std::atomic<bool> resident{false};  // written by the engine's thread, for stats() to read
};
using AdapterRef = std::shared_ptr<LoadedAdapter>;

// The adapters that requests may name: host memory bounded in bytes, and who holds what.
// An adapter is never forgotten while a request holds it. Every method may be called from any
// thread.
class HostAdapters {
 public:
  struct Limits {
    size_t max_bytes;
    int num_slots;  // of the pool
    size_t slot_bytes;
    int max_rank;
  };

  // Host memory set aside for an adapter that is being read; returned unless add() takes it over.
  class Reservation {
   public:
    Reservation(HostAdapters& owner, size_t bytes);
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;
    ~Reservation();

   private:
    friend class HostAdapters;
    HostAdapters& owner_;
    size_t bytes_;
  };

  explicit HostAdapters(const Limits& limits) : limits_(limits) {}

  // Throws EngineError "adapter_invalid" when it is too large for this engine for good, or
  // "adapter_memory_full" when others must be unloaded first.
  AdapterHandle add(Reservation& reserved, std::unique_ptr<const HostAdapter> host,
                    size_t pool_bytes);
  void unload(AdapterHandle handle);
  void pin(AdapterHandle handle, bool pinned);

  // Keeps an adapter for one request, until release(). Throws EngineError "unknown_adapter".
  AdapterRef hold(AdapterHandle handle);
  void release(const AdapterRef& adapter);

  // Adapters that were forgotten since the last call: their copies in the pool are to be dropped.
  std::vector<AdapterHandle> take_forgotten();

  size_t num_bytes() const;
  std::vector<AdapterState> states() const;

 private:
  struct Slot {
    AdapterRef adapter;
    int num_requests = 0;
    bool unloaded = false;
  };

  Slot& known(AdapterHandle handle);
  void forget(AdapterHandle handle);

  const Limits limits_;
  mutable std::mutex mutex_;
  size_t num_bytes_ = 0;
  int pinned_slots_ = 0;
  AdapterHandle next_handle_ = 1;
  std::unordered_map<AdapterHandle, Slot> slots_;
  std::vector<AdapterHandle> forgotten_;
};

}  // namespace sgmv
