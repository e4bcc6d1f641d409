#include "backend/plugin.h"

#include <cstdio>
#include <exception>
#include <stdexcept>

#include "backend/cuda/cuda_backend.h"
#include "model/json.h"

namespace sgmv {
namespace {

const char* describe() {
  static const std::string text = "CUDA backend, built with CUDA " +
                                  std::to_string(CUDART_VERSION / 1000) + "." +
                                  std::to_string(CUDART_VERSION % 1000 / 10);
  return text.c_str();
}

template <typename T>
const T& value_of(const std::string& name, const Json& json) {
  const T* value = json.get_if<T>();
  if (value == nullptr) throw std::runtime_error("option " + name + " is of the wrong type");
  return *value;
}

CudaOptions parse_options(const char* text) {
  CudaOptions options;
  const Json json = parse_json(text);
  for (const auto& [name, value] : value_of<Json::Object>("list", json)) {
    if (name == "device") {
      options.device = static_cast<int>(value_of<double>(name, value));
    } else if (name == "graphs") {
      options.graphs = value_of<bool>(name, value);
    } else if (name == "same_bits") {
      options.same_bits = value_of<bool>(name, value);
    } else if (name == "cublas_lt") {
      options.cublas_lt = value_of<std::string>(name, value);
    } else {
      throw std::runtime_error("option " + in_quotes(name) +
                               " is unknown; there are device, graphs, same_bits and cublas_lt");
    }
  }
  return options;
}

Backend* create(const char* options_json, char* error, size_t error_size) {
  try {
    return std::make_unique<CudaBackend>(parse_options(options_json)).release();
  } catch (const std::exception& caught) {
    std::snprintf(error, error_size, "%s", caught.what());
    return nullptr;
  }
}

constexpr BackendPlugin kPlugin{kBackendPluginAbi, describe, create};

}  // namespace
}  // namespace sgmv

// Named by kBackendPluginSymbol.
extern "C" __attribute__((visibility("default"))) const sgmv::BackendPlugin*
punica_backend_plugin() {
  return &sgmv::kPlugin;
}
