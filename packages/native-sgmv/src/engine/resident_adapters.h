#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "engine/host_adapters.h"
#include "engine/pool.h"

namespace sgmv {

// The adapters that have slots of the pool, and how many requests of the batch hold each. One that
// is held, or is still being copied, is never given up. Belongs to the engine's thread.
class ResidentAdapters {
 public:
  struct Resident {
    AdapterRef adapter;
    std::unique_ptr<DeviceAdapter> device;
    int first_slot;
    int num_users;
    uint64_t last_used;
    bool ready;      // the copy is over
    bool forgotten;  // to be given up as soon as the copy is over

    int end_slot() const { return first_slot + adapter->num_slots; }
    bool idle() const { return num_users == 0 && ready; }
  };

  ResidentAdapters(Backend& backend, Pool& pool) : backend_(backend), pool_(pool) {}

  // Null when the adapter has no slots.
  Resident* find(AdapterHandle handle);
  // Starts the copy into a run that the caller took from the pool for it. The run goes back to the
  // pool if the backend throws.
  Resident* place(const AdapterRef& adapter, int first_slot);

  void hold(Resident& resident) { ++resident.num_users; }
  void release(Resident& resident, uint64_t now);

  // Finds out which copies are over.
  void poll();
  bool copying() const { return num_copying_ > 0; }
  // Started so far.
  uint64_t num_copies() const { return num_copies_; }

  // Gives the slots of an idle adapter back to the pool.
  void give_up(Resident& resident);
  // Gives up an adapter that no request holds any more, once its copy is over.
  void forget(AdapterHandle handle);

  // In the order of their handles.
  std::vector<Resident*> idle();

 private:
  Backend& backend_;
  Pool& pool_;
  int num_copying_ = 0;
  uint64_t num_copies_ = 0;
  std::map<AdapterHandle, Resident> residents_;
};

}  // namespace sgmv
