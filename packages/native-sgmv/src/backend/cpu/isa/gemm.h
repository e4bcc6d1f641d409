// y = init + x w^T over packed panels, for GemmArgs. A tile of rows and panels keeps its sums in
// registers; tiles differ in size but never in the order in which an element adds up.
#pragma once

#include "backend/cpu/isa/vec.h"
#include "backend/cpu/kernels.h"

namespace sgmv {
namespace {

#if defined(__AVX512F__)
constexpr int kTileRows = 6;
constexpr int kTileVecs = 24;  // of the 32 registers
#elif defined(__AVX2__)
constexpr int kTileRows = 6;
constexpr int kTileVecs = 12;  // of the 16 registers
#else
constexpr int kTileRows = 3;
constexpr int kTileVecs = 12;
#endif
constexpr int kTilePanels = 4;

// The most panels of a tile with so many rows: 4, 2 or 1.
constexpr int max_tile_panels(int num_rows) {
  int panels = kTilePanels;
  while (panels > 1 && num_rows * panels * kPanelVecs > kTileVecs) panels /= 2;
  return panels;
}

// Vector v of a tile lies in panel v / kPanelVecs, at this byte of each of the panel's rows.
constexpr int vec_offset(int v) { return v % kPanelVecs * kWidth * 4; }
constexpr int kPanelRowBytes = 16 * 4;

struct F32Weights {
  using X = float;
  static constexpr int kColsPerWord = 1;  // of the panels
  static constexpr int kColsPerX = 1;
  template <int kRows, int kVecs>
  static void accumulate(Vec (&sum)[kRows][kVecs], const X* x, int64_t x_stride,
                         const uint8_t* panels, int64_t panel_stride, int num_cols) {
    for (int k = 0; k < num_cols; ++k) {
      Vec w[kVecs];
#pragma GCC unroll 16
      for (int v = 0; v < kVecs; ++v) {
        const uint8_t* panel = panels + v / kPanelVecs * panel_stride;
        w[v] = load(
            reinterpret_cast<const float*>(panel + int64_t{k} * kPanelRowBytes + vec_offset(v)));
      }
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const Vec x_rk = splat(x[r * x_stride + k]);
#pragma GCC unroll 16
        for (int v = 0; v < kVecs; ++v) sum[r][v] = fma(x_rk, w[v], sum[r][v]);
      }
    }
  }
};

struct Bf16Weights {
  using X = float;
  static constexpr int kColsPerWord = 2;
  static constexpr int kColsPerX = 1;
  template <int kRows, int kVecs>
  static void accumulate(Vec (&sum)[kRows][kVecs], const X* x, int64_t x_stride,
                         const uint8_t* panels, int64_t panel_stride, int num_cols) {
    for (int k = 0; k < num_cols; k += 2) {
      IntVec w[kVecs];
#pragma GCC unroll 16
      for (int v = 0; v < kVecs; ++v) {
        const uint8_t* panel = panels + v / kPanelVecs * panel_stride;
        w[v] = load_words(panel + int64_t{k} / 2 * kPanelRowBytes + vec_offset(v));
      }
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const Vec x_rk = splat(x[r * x_stride + k]);
#pragma GCC unroll 16
        for (int v = 0; v < kVecs; ++v) sum[r][v] = fma(x_rk, low_bf16(w[v]), sum[r][v]);
      }
      if (k + 1 == num_cols) break;
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        const Vec x_rk = splat(x[r * x_stride + k + 1]);
#pragma GCC unroll 16
        for (int v = 0; v < kVecs; ++v) sum[r][v] = fma(x_rk, high_bf16(w[v]), sum[r][v]);
      }
    }
  }
};

