#include "backend/cuda/pinned_arena.h"

#include <optional>

#include "backend/cuda/cuda_check.h"

namespace sgmv {
namespace {

constexpr size_t kSlotBytes = size_t{64} << 10;

int slots_for(size_t num_bytes) {
  return static_cast<int>((num_bytes + kSlotBytes - 1) / kSlotBytes);
}

PinnedBytes pin(size_t num_bytes) {
  try {
    return allocate_pinned(num_bytes);
  } catch (const CudaError& error) {
    if (error.code() != cudaErrorMemoryAllocation) throw;
    cudaGetLastError();
    throw DeviceMemoryFull(
        megabytes(num_bytes) +
        " of host memory cannot be pinned for adapters; lower hostAdapterBytes.");
  }
}

}  // namespace

PinnedArena::PinnedArena(size_t num_bytes)
    : memory_(pin(slots_for(num_bytes) * kSlotBytes)), slots_(slots_for(num_bytes)) {}

std::shared_ptr<uint8_t> PinnedArena::take(size_t num_bytes) {
  const int num_slots = slots_for(num_bytes);
  std::optional<int> first;
  {
    const std::lock_guard lock(mutex_);
    first = slots_.take_run(num_slots);
  }
  if (!first) return nullptr;
  return {memory_.get() + *first * kSlotBytes,
          [arena = shared_from_this(), first = *first, num_slots](uint8_t*) {
            arena->give_back(first, num_slots);
          }};
}

void PinnedArena::give_back(int first_slot, int num_slots) {
  const std::lock_guard lock(mutex_);
  slots_.free_run(first_slot, num_slots);
}

}  // namespace sgmv
