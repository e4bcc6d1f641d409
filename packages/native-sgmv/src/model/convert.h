#pragma once

#include <cstdint>
#include <vector>

#include "backend/tensor.h"

namespace sgmv {

// The values of `matrix`, row by row.
std::vector<float> to_f32(const HostMatrix& matrix);

// Whether no value of `matrix` is infinite or NaN.
bool all_finite(const HostMatrix& matrix);

// The values of `matrix` as the nearest f16, ties to even; what is too large becomes the largest.
std::vector<uint16_t> to_f16(const HostMatrix& matrix);

// The bf16 nearest to a finite `value`, ties to even.
uint16_t to_bf16(float value);

}  // namespace sgmv