// Rows [row, row + kRows) and the panels from `panel` on. The last panel may be cut by num_cols.
template <typename Weights, int kRows, int kPanels>
void gemm_tile(const GemmArgs& args, int row, int panel) {
  constexpr int kVecs = kPanels * kPanelVecs;
  const int first_col = panel * 16;
  const auto lanes = [&](int v) {
    const int left = args.num_cols - first_col - v * kWidth;
    return left < 0 ? 0 : left < kWidth ? left : kWidth;
  };
  const bool is_whole = lanes(kVecs - 1) == kWidth;

  Vec sum[kRows][kVecs];
  for (int r = 0; r < kRows; ++r) {
    const float* init =
        args.init == nullptr ? nullptr : args.init + (row + r) * args.init_stride + first_col;
    for (int v = 0; v < kVecs; ++v) {
      if (init == nullptr) {
        sum[r][v] = Vec{};
      } else {
        sum[r][v] = is_whole ? load(init + v * kWidth) : load_first(init + v * kWidth, lanes(v));
      }
    }
  }

  const auto* x = static_cast<const typename Weights::X*>(args.x) + row * args.x_stride;
  Weights::template accumulate<kRows, kVecs>(
      sum, x, args.x_stride, args.panels + panel * args.panel_stride, args.panel_stride, args.k);

  for (int r = 0; r < kRows; ++r) {
    float* y = args.y + (row + r) * args.y_stride + first_col;
    for (int v = 0; v < kVecs; ++v) {
      if (is_whole) {
        store(y + v * kWidth, sum[r][v]);
      } else {
        store_first(y + v * kWidth, sum[r][v], lanes(v));
      }
    }
  }
}

// Panels [panel, last_panel) of kRows rows, in the widest tiles that fit.
template <typename Weights, int kRows, int kPanels = max_tile_panels(kRows)>
void gemm_rows(const GemmArgs& args, int row, int panel, int last_panel) {
  for (; panel + kPanels <= last_panel; panel += kPanels) {
    gemm_tile<Weights, kRows, kPanels>(args, row, panel);
  }
  if constexpr (kPanels > 1) gemm_rows<Weights, kRows, kPanels / 2>(args, row, panel, last_panel);
}

template <typename Weights, int kRows = kTileRows>
void gemm_tail(const GemmArgs& args, int row, int panel, int last_panel) {
  if (args.num_rows - row == kRows) return gemm_rows<Weights, kRows>(args, row, panel, last_panel);
  if constexpr (kRows > 1) gemm_tail<Weights, kRows - 1>(args, row, panel, last_panel);
}

template <typename Weights>
void gemm_columns(const GemmArgs& args) {
  const int num_panels = (args.num_cols + 15) / 16;
  for (int panel = 0; panel < num_panels; panel += kTilePanels) {
    const int last_panel = panel + kTilePanels < num_panels ? panel + kTilePanels : num_panels;
    int row = 0;
    for (; row + kTileRows <= args.num_rows; row += kTileRows) {
      gemm_rows<Weights, kTileRows>(args, row, panel, last_panel);
    }
    gemm_tail<Weights>(args, row, panel, last_panel);
  }
}

// Many rows go by the weights kMaxDepth columns at a time, which stay in cache meanwhile. The sums
// wait in y; being f32 there as well as in registers, they are the same to the last bit.
template <typename Weights>
void gemm(const GemmArgs& args) {
  constexpr int kMaxDepth = 1024;
  if (args.num_rows <= kTileRows || args.k <= kMaxDepth) return gemm_columns<Weights>(args);
  for (int k = 0; k < args.k; k += kMaxDepth) {
    GemmArgs part = args;
    part.k = args.k - k < kMaxDepth ? args.k - k : kMaxDepth;
    part.panels += int64_t{k} / Weights::kColsPerWord * kPanelRowBytes;
    part.x = static_cast<const typename Weights::X*>(args.x) + k / Weights::kColsPerX;
    if (k > 0) {
      part.init = args.y;
      part.init_stride = args.y_stride;
    }
    gemm_columns<Weights>(part);
  }
}

}  // namespace
}  // namespace sgmv
