#include "engine/resident_adapters.h"

#include <utility>

namespace sgmv {

ResidentAdapters::Resident* ResidentAdapters::find(AdapterHandle handle) {
  const auto found = residents_.find(handle);
  return found == residents_.end() ? nullptr : &found->second;
}

ResidentAdapters::Resident* ResidentAdapters::place(const AdapterRef& adapter, int first_slot) {
  std::unique_ptr<DeviceAdapter> device;
  try {
    device = backend_.place_adapter(*adapter->host, first_slot);
  } catch (...) {
    pool_.free_run(first_slot, adapter->num_slots);
    throw;
  }
  ++num_copying_;
  ++num_copies_;
  adapter->resident = true;
  const auto [it, _] = residents_.emplace(adapter->handle, Resident{.adapter = adapter,
                                                                    .device = std::move(device),
                                                                    .first_slot = first_slot,
                                                                    .num_users = 0,
                                                                    .last_used = 0,
                                                                    .ready = false,
                                                                    .forgotten = false});
  return &it->second;
}

void ResidentAdapters::release(Resident& resident, uint64_t now) {
  --resident.num_users;
  resident.last_used = now;
}

void ResidentAdapters::poll() {
  if (num_copying_ == 0) return;
  for (auto it = residents_.begin(); it != residents_.end();) {
    Resident& resident = (it++)->second;
    if (resident.ready || !backend_.adapter_ready(*resident.device)) continue;
    resident.ready = true;
    --num_copying_;
    if (resident.forgotten) give_up(resident);
  }
}

void ResidentAdapters::give_up(Resident& resident) {
  pool_.free_run(resident.first_slot, resident.adapter->num_slots);
  resident.adapter->resident = false;
  residents_.erase(resident.adapter->handle);
}

void ResidentAdapters::forget(AdapterHandle handle) {
  Resident* resident = find(handle);
  if (resident == nullptr) return;
  resident->forgotten = true;
  if (resident->idle()) give_up(*resident);
}

std::vector<ResidentAdapters::Resident*> ResidentAdapters::idle() {
  std::vector<Resident*> idle;
  for (auto& [handle, resident] : residents_) {
    if (resident.idle()) idle.push_back(&resident);
  }
  return idle;
}

}  // namespace sgmv
