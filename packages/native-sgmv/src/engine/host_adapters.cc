#include "engine/host_adapters.h"

#include <algorithm>
#include <string>
#include <utility>

namespace sgmv {
namespace {

[[noreturn]] void throw_memory_full(size_t bytes, size_t used, size_t limit) {
  throw EngineError("adapter_memory_full", "The adapter needs " + std::to_string(bytes) +
                                               " bytes of host memory; " + std::to_string(used) +
                                               " of hostAdapterBytes " + std::to_string(limit) +
                                               " are taken. Unload another adapter first.");
}

}  // namespace

HostAdapters::Reservation::Reservation(HostAdapters& owner, size_t bytes)
    : owner_(owner), bytes_(bytes) {
  const std::lock_guard lock(owner_.mutex_);
  const size_t limit = owner_.limits_.max_bytes;
  if (bytes > limit - owner_.num_bytes_) throw_memory_full(bytes, owner_.num_bytes_, limit);
  owner_.num_bytes_ += bytes;
}

HostAdapters::Reservation::~Reservation() {
  const std::lock_guard lock(owner_.mutex_);
  owner_.num_bytes_ -= bytes_;
}

AdapterHandle HostAdapters::add(Reservation& reserved, std::unique_ptr<const HostAdapter> host,
                                size_t pool_bytes) {
  if (host->max_rank > limits_.max_rank) {
    throw EngineError("adapter_invalid", "The adapter's rank is " + std::to_string(host->max_rank) +
                                             "; this engine takes at most " +
                                             std::to_string(limits_.max_rank) + ".");
  }
  const size_t slots = (pool_bytes + limits_.slot_bytes - 1) / limits_.slot_bytes;
  if (slots >= static_cast<size_t>(limits_.num_slots)) {
    throw EngineError("adapter_invalid",
                      "The adapter takes " + std::to_string(pool_bytes) +
                          " bytes of the pool, which leaves no KV page of poolBytes (" +
                          std::to_string(limits_.num_slots) + " slots of " +
                          std::to_string(limits_.slot_bytes) +
                          " bytes). Raise poolBytes or train a lower rank.");
  }

  auto adapter = std::make_shared<LoadedAdapter>();
  adapter->host_bytes = host->num_bytes();
  adapter->host = std::move(host);
  adapter->pool_bytes = pool_bytes;
  adapter->num_slots = static_cast<int>(std::max<size_t>(slots, 1));

  const std::lock_guard lock(mutex_);
  const size_t others = num_bytes_ - reserved.bytes_;
  if (adapter->host_bytes > limits_.max_bytes - others) {
    throw_memory_full(adapter->host_bytes, others, limits_.max_bytes);
  }
  num_bytes_ = others + adapter->host_bytes;
  reserved.bytes_ = 0;
  adapter->handle = next_handle_++;
  slots_[adapter->handle].adapter = adapter;
  return adapter->handle;
}

void HostAdapters::unload(AdapterHandle handle) {
  const std::lock_guard lock(mutex_);
  Slot& slot = known(handle);
  slot.unloaded = true;
  if (slot.adapter->pinned.exchange(false)) pinned_slots_ -= slot.adapter->num_slots;
  if (slot.num_requests == 0) forget(handle);
}

void HostAdapters::pin(AdapterHandle handle, bool pinned) {
  const std::lock_guard lock(mutex_);
  LoadedAdapter& adapter = *known(handle).adapter;
  if (adapter.pinned == pinned) return;
  const int limit = limits_.num_slots / 2;
  if (pinned && pinned_slots_ + adapter.num_slots > limit) {
    throw EngineError("adapter_memory_full", "Pinning adapter " + std::to_string(handle) +
                                                 " takes " + std::to_string(adapter.num_slots) +
                                                 " slots, and " + std::to_string(pinned_slots_) +
                                                 " are pinned; the limit is half of the pool, " +
                                                 std::to_string(limit) +
                                                 " slots. Unpin another adapter first.");
  }
  adapter.pinned = pinned;
  pinned_slots_ += pinned ? adapter.num_slots : -adapter.num_slots;
}

AdapterRef HostAdapters::hold(AdapterHandle handle) {
  const std::lock_guard lock(mutex_);
  Slot& slot = known(handle);
  ++slot.num_requests;
  return slot.adapter;
}

void HostAdapters::release(const AdapterRef& adapter) {
  const std::lock_guard lock(mutex_);
  Slot& slot = slots_.at(adapter->handle);
  if (--slot.num_requests == 0 && slot.unloaded) forget(adapter->handle);
}

std::vector<AdapterHandle> HostAdapters::take_forgotten() {
  const std::lock_guard lock(mutex_);
  return std::exchange(forgotten_, {});
}

size_t HostAdapters::num_bytes() const {
  const std::lock_guard lock(mutex_);
  return num_bytes_;
}

std::vector<AdapterState> HostAdapters::states() const {
  const std::lock_guard lock(mutex_);
  std::vector<AdapterState> states;
  states.reserve(slots_.size());
  for (const auto& [handle, slot] : slots_) {
    states.push_back({.handle = handle,
                      .host_bytes = slot.adapter->host_bytes,
                      .pool_bytes = slot.adapter->pool_bytes,
                      .resident = slot.adapter->resident,
                      .num_requests = slot.num_requests});
  }
  std::ranges::sort(states, {}, &AdapterState::handle);
  return states;
}

HostAdapters::Slot& HostAdapters::known(AdapterHandle handle) {
  const auto found = slots_.find(handle);
  if (found == slots_.end() || found->second.unloaded) {
    throw EngineError("unknown_adapter", "No adapter " + std::to_string(handle) +
                                             " is loaded; load it, or use 0 for the base model.");
  }
  return found->second;
}

void HostAdapters::forget(AdapterHandle handle) {
  const auto found = slots_.find(handle);
  num_bytes_ -= found->second.adapter->host_bytes;
  slots_.erase(found);
  forgotten_.push_back(handle);
}

}  // namespace sgmv
