// Operations on single rows of activations or logits.
#pragma once

#include "backend/cpu/isa/vec.h"
#include "backend/cpu/kernels.h"

namespace sgmv {
namespace {

inline void rms_norm(float* y, const float* x, const float* w, int n, float eps) {
  Vec sums[4] = {};
  int i = 0;
  for (; i + 4 * kWidth <= n; i += 4 * kWidth) {
    for (int v = 0; v < 4; ++v) {
      const Vec value = load(x + i + v * kWidth);
      sums[v] = fma(value, value, sums[v]);
    }
  }
  for (; i < n; i += kWidth) {
    const Vec value = load_first(x + i, n - i < kWidth ? n - i : kWidth);
    sums[0] = fma(value, value, sums[0]);
  }
  const float sum = reduce_add((sums[0] + sums[1]) + (sums[2] + sums[3]));
  const float inverse = 1.0f / __builtin_sqrtf(sum / static_cast<float>(n) + eps);
  for (i = 0; i < n; ++i) y[i] = w[i] * (x[i] * inverse);
}

inline void add(float* y, const float* x, int n) {
  for (int i = 0; i < n; ++i) y[i] += x[i];
}

inline void silu_mul(float* y, const float* gate, const float* up, int n) {
  const auto silu = [](Vec g) { return g / (exp(-g) + 1.0f); };
  int i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, silu(load(gate + i)) * load(up + i));
  if (i < n)
    store_first(y + i, silu(load_first(gate + i, n - i)) * load_first(up + i, n - i), n - i);
}

inline void rotate(float* x, const float* cos, const float* sin, int half) {
  for (int i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[i + half];
    x[i] = a * cos[i] - b * sin[i];
    x[i + half] = b * cos[i] + a * sin[i];
  }
}

inline void exp_row(float* y, const float* x, int n, float max, float inv_temp) {
  int i = 0;
  for (; i + kWidth <= n; i += kWidth) store(y + i, exp((load(x + i) - max) * inv_temp));
  if (i < n) store_first(y + i, exp((load_first(x + i, n - i) - max) * inv_temp), n - i);
}

inline Summary summarize(const float* x, int n) {
  Vec largest = splat(-__builtin_inff());
  Vec zeros{};  // x * 0 is NaN for whatever is not finite, and stays so in a sum.
  int i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    const Vec value = load(x + i);
    largest = max(value, largest);
    zeros += value * 0.0f;
  }
  float result = reduce_max(largest);
  float zero = reduce_add(zeros);
  for (; i < n; ++i) {
    result = x[i] > result ? x[i] : result;
    zero += x[i] * 0.0f;
  }
  return {result, zero == 0.0f};
}

// bf16 rounded to nearest, ties to even, as the processor's own conversion does; NaN stays NaN.
inline uint32_t to_bf16(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  if (value != value) return bits >> 16 | 0x40;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

inline void to_bf16_pairs(uint32_t* out, const float* x, int n) {
  int i = 0;
  for (; i + 1 < n; i += 2) out[i / 2] = to_bf16(x[i]) | to_bf16(x[i + 1]) << 16;
  if (i < n) out[i / 2] = to_bf16(x[i]);
}

}  // namespace
}  // namespace sgmv
