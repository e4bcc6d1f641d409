#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "model/adapter_config.h"
#include "model/convert.h"
#include "model/json.h"
#include "model/model.h"
#include "model/projections.h"
#include "model/safetensors.h"

namespace sgmv {
namespace {

constexpr std::string_view kPrefix = "base_model.model.";
constexpr size_t kAlignment = 64;

struct LoraNames {
  std::string a;
  std::string b;
};

// Tensors of PEFT features that are refused, by what their names contain.
struct RefusedTensor {
  std::string_view part;
  std::string_view feature;
};
constexpr RefusedTensor kRefusedTensors[] = {
    {"lora_magnitude_vector", "DoRA"},
    {"lora_embedding_", "LoRA of the embedding"},
    {"modules_to_save", "modules_to_save"},
    {"trainable_tokens", "trainable_token_indices"},
    {"lora_diag", "KaSA"},
    {"lm_head", "LoRA of the output head"},
    {"embed_tokens", "LoRA of the embedding"},
    {".bias", "bias"},
};

[[noreturn]] void fail(const std::string& file, std::string_view name, const std::string& problem) {
  throw std::runtime_error(file + ": tensor " + in_quotes(name) + ": " + problem);
}

std::string open_path(const std::string& folder) {
  const std::string path = folder + "/adapter_model.safetensors";
  if (!std::filesystem::exists(path) && std::filesystem::exists(folder + "/adapter_model.bin")) {
    throw std::runtime_error(
        folder +
        "/adapter_model.bin: pickled weights are not read; save adapter_model.safetensors");
  }
  return path;
}

// The name that `tensors` has for one half of a projection's LoRA. PEFT leaves the adapter's name
// out; older files and bare state dicts keep it.
std::string find_name(const Safetensors& tensors, const std::string& file, const std::string& path,
                      std::string_view half) {
  const std::string stem = std::string(kPrefix) + path + "." + std::string(half);
  const std::string plain = stem + ".weight";
  const std::string named = stem + ".default.weight";
  const bool has_plain = tensors.tensors().contains(plain);
  const bool has_named = tensors.tensors().contains(named);
  if (has_plain && has_named) fail(file, named, "is there twice, as " + in_quotes(plain) + " too");
  if (!has_plain && !has_named) {
    fail(file, plain, "is missing, though adapter_config.json targets " + path);
  }
  return has_plain ? plain : named;
}

// Why a tensor that no target asked for is refused.
std::string why_left_over(const std::string& name, const ModelConfig& config) {
  for (const auto& [part, feature] : kRefusedTensors) {
    if (name.find(part) != std::string::npos) return std::string(feature) + " is not supported";
  }
  for (int module = 0; module < kNumModules; ++module) {
    const std::string infix =
        "." + std::string(module_name(static_cast<Module>(module))) + ".lora_";
    if (name.find(infix) != std::string::npos) {
      return "adapter_config.json does not target it in the base model's " +
             std::to_string(config.num_layers) + " layers";
    }
  }
  return "is not the LoRA of a projection of the base model";
}

// Copies a tensor into the adapter's own storage and checks its values.
HostMatrix keep(HostAdapter& adapter, size_t& used, const std::string& file,
                const std::string& name, HostMatrix matrix) {
  if (!all_finite(matrix)) fail(file, name, "holds values that are infinite or not a number");
  const size_t num_bytes = static_cast<size_t>(matrix.num_rows) * matrix.num_cols *
                           static_cast<size_t>(size_of(matrix.dtype));
  uint8_t* kept = adapter.storage.data() + used;
  std::memcpy(kept, matrix.data, num_bytes);
  used += (num_bytes + kAlignment - 1) / kAlignment * kAlignment;
  matrix.data = kept;
  return matrix;
}

}  // namespace

std::unique_ptr<HostAdapter> read_adapter(const std::string& folder, const ModelConfig& config) {
  const LoraTargets targets = read_lora_targets(folder, config);
  const std::string file = open_path(folder);
  const Safetensors tensors = Safetensors::open_file(file);

  size_t storage_bytes = 0;
  std::map<std::string, TensorView, std::less<>> left_over = tensors.tensors();
  for (const auto& [name, tensor] : left_over) storage_bytes += tensor.num_bytes + kAlignment;

  // The tensors are matched before any is copied, so that a file of the wrong ones costs nothing.
  std::vector<std::array<LoraNames, kNumModules>> names(config.num_layers);
  for (int layer = 0; layer < config.num_layers; ++layer) {
    for (int module = 0; module < kNumModules; ++module) {
      if (targets[layer][module].rank == 0) continue;
      const std::string path = module_path(layer, static_cast<Module>(module));
      LoraNames& pair = names[layer][module];
      pair = {find_name(tensors, file, path, "lora_A"), find_name(tensors, file, path, "lora_B")};
      left_over.erase(pair.a);
      left_over.erase(pair.b);
    }
  }
  if (!left_over.empty()) {
    const std::string& name = left_over.begin()->first;
    fail(file, name, why_left_over(name, config));
  }

  auto adapter = std::make_unique<HostAdapter>();
  adapter->layers.resize(config.num_layers);
  adapter->storage.resize(storage_bytes);
  size_t used = 0;
  for (int layer = 0; layer < config.num_layers; ++layer) {
    for (int module = 0; module < kNumModules; ++module) {
      const auto [rank, scale] = targets[layer][module];
      if (rank == 0) continue;
      const auto [d_in, d_out] = projection_shape(config, static_cast<Module>(module));
      const auto& [a, b] = names[layer][module];
      LoraWeights& lora = adapter->layers[layer][module];
      lora.rank = rank;
      lora.scale = scale;
      lora.a = keep(*adapter, used, file, a, tensors.matrix(a, rank, d_in));
      lora.b = keep(*adapter, used, file, b, tensors.matrix(b, d_out, rank));
      adapter->max_rank = std::max(adapter->max_rank, rank);
    }
  }
  return adapter;
}

}  // namespace sgmv
