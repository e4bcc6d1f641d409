#include "model/convert.h"

#include <algorithm>
#include <bit>

namespace sgmv {
namespace {

size_t num_elements(const HostMatrix& matrix) {
  return static_cast<size_t>(matrix.num_rows) * static_cast<size_t>(matrix.num_cols);
}

float from_bf16(uint16_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16); }

// Moves exponent and mantissa to their places in f32 and multiplies by 2^112, the difference of the
// exponents' biases; that is exact for subnormal numbers too.
float from_f16(uint16_t bits) {
  const uint32_t sign = static_cast<uint32_t>(bits & 0x8000) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(bits & 0x7fff) << 13;
  if ((bits & 0x7c00) == 0x7c00) return std::bit_cast<float>(sign | 0x7f800000 | magnitude);
  return std::bit_cast<float>(sign |
                              std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f));
}

// The f16 nearest to `value`, ties to even.
uint16_t to_f16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
  const uint32_t magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7fff;
  if (magnitude < 0x38800000) {
    const float sum =
        std::bit_cast<float>(magnitude) + 0.5f;  // in steps of 2^-24, as these f16 are
    return static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(sum) - 0x3f000000));
  }
  const uint32_t rounded = (magnitude + 0xfff + (magnitude >> 13 & 1)) >> 13;
  return static_cast<uint16_t>(sign | std::min<uint32_t>(rounded - (112 << 10), 0x7bff));
}

// A number is infinite or NaN when all bits of its exponent are set.
template <typename Bits>
bool has_exponent(const HostMatrix& matrix, Bits exponent) {
  const auto* values = static_cast<const Bits*>(matrix.data);
  return std::any_of(values, values + num_elements(matrix),
                     [=](Bits bits) { return (bits & exponent) == exponent; });
}

}  // namespace

std::vector<float> to_f32(const HostMatrix& matrix) {
  std::vector<float> out(num_elements(matrix));
  if (matrix.dtype == DType::kF32) {
    const auto* values = static_cast<const float*>(matrix.data);
    std::copy(values, values + out.size(), out.begin());
  } else {
    const auto* values = static_cast<const uint16_t*>(matrix.data);
    const auto widen = matrix.dtype == DType::kBF16 ? from_bf16 : from_f16;
    std::transform(values, values + out.size(), out.begin(), widen);
  }
  return out;
}

std::vector<uint16_t> to_f16(const HostMatrix& matrix) {
  const std::vector<float> values = to_f32(matrix);
  std::vector<uint16_t> out(values.size());
  std::transform(values.begin(), values.end(), out.begin(), [](float v) { return to_f16(v); });
  return out;
}

bool all_finite(const HostMatrix& matrix) {
  switch (matrix.dtype) {
    case DType::kF32:
      return !has_exponent<uint32_t>(matrix, 0x7f800000);
    case DType::kBF16:
      return !has_exponent<uint16_t>(matrix, 0x7f80);
    case DType::kF16:
      return !has_exponent<uint16_t>(matrix, 0x7c00);
  }
  return false;
}

uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace sgmv
