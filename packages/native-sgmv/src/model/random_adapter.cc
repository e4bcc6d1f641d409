#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <string>

#include "model/model.h"
#include "model/projections.h"
#include "model/random.h"

namespace sgmv {

std::unique_ptr<HostAdapter> random_adapter(const ModelConfig& config, int rank,
                                            std::span<const Module> modules, uint64_t seed) {
  if (rank < 1 || rank > kMaxRank) {
    throw std::invalid_argument("rank is " + std::to_string(rank) + ", expected 1 to " +
                                std::to_string(kMaxRank));
  }
  if (modules.empty()) throw std::invalid_argument("modules is empty");

  std::array<bool, kNumModules> wanted{};
  for (const Module module : modules) wanted[static_cast<size_t>(module)] = true;
  size_t num_values = 0;
  for (int module = 0; module < kNumModules; ++module) {
    const auto [d_in, d_out] = projection_shape(config, static_cast<Module>(module));
    if (wanted[module]) num_values += static_cast<size_t>(rank) * (d_in + d_out);
  }
  num_values *= config.num_layers;

  auto adapter = std::make_unique<HostAdapter>();
  adapter->layers.resize(config.num_layers);
  adapter->storage.resize(num_values * sizeof(uint16_t));
  adapter->max_rank = rank;
  auto* values = reinterpret_cast<uint16_t*>(adapter->storage.data());
  fill_random_bf16({values, num_values}, seed, 0.1f);

  const auto take = [&](int num_rows, int num_cols) {
    const HostMatrix matrix{values, DType::kBF16, num_rows, num_cols};
    values += static_cast<size_t>(num_rows) * num_cols;
    return matrix;
  };
  for (auto& layer : adapter->layers) {
    for (int module = 0; module < kNumModules; ++module) {
      if (!wanted[module]) continue;
      const auto [d_in, d_out] = projection_shape(config, static_cast<Module>(module));
      LoraWeights& lora = layer[module];
      lora.rank = rank;
      // Keeps the change to y about as large whatever the shape, and large enough to tell apart.
      lora.scale = 4 / std::sqrt(static_cast<float>(rank) * static_cast<float>(d_in));
      lora.a = take(rank, d_in);
      lora.b = take(d_out, rank);
    }
  }
  return adapter;
}

}  // namespace sgmv
