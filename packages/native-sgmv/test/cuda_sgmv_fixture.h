#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <random>
#include <vector>

#include "backend/cuda/device_buffer.h"
#include "backend/cuda/sgmv.h"
#include "model/convert.h"

namespace sgmv {

constexpr int kNumLayers = 2;
constexpr int kMargin = 8;  // poisoned columns behind each row of x and y
constexpr uint16_t kNaN = 0x7fff;
constexpr float kScale = 4;  // of x

inline std::mt19937 rng(20231028);

inline int uniform(int low, int high) { return std::uniform_int_distribution<int>(low, high)(rng); }

inline float to_float(uint16_t f16) {
  static const std::vector<float> values = [] {
    std::vector<uint16_t> bits(1 << 16);
    std::iota(bits.begin(), bits.end(), uint16_t{0});
    return to_f32({bits.data(), DType::kF16, 1, 1 << 16});
  }();
  return values[f16];
}

inline std::vector<float> random_f32(size_t size, float scale) {
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> values(size);
  for (float& value : values) value = normal(rng);
  return values;
}

inline std::vector<uint16_t> random_f16(size_t size, float scale) {
  const std::vector<float> values = random_f32(size, scale);
  return to_f16({values.data(), DType::kF32, 1, static_cast<int>(size)});
}

// The adapter, and the device adapter made from it.
struct TestAdapter {
  HostAdapter host;
  std::vector<std::vector<uint16_t>> matrices;
  DeviceBuffer<uint8_t> device;
};

constexpr int kFirstModule[kNumGroups] = {0, 3, 4, 6};

// pick_rank(module) is 0 for a module that is not targeted.
template <typename PickRank>
TestAdapter make_adapter(const SgmvGroups& groups, PickRank pick_rank) {
  TestAdapter adapter;
  adapter.host.layers.resize(kNumLayers);
  adapter.matrices.reserve(kNumLayers * kNumModules * 2);
  for (auto& layer : adapter.host.layers) {
    for (int g = 0; g < kNumGroups; ++g) {
      for (int m = 0; m < groups[g].num_modules; ++m) {
        const int rank = pick_rank(kFirstModule[g] + m);
        if (rank == 0) continue;
        const auto add = [&](int rows, int cols, float scale) {
          adapter.matrices.push_back(random_f16(size_t(rows) * cols, scale));
          return HostMatrix{adapter.matrices.back().data(), DType::kF16, rows, cols};
        };
        layer[kFirstModule[g] + m] = {rank, 0.25f * uniform(1, 8),
                                      add(rank, groups[g].d_in, 1 / std::sqrt(groups[g].d_in)),
                                      add(groups[g].d_out[m], rank, 1 / std::sqrt(float(rank)))};
      }
    }
  }
  std::vector<uint8_t> block(sgmv_adapter_bytes(adapter.host, groups), 0xff);
  pack_sgmv_adapter(adapter.host, groups, block);
  adapter.device = DeviceBuffer<uint8_t>(block);
  return adapter;
}

// A batch: the rows of each segment and its adapter, -1 for none.
struct TestBatch {
  std::vector<int> lengths;
  std::vector<int> adapters;

  int num_rows() const {
    int sum = 0;
    for (int length : lengths) sum += length;
    return sum;
  }
};

// A plan and the batch's device memory, with room for the largest batch of a graph.
struct Launcher {
  Launcher(const SgmvGroups& shapes, int max_rows, int max_segments)
      : groups(shapes),
        memory(sgmv_plan_bytes(kNumLayers, max_rows, max_segments)),
        num_segments(1),
        s(max_segments + 1),
        adapters(max_segments),
        plan{memory.data(), kNumLayers, max_rows, max_segments} {
    CUDA_CHECK(cudaMemset(memory.data(), 0xff, memory.size()));
  }

  void set(const TestBatch& batch, const std::vector<TestAdapter>& pool) {
    std::vector<int32_t> starts{0};
    std::vector<const void*> blocks;
    for (size_t i = 0; i < batch.lengths.size(); ++i) {
      starts.push_back(starts.back() + batch.lengths[i]);
      const int a = batch.adapters[i];
      blocks.push_back(a < 0 ? nullptr : pool[a].device.data());
    }
    num_segments.write(std::vector<int32_t>{static_cast<int32_t>(blocks.size())});
    s.write(starts);
    adapters.write(blocks);
  }

  void launch(int layer, int group, Matrix x, Matrix y, cudaStream_t stream) {
    launch_sgmv_plan(plan, groups, {num_segments.data(), s.data(), adapters.data()}, stream);
    launch_sgmv(plan, groups, layer, static_cast<Group>(group), x, y, SgmvStart::kInOrder, stream);
  }

  // As beside a product, by the plan that launch() made; waits before it starts.
  void launch_stored(int layer, int group, Matrix x, Matrix y) {
    CUDA_CHECK(cudaDeviceSynchronize());
    launch_sgmv(plan, groups, layer, static_cast<Group>(group), x, y, SgmvStart::kWithProduct,
                nullptr);
  }

  std::vector<uint8_t> read_targets(int layer, int group) const {
    std::vector<uint8_t> targets(plan.max_rows);
    CUDA_CHECK(cudaMemcpy(targets.data(), sgmv_targets(plan, layer, static_cast<Group>(group)),
                          targets.size(), cudaMemcpyDeviceToHost));
    return targets;
  }

  SgmvGroups groups;
  DeviceBuffer<uint8_t> memory;
  DeviceBuffer<int32_t> num_segments;
  DeviceBuffer<int32_t> s;
  DeviceBuffer<const void*> adapters;
  SgmvPlan plan;
};

inline int sum_d_out(const SgmvGroup& group) {
  int sum = 0;
  for (int m = 0; m < group.num_modules; ++m) sum += group.d_out[m];
  return sum;
}

// x and y of a batch. Rows without adapter are NaN in x: they must not be read.
struct Activations {
  Activations(const SgmvGroup& group, const TestBatch& batch)
      : rows(batch.num_rows()),
        d_in(group.d_in),
        d_out(sum_d_out(group)),
        x(random_f16(size_t(rows) * (d_in + kMargin), 1)),
        y(random_f32(size_t(rows) * (d_out + kMargin), 1)) {
    int row = 0;
    for (size_t i = 0; i < batch.lengths.size(); ++i) {
      for (int t = 0; t < batch.lengths[i]; ++t, ++row) {
        const auto x_t = x.begin() + size_t(row) * (d_in + kMargin);
        std::fill(x_t + (batch.adapters[i] < 0 ? 0 : d_in), x_t + d_in + kMargin, kNaN);
      }
    }
    device_x = DeviceBuffer<uint16_t>(x);
    device_y = DeviceBuffer<float>(y);
  }

  Matrix x_from(int row, int count) {
    return {device_x.data() + size_t(row) * (d_in + kMargin), count, d_in, d_in + kMargin, kScale};
  }
  Matrix y_from(int row, int count) {
    return {device_y.data() + size_t(row) * (d_out + kMargin), count, d_out, d_out + kMargin};
  }

  int rows, d_in, d_out;
  std::vector<uint16_t> x;
  std::vector<float> y;
  DeviceBuffer<uint16_t> device_x;
  DeviceBuffer<float> device_y;
};

}  // namespace sgmv
