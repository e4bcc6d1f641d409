// Vectors of the instruction set that the including file is compiled for. Everything under isa/ is
// in an unnamed namespace: the linker must never merge a function compiled for one instruction set
// with its namesake for another.
#pragma once

#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace sgmv {
namespace {

#if defined(__AVX512F__)
constexpr int kWidth = 16;
#elif defined(__AVX2__)
constexpr int kWidth = 8;
#else
constexpr int kWidth = 4;
#endif

// Vectors in one packed panel row, and in one block of keys.
constexpr int kPanelVecs = 16 / kWidth;

using Vec = float __attribute__((vector_size(kWidth * sizeof(float))));
using IntVec = int32_t __attribute__((vector_size(kWidth * sizeof(int32_t))));
using UnalignedVec =
    float __attribute__((vector_size(kWidth * sizeof(float)), aligned(4), may_alias));
using UnalignedIntVec =
    int32_t __attribute__((vector_size(kWidth * sizeof(int32_t)), aligned(4), may_alias));

inline Vec load(const float* p) { return *reinterpret_cast<const UnalignedVec*>(p); }
inline void store(float* p, Vec v) { *reinterpret_cast<UnalignedVec*>(p) = v; }
inline IntVec load_words(const void* p) { return *static_cast<const UnalignedIntVec*>(p); }

inline Vec load_first(const float* p, int n) {
  Vec v{};
  __builtin_memcpy(&v, p, n * sizeof(float));
  return v;
}
inline void store_first(float* p, Vec v, int n) { __builtin_memcpy(p, &v, n * sizeof(float)); }

#if defined(__AVX512F__)
inline Vec splat(float x) { return _mm512_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
#elif defined(__AVX2__)
inline Vec splat(float x) { return _mm256_set1_ps(x); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
#else
inline Vec splat(float x) { return Vec{x, x, x, x}; }
inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
#endif

inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
inline Vec min(Vec a, Vec b) { return a < b ? a : b; }

// The two f32 in words of two bf16.
inline Vec low_bf16(IntVec words) { return reinterpret_cast<Vec>(words << 16); }
inline Vec high_bf16(IntVec words) {
  return reinterpret_cast<Vec>(words & static_cast<int32_t>(0xffff0000u));
}

inline IntVec lane_ids() {
  IntVec ids{};
  for (int i = 0; i < kWidth; ++i) ids[i] = i;
  return ids;
}

// Lanes in a fixed order, by halves.
inline float reduce_add(Vec v) {
  float lanes[kWidth];
  __builtin_memcpy(lanes, &v, sizeof lanes);
  for (int half = kWidth / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

inline float reduce_max(Vec v) {
  float result = v[0];
  for (int i = 1; i < kWidth; ++i) result = v[i] > result ? v[i] : result;
  return result;
}

// e^x within 2 units in the last place; 0 where the result would be subnormal, and for NaN.
inline Vec exp(Vec x) {
  constexpr float kMin = -87.33654f;
  constexpr float kMax = 88.37f;
  constexpr float kLog2e = 1.44269504f;
  constexpr float kLn2High = 0.693359375f;
  constexpr float kLn2Low = -2.12194440e-4f;
  constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer.

  const Vec clamped = min(max(x, splat(kMin)), splat(kMax));
  const Vec n = fma(clamped, splat(kLog2e), splat(kRound)) - kRound;
  Vec r = fma(n, splat(-kLn2High), clamped);
  r = fma(n, splat(-kLn2Low), r);
  // (e^r - 1 - r) / r^2 on [-ln2/2, ln2/2] (Cephes, expf).
  Vec p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r) + 1.0f;
  const IntVec exponent = (__builtin_convertvector(n, IntVec) + 127) << 23;
  const Vec result = p * reinterpret_cast<Vec>(exponent);
  return x > splat(kMin) ? result : Vec{};
}

}  // namespace
}  // namespace sgmv
