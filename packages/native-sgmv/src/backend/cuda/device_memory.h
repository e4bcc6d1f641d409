#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <string>
#include <utility>

namespace sgmv {

// The card has not the memory that was asked for. The message says how much that was and for what.
class DeviceMemoryFull : public std::bad_alloc {
 public:
  explicit DeviceMemoryFull(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

struct DeviceFree {
  void operator()(void* memory) const { cudaFree(memory); }
};
struct PinnedFree {
  void operator()(void* memory) const { cudaFreeHost(memory); }
};

// Bytes of a card's memory, and of host memory that it reads and writes by itself.
using DeviceBytes = std::unique_ptr<uint8_t, DeviceFree>;
using PinnedBytes = std::unique_ptr<uint8_t, PinnedFree>;

// For messages, rounded up.
std::string megabytes(size_t num_bytes);

// `purpose` completes "for ..." and, after a semicolon, says what to lower.
// Throws DeviceMemoryFull, or CudaError for anything else.
DeviceBytes allocate_device(size_t num_bytes, const char* purpose);
PinnedBytes allocate_pinned(size_t num_bytes);

// Values in a card's memory, with one owner.
template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  // `purpose` as above.
  DeviceArray(size_t size, const char* purpose)
      : memory_(allocate_device(size * sizeof(T), purpose)), size_(size) {}

  T* data() { return reinterpret_cast<T*>(memory_.get()); }
  const T* data() const { return reinterpret_cast<const T*>(memory_.get()); }
  size_t size() const { return size_; }

 private:
  DeviceBytes memory_;
  size_t size_ = 0;
};

}  // namespace sgmv
