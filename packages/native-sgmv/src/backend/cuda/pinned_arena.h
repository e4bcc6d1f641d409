#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "backend/cuda/device_memory.h"
#include "engine/pool.h"

namespace sgmv {

// Host memory that the card reads by itself, taken from the system once: pinning memory, and giving
// it back, stops every stream of the device for tens of milliseconds. Handed out in slots, by best
// fit. Any thread may take and let go.
class PinnedArena : public std::enable_shared_from_this<PinnedArena> {
 public:
  // Throws DeviceMemoryFull where the system cannot pin as much.
  explicit PinnedArena(size_t num_bytes);

  // Null when no free stretch is long enough. The memory keeps the arena alive.
  std::shared_ptr<uint8_t> take(size_t num_bytes);

 private:
  void give_back(int first_slot, int num_slots);

  PinnedBytes memory_;
  std::mutex mutex_;
  Pool slots_;
};

}  // namespace sgmv
