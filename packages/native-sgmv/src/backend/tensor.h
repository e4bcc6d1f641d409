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

// A row-major matrix of activations that somebody else owns, in the memory and the activation type
// of the backend that reads it (f32 on the CPU, bf16 on a GPU). Rows are `stride` elements apart,
// so a column range of a wider matrix is a Matrix too.
struct Matrix {
  void* data;
  int num_rows;
  int num_cols;
  int stride;
};

// How the rows of a batch fall into adapters: rows [s[i], s[i + 1]) belong to segment i.
// A segment may be empty.
struct Segments {
  const int32_t* s;  // [num_segments + 1], s[0] == 0, s[num_segments] == num_rows
  int num_segments;
};

}  // namespace sgmv
