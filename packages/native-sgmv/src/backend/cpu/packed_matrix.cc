#include "backend/cpu/packed_matrix.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace sgmv {
namespace {

constexpr size_t kCacheLine = 64;
constexpr size_t kHugePage = size_t{2} << 20;

float bits_to_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

float half_to_float(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16;
  const uint32_t exponent = half >> 10 & 0x1f;
  const uint32_t fraction = half & 0x3ff;
  if (exponent == 0) {  // Zero and subnormal: fraction * 2^-24, exact in f32.
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign != 0 ? -magnitude : magnitude;
  }
  const uint32_t exponent32 = exponent == 0x1f ? 0xff : exponent + (127 - 15);
  return bits_to_float(sign | exponent32 << 23 | fraction << 13);
}

// One row of w, or nothing to fill a panel up.
struct Row {
  const uint8_t* data = nullptr;
  DType dtype = DType::kF32;
};

Row find_row(std::span<const HostMatrix> parts, int index) {
  for (const HostMatrix& part : parts) {
    if (index < part.num_rows) {
      const int64_t row_bytes = int64_t{part.num_cols} * size_of(part.dtype);
      return {static_cast<const uint8_t*>(part.data) + index * row_bytes, part.dtype};
    }
    index -= part.num_rows;
  }
  return {};
}

void pack_bf16_lane(uint8_t* panel, int lane, const uint8_t* row, int num_cols) {
  for (int k = 0; k < num_cols; k += 2) {
    uint32_t pair = 0;
    std::memcpy(&pair, row + int64_t{k} * 2, k + 1 < num_cols ? 4 : 2);
    std::memcpy(panel + (int64_t{k} / 2 * kPanelRows + lane) * 4, &pair, 4);
  }
}

void pack_f32_lane(uint8_t* panel, int lane, Row row, int num_cols) {
  for (int k = 0; k < num_cols; ++k) {
    const float value = to_float(row.data, row.dtype, k);
    std::memcpy(panel + (int64_t{k} * kPanelRows + lane) * 4, &value, 4);
  }
}

}  // namespace

float to_float(const void* data, DType dtype, int64_t index) {
  const auto* bytes = static_cast<const uint8_t*>(data) + index * size_of(dtype);
  if (dtype == DType::kF32) {
    float value;
    std::memcpy(&value, bytes, sizeof value);
    return value;
  }
  uint16_t half;
  std::memcpy(&half, bytes, sizeof half);
  return dtype == DType::kBF16 ? bits_to_float(uint32_t{half} << 16) : half_to_float(half);
}

DType packed_dtype(std::span<const HostMatrix> parts) {
  const bool all_bf16 = std::all_of(parts.begin(), parts.end(), [](const HostMatrix& part) {
    return part.dtype == DType::kBF16;
  });
  return all_bf16 ? DType::kBF16 : DType::kF32;
}

void pack_panel(uint8_t* panel, DType dtype, std::span<const HostMatrix> parts, int index) {
  const int num_cols = parts[0].num_cols;
  std::memset(panel, 0, panel_bytes(dtype, num_cols));
  for (int lane = 0; lane < kPanelRows; ++lane) {
    const Row row = find_row(parts, index * kPanelRows + lane);
    if (row.data == nullptr) continue;
    if (dtype == DType::kBF16) {
      pack_bf16_lane(panel, lane, row.data, num_cols);
    } else {
      pack_f32_lane(panel, lane, row, num_cols);
    }
  }
}

AlignedBytes allocate_aligned(size_t num_bytes) {
  const size_t alignment = num_bytes < kHugePage ? kCacheLine : kHugePage;
  const size_t size = (std::max<size_t>(num_bytes, 1) + alignment - 1) / alignment * alignment;
  auto* data = static_cast<uint8_t*>(std::aligned_alloc(alignment, size));
  if (data == nullptr) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // Attention reads short pieces from all over the pool, each in another small page: the walks of
  // the page tables cost more than the bytes. Where there are no huge pages nothing is lost.
  if (alignment == kHugePage) madvise(data, size, MADV_HUGEPAGE);
#endif
  return {data, std::free};
}

}  // namespace sgmv
