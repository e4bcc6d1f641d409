#include "backend/create_backend.h"

#include <dlfcn.h>

#include <array>
#include <filesystem>
#include <stdexcept>

#include "backend/cpu/cpu_backend.h"
#include "backend/plugin.h"

namespace sgmv {
namespace {

constexpr const char* kCudaLibrary = "libpunica_cuda.so";

std::filesystem::path own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&own_folder), &info) == 0) return ".";
  return std::filesystem::absolute(info.dli_fname).parent_path();
}

// The library stays loaded: its code is behind every object that the backend hands out.
const BackendPlugin& load_plugin(const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw std::runtime_error(std::string("tried ") + dlerror() +
                             "; build the addon where nvcc is found, or use backend cpu");
  }
  auto* get = reinterpret_cast<GetBackendPlugin*>(dlsym(library, kBackendPluginSymbol));
  const BackendPlugin* plugin = get == nullptr ? nullptr : get();
  if (plugin == nullptr || plugin->abi != kBackendPluginAbi) {
    throw std::runtime_error("tried " + path +
                             ": it is of another version than the addon; build both together");
  }
  return *plugin;
}

std::unique_ptr<Backend> create_from_plugin(const std::string& path, const std::string& options) {
  const BackendPlugin& plugin = load_plugin(path);
  std::array<char, 512> error{};
  std::unique_ptr<Backend> backend(plugin.create(options.c_str(), error.data(), error.size()));
  if (backend == nullptr) {
    throw std::runtime_error("tried " + path + " (" + plugin.describe() + "): " + error.data());
  }
  return backend;
}

std::unique_ptr<Backend> create_cuda(const BackendOptions& options) {
  return create_from_plugin(own_folder() / kCudaLibrary, options.plugin_options);
}

std::unique_ptr<Backend> create_cpu(const BackendOptions& options) {
  return create_cpu_backend(
      {.num_threads = options.num_threads, .bf16_compute = options.bf16_compute});
}

}  // namespace

std::unique_ptr<Backend> create_backend(const BackendOptions& options, std::string* why_not_cuda) {
  if (options.kind == "cpu") return create_cpu(options);
  if (options.kind == "cuda") return create_cuda(options);
  if (options.kind != "auto") {
    throw std::runtime_error("tried \"" + options.kind + "\"; the backends are cpu, cuda and auto");
  }
  try {
    return create_cuda(options);
  } catch (const std::exception& error) {
    if (why_not_cuda != nullptr) *why_not_cuda = error.what();
    return create_cpu(options);
  }
}

}  // namespace sgmv
