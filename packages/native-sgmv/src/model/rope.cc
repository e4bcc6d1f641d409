#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

namespace sgmv {
namespace {

// Wavelengths up to original / high_freq_factor stay; those from original / low_freq_factor on are
// stretched by the full factor; between the two the share grows evenly with the frequency.
double scale_llama3(double frequency, const ModelConfig& config) {
  const double turns = config.rope_original_max_positions * frequency / (2 * std::numbers::pi);
  const double low = config.rope_low_freq_factor;
  const double high = config.rope_high_freq_factor;
  const double kept = std::clamp((turns - low) / (high - low), 0.0, 1.0);
  return kept * frequency + (1 - kept) * frequency / config.rope_factor;
}

}  // namespace

RopeTable rope_table(const ModelConfig& config) {
  const int half = config.head_dim / 2;
  std::vector<float> frequencies(half);
  for (int i = 0; i < half; ++i) {
    double frequency =
        1 / std::pow(static_cast<double>(config.rope_theta), 2.0 * i / config.head_dim);
    if (config.rope_scaling == "linear") frequency /= config.rope_factor;
    if (config.rope_scaling == "llama3") frequency = scale_llama3(frequency, config);
    frequencies[i] = static_cast<float>(frequency);
  }

  const size_t size = static_cast<size_t>(config.max_positions) * half;
  RopeTable table{std::vector<float>(size), std::vector<float>(size)};
  for (int position = 0; position < config.max_positions; ++position) {
    for (int i = 0; i < half; ++i) {
      // The product is rounded to f32, as in the code that the checkpoints were trained with.
      const float angle = static_cast<float>(position) * frequencies[i];
      const size_t at = static_cast<size_t>(position) * half + i;
      table.cos[at] = std::cos(angle);
      table.sin[at] = std::sin(angle);
    }
  }
  return table;
}

}  // namespace sgmv
