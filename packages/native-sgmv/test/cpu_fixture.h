// What the tests of the CPU backend's operations share: matrices of random values in every type,
// a batch built from its sequences, and the configurations to run each case on.
#pragma once

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "check.h"

namespace sgmv {

// A host matrix that owns its values. `values` are what the type can represent, exactly.
struct OwnedMatrix {
  HostMatrix host{};
  std::vector<uint8_t> bytes;
  std::vector<float> values;

  double at(int row, int col) const { return values[int64_t{row} * host.num_cols + col]; }
};

// The bits of `value` cut off to the type; no test needs them rounded.
inline uint16_t cut_to_16_bits(float value, DType dtype) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  if (dtype == DType::kBF16) return static_cast<uint16_t>(bits >> 16);
  const int exponent = static_cast<int>(bits >> 23 & 0xff) - 127 + 15;
  if (exponent <= 0) return 0;
  return static_cast<uint16_t>((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3ff));
}

inline OwnedMatrix random_matrix(int num_rows, int num_cols, DType dtype, std::mt19937& random,
                                 float deviation = 1) {
  OwnedMatrix m;
  std::normal_distribution<float> normal(0, deviation);
  const size_t size = static_cast<size_t>(num_rows) * num_cols;
  m.bytes.resize(size * size_of(dtype));
  m.values.resize(size);
  for (size_t i = 0; i < size; ++i) {
    const float value = normal(random);
    if (dtype == DType::kF32) {
      std::memcpy(m.bytes.data() + i * 4, &value, 4);
    } else {
      const uint16_t half = cut_to_16_bits(value, dtype);
      std::memcpy(m.bytes.data() + i * 2, &half, 2);
    }
    m.values[i] = to_float(m.bytes.data(), dtype, i);
  }
  m.host = {m.bytes.data(), dtype, num_rows, num_cols};
  return m;
}

// Activations: like OwnedMatrix, but rows lie `stride` apart.
struct Activations {
  Activations(int num_rows, int num_cols, int stride = 0)
      : stride(stride > 0 ? stride : num_cols),
        values(static_cast<size_t>(num_rows) * this->stride),
        num_rows(num_rows),
        num_cols(num_cols) {}

  static Activations random(int num_rows, int num_cols, std::mt19937& random, int stride = 0) {
    Activations a(num_rows, num_cols, stride);
    std::normal_distribution<float> normal;
    for (float& value : a.values) value = normal(random);
    return a;
  }

  float& at(int row, int col) { return values[int64_t{row} * stride + col]; }
  float at(int row, int col) const { return values[int64_t{row} * stride + col]; }
  Matrix matrix() { return rows(0, num_rows); }
  Matrix rows(int first, int count) { return {&at(first, 0), count, num_cols, stride}; }
  Matrix cols(int first, int count) { return {&at(0, first), num_rows, count, stride}; }

  int stride;
  std::vector<float> values;
  int num_rows;
  int num_cols;
};

// Rows of one sequence in a step.
struct StepSequence {
  int first_position;
  int num_rows;
  std::vector<int32_t> pages;
};

// The arrays behind a Batch.
struct StepArrays {
  std::vector<int32_t> tokens, positions, context_len, pages;
  std::vector<int32_t> row_start{0}, page_start{0}, s{0};
  std::vector<const DeviceAdapter*> adapters;

  explicit StepArrays(const std::vector<StepSequence>& sequences) {
    for (const StepSequence& sequence : sequences) {
      for (int i = 0; i < sequence.num_rows; ++i) {
        tokens.push_back(0);
        positions.push_back(sequence.first_position + i);
      }
      context_len.push_back(sequence.first_position + sequence.num_rows);
      row_start.push_back(static_cast<int32_t>(tokens.size()));
      pages.insert(pages.end(), sequence.pages.begin(), sequence.pages.end());
      page_start.push_back(static_cast<int32_t>(pages.size()));
    }
  }

  void add_segment(int num_rows, const DeviceAdapter* adapter) {
    s.push_back(s.back() + num_rows);
    adapters.push_back(adapter);
  }

  Batch batch() const {
    return {.num_rows = static_cast<int>(tokens.size()),
            .num_seqs = static_cast<int>(context_len.size()),
            .tokens = tokens.data(),
            .positions = positions.data(),
            .row_start = row_start.data(),
            .context_len = context_len.data(),
            .page_start = page_start.data(),
            .pages = pages.data(),
            .segments = {s.data(), static_cast<int>(adapters.size())},
            .adapters = adapters.data(),
            .samples = {}};
  }
};

inline void run(Backend& backend, const StepArrays& step, const std::function<void()>& forward) {
  backend.run_step(step.batch(), forward, {});
}

inline void for_each_isa(const std::function<void(CpuIsa)>& test) {
  for (const CpuIsa isa : {CpuIsa::kPortable, CpuIsa::kAvx2, CpuIsa::kAvx512}) test(isa);
}

inline bool is_close(double actual, double expected, double tolerance) {
  return std::abs(actual - expected) <= tolerance * (1 + std::abs(expected));
}

// Bit for bit, unlike ==, which takes 0 for -0.
inline bool is_identical(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The sizes of a module's weights.
struct Dims {
  int out;
  int in;
};

inline Dims dims_of(const ModelShape& shape, int module) {
  const int q = shape.num_heads * shape.head_dim;
  const int kv = shape.num_kv_heads * shape.head_dim;
  const int hidden = shape.hidden_size;
  const int inter = shape.intermediate_size;
  const Dims dims[kNumModules] = {{q, hidden},     {kv, hidden},    {kv, hidden},   {hidden, q},
                                  {inter, hidden}, {inter, hidden}, {hidden, inter}};
  return dims[module];
}

}  // namespace sgmv
