#include <stdexcept>

#include "backend/cuda/cuda_backend.h"

namespace sgmv {

size_t CudaBackend::adapter_bytes(const HostAdapter& adapter) const {
  return sgmv_adapter_bytes(adapter, groups_);
}

void CudaBackend::reserve_host_adapters(size_t num_bytes) {
  CUDA_CHECK(cudaSetDevice(options_.device));
  host_adapters_ = std::make_shared<PinnedArena>(num_bytes);
}

// The block that goes to the device, in memory that the device reads by itself.
bool CudaBackend::prepare_adapter(HostAdapter& adapter) const {
  const size_t num_bytes = adapter_bytes(adapter);
  std::shared_ptr<uint8_t> image = host_adapters_->take(num_bytes);
  if (image == nullptr) return false;
  pack_sgmv_adapter(adapter, groups_, {image.get(), num_bytes});
  adapter.image = std::move(image);
  adapter.image_bytes = num_bytes;
  adapter.storage = {};
  return true;
}

std::unique_ptr<DeviceAdapter> CudaBackend::place_adapter(const HostAdapter& adapter,
                                                          int first_slot) {
  auto placed = std::make_unique<CudaAdapter>();
  void* memory = pool_.get() + first_slot * page_bytes();
  placed->memory = memory;
  copy_thread_.post([this, &adapter, memory, state = placed->state] {
    CopyState result = CopyState::kReady;
    try {
      copy_adapter(adapter, memory);
    } catch (const std::exception&) {
      copy_failed_ = true;
      result = CopyState::kFailed;  // The step that comes next reports the device's error.
    }
    state->store(result);
    state->notify_all();
  });
  return placed;
}

// On the thread that copies: on a stream of its own, in one piece.
void CudaBackend::copy_adapter(const HostAdapter& adapter, void* memory) {
  CUDA_CHECK(cudaSetDevice(options_.device));
  const size_t num_bytes = adapter_bytes(adapter);
  const void* image = adapter.image.get();
  if (image == nullptr) {
    if (num_bytes > staging_bytes_) {
      staging_ = allocate_pinned(num_bytes);
      staging_bytes_ = num_bytes;
    }
    pack_sgmv_adapter(adapter, groups_, {staging_.get(), num_bytes});
    image = staging_.get();
  }
  CUDA_CHECK(cudaMemcpyAsync(memory, image, num_bytes, cudaMemcpyHostToDevice, copy_stream_));
  copy_stream_.wait();
}

bool CudaBackend::adapter_ready(const DeviceAdapter& adapter) {
  switch (static_cast<const CudaAdapter&>(adapter).state->load()) {
    case CopyState::kCopying:
      return false;
    case CopyState::kReady:
      return true;
    case CopyState::kFailed:
      break;
  }
  throw std::runtime_error("an adapter could not be copied to the GPU");
}

}  // namespace sgmv
