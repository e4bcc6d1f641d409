#pragma once

#include <atomic>
#include <memory>

#include "backend/lora.h"

namespace sgmv {

// How far the copy of an adapter to the device has come. Shared with the thread that copies.
enum class CopyState : uint8_t { kCopying, kReady, kFailed };

// An adapter in the pool, laid out as sgmv_layout.h says.
struct CudaAdapter final : DeviceAdapter {
  // Waits for the copy, which reads memory that may go when this goes.
  ~CudaAdapter() override { state->wait(CopyState::kCopying); }

  const void* memory = nullptr;
  std::shared_ptr<std::atomic<CopyState>> state =
      std::make_shared<std::atomic<CopyState>>(CopyState::kCopying);
};

}  // namespace sgmv
