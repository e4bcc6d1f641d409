#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace sgmv {

// Fills `out` with bf16 values, evenly spread over (-bound, bound), that `seed` determines. Beyond
// the first 2^20 values they repeat with an odd period, so that gigabytes take the time of a copy
// and no two rows of a matrix are the same.
void fill_random_bf16(std::span<uint16_t> out, uint64_t seed, float bound);

}  // namespace sgmv
