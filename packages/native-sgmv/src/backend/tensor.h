#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sgmv {

enum class DType : uint8_t { kF32, kBF16, kF16 };

constexpr int size_of(DType dtype) { return dtype == DType::kF32 ? 4 : 2; }

// A row-major matrix in host memory that somebody else owns, as a checkpoint stores it.
struct HostMatrix {
  const void* data;
  DType dtype;
  int num_rows;
  int num_cols;
};

// A row-major matrix of activations that somebody else owns, in the memory of the backend that
// reads it. Rows are `stride` elements apart, so a column range of a wider matrix is a Matrix too.
// Elements are f32, but for operands (Backend::allocate_operands()), whose type is the backend's.
struct Matrix {
  void* data;
  int num_rows;
  int num_cols;
  int stride;
  float scale = 1;  // of operands: what the stored elements are to be multiplied by
};

// How the rows of a batch fall into adapters: rows [s[i], s[i + 1]) belong to segment i.
// A segment may be empty.
struct Segments {
  const int32_t* s;  // [num_segments + 1], s[0] == 0, s[num_segments] == num_rows
  int num_segments;
};

}  // namespace sgmv
