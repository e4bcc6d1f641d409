#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "backend/tensor.h"

namespace sgmv {

// A weight matrix w [num_rows, num_cols] laid out for y[t] = x[t] w^T: panels of 16 rows of w, in
// each panel the columns one after the other, so that a kernel reads 16 outputs' weights at once
// and reads memory from front to back. bf16 stays bf16, with the columns 2k and 2k+1 of a row side
// by side in one 32-bit word, as the bf16 multiply instructions want it and as two f32 are got from
// it by one operation each; anything else becomes f32. Rows and columns that are missing to fill
// a panel or a word are zero.
constexpr int kPanelRows = 16;

constexpr int round_up(int value, int multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

constexpr size_t panel_bytes(DType dtype, int num_cols) {
  const size_t words = dtype == DType::kBF16 ? (static_cast<size_t>(num_cols) + 1) / 2 : num_cols;
  return words * kPanelRows * sizeof(uint32_t);
}

constexpr int num_panels(int num_rows) { return (num_rows + kPanelRows - 1) / kPanelRows; }

constexpr size_t packed_bytes(DType dtype, int num_rows, int num_cols) {
  return num_panels(num_rows) * panel_bytes(dtype, num_cols);
}

// Where a packed matrix lies; somebody else owns the memory.
struct PackedMatrix {
  const uint8_t* panels = nullptr;  // 64-byte aligned
  DType dtype = DType::kF32;
  int num_rows = 0;
  int num_cols = 0;
};

// bf16 only if all parts are.
DType packed_dtype(std::span<const HostMatrix> parts);

// Writes panel `index` of the matrix that the rows of all parts, stacked, make. All parts have the
// same num_cols.
void pack_panel(uint8_t* panel, DType dtype, std::span<const HostMatrix> parts, int index);

float to_float(const void* data, DType dtype, int64_t index);

using AlignedBytes = std::unique_ptr<uint8_t, void (*)(void*)>;

// Uninitialised memory at a cache line's start. Throws std::bad_alloc.
AlignedBytes allocate_aligned(size_t num_bytes);

}  // namespace sgmv
