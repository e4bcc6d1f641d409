#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/backend.h"

namespace sgmv {

// What a backend in a shared library of its own exports, as kBackendPluginSymbol. The library is
// built from the same sources by the same compiler as its user; `abi` tells when it was not.
// Raise kBackendPluginAbi with every change to this file, backend.h, batch.h, lora.h or tensor.h.
constexpr uint32_t kBackendPluginAbi = 5;
constexpr const char* kBackendPluginSymbol = "punica_backend_plugin";

struct BackendPlugin {
  uint32_t abi;
  // A line on what the library was built with. Works without a device.
  const char* (*describe)();
  // A backend that the caller deletes; null, and why in `error`, when there is no usable device or
  // an option is wrong. `options_json` is an object. Never throws.
  Backend* (*create)(const char* options_json, char* error, size_t error_size);
};

using GetBackendPlugin = const BackendPlugin*();

}  // namespace sgmv
