#include "model/random.h"

#include <algorithm>
#include <cstring>

#include "model/convert.h"

namespace sgmv {
namespace {

constexpr size_t kPeriod = (size_t{1} << 20) - 3;

// SplitMix64 (Steele, Lea, Flood 2014).
uint64_t next_random(uint64_t& state) {
  state += 0x9e3779b97f4a7c15;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

void fill_random_bf16(std::span<uint16_t> out, uint64_t seed, float bound) {
  const size_t num_fresh = std::min(out.size(), kPeriod);
  for (size_t i = 0; i < num_fresh; ++i) {
    const auto bits = static_cast<int64_t>(next_random(seed)) >> 40;  // in [-2^23, 2^23)
    out[i] = to_bf16(static_cast<float>(bits) * 0x1p-23f * bound);
  }
  for (size_t i = num_fresh; i < out.size(); i += kPeriod) {
    std::memcpy(out.data() + i, out.data(), std::min(kPeriod, out.size() - i) * sizeof(uint16_t));
  }
}

}  // namespace sgmv
