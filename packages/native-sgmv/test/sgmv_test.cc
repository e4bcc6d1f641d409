// sgmv_shrink() and sgmv_expand() on the shapes that batches of adapters take: all rows on one
// adapter, every row on its own, an even split, a skewed one, empty segments, rows without adapter;
// ranks 1 to 256 in one call, partial targets, any type. Against float64, on every instruction set,
// and the same bits for a row whatever the segments and threads.
#include "cpu_fixture.h"

using namespace sgmv;

namespace {

constexpr int kNoAdapter = -1;

struct Segment {
  int num_rows;
  int adapter;
};

struct TestAdapter {
  HostAdapter host;
  std::vector<OwnedMatrix> matrices;
  std::unique_ptr<DeviceAdapter> device;
};

// The output and input dimension of each module.
TestAdapter make_adapter(const ModelShape& shape, std::span<const int> ranks, DType dtype,
                         std::mt19937& random) {
  TestAdapter adapter;
  adapter.matrices.reserve(2 * kNumModules * shape.num_layers);
  adapter.host.layers.resize(shape.num_layers);
  for (auto& layer : adapter.host.layers) {
    for (int m = 0; m < kNumModules; ++m) {
      const int rank = ranks[m];
      if (rank == 0) continue;
      const auto [out, in] = dims_of(shape, m);
      const OwnedMatrix& a =
          adapter.matrices.emplace_back(random_matrix(rank, in, dtype, random, 0.2f));
      const OwnedMatrix& b =
          adapter.matrices.emplace_back(random_matrix(out, rank, dtype, random, 0.2f));
      layer[m] = {.rank = rank, .scale = m % 2 == 0 ? 2.0f : 0.7f, .a = a.host, .b = b.host};
    }
  }
  return adapter;
}

double element(const HostMatrix& m, int row, int col) {
  return to_float(m.data, m.dtype, int64_t{row} * m.num_cols + col);
}

// What shrink and expand of one group add to row t of y, in float64.
std::vector<double> expected_delta(const TestAdapter& adapter, const Activations& x, int t,
                                   int layer, ModuleRange modules, const ModelShape& shape) {
  std::vector<double> delta;
  for (int m = modules.first; m < modules.end; ++m) {
    const LoraWeights& lora = adapter.host.layers[layer][m];
    std::vector<double> v(lora.rank);
    for (int r = 0; r < lora.rank; ++r) {
      for (int k = 0; k < x.num_cols; ++k) v[r] += element(lora.a, r, k) * x.at(t, k);
    }
    for (int col = 0; col < dims_of(shape, m).out; ++col) {
      double sum = 0;
      for (int r = 0; r < lora.rank; ++r) sum += element(lora.b, col, r) * v[r];
      delta.push_back(lora.scale * sum);
    }
  }
  return delta;
}

class Bench {
 public:
  Bench(const CpuOptions& options, const ModelShape& shape, std::vector<TestAdapter>& adapters)
      : shape_(shape), adapters_(adapters), backend_(create_cpu_backend(options)) {
    backend_->set_shape(shape);
    std::vector<int> first_slots;
    int num_slots = 0;
    for (const TestAdapter& adapter : adapters) {
      first_slots.push_back(num_slots);
      const size_t num_bytes = backend_->adapter_bytes(adapter.host);
      num_slots +=
          static_cast<int>((num_bytes + backend_->page_bytes() - 1) / backend_->page_bytes());
    }
    backend_->reserve_pool(num_slots);
    for (size_t i = 0; i < adapters.size(); ++i) {
      devices_.push_back(backend_->place_adapter(adapters[i].host, first_slots[i]));
      while (!backend_->adapter_ready(*devices_[i])) std::this_thread::yield();
    }
  }

  Activations run(std::span<const Segment> segments, Activations& x, const Activations& y,
                  int layer, Group group) {
    StepArrays step({{0, x.num_rows, {0}}});
    for (const auto& [num_rows, adapter] : segments) {
      step.add_segment(num_rows, adapter == kNoAdapter ? nullptr : devices_[adapter].get());
    }
    Activations out = y;
    sgmv::run(*backend_, step, [&] {
      backend_->sgmv_shrink(x.matrix(), layer, group);
      backend_->sgmv_expand(out.matrix(), layer, group);
    });
    return out;
  }

 private:
  const ModelShape& shape_;
  std::vector<TestAdapter>& adapters_;
  std::unique_ptr<Backend> backend_;
  std::vector<std::unique_ptr<DeviceAdapter>> devices_;
};

void check_segments(const ModelShape& shape, std::vector<TestAdapter>& adapters,
                    const std::vector<Segment>& segments, std::mt19937& random) {
  int num_rows = 0;
  for (const Segment& segment : segments) num_rows += segment.num_rows;
  for (const Group group : kGroups) {
    const ModuleRange modules = modules_of(group);
    int num_cols = 0;
    for (int m = modules.first; m < modules.end; ++m) num_cols += dims_of(shape, m).out;
    Activations x = Activations::random(num_rows, dims_of(shape, modules.first).in, random);
    const Activations y = Activations::random(num_rows, num_cols, random, num_cols + 5);
    const int layer = shape.num_layers - 1;

    for_each_isa([&](CpuIsa isa) {
      Bench bench({.num_threads = 1, .max_isa = isa}, shape, adapters);
      const Activations result = bench.run(segments, x, y, layer, group);
      int t = 0;
      for (const auto& [count, adapter] : segments) {
        for (const int end = t + count; t < end; ++t) {
          if (adapter == kNoAdapter) {
            for (int col = 0; col < y.stride; ++col) CHECK(result.at(t, col) == y.at(t, col));
            continue;
          }
          const auto delta = expected_delta(adapters[adapter], x, t, layer, modules, shape);
          for (int col = 0; col < num_cols; ++col) {
            CHECK(is_close(result.at(t, col), y.at(t, col) + delta[col], 1e-4));
          }
          for (int col = num_cols; col < y.stride; ++col) CHECK(result.at(t, col) == y.at(t, col));
        }
      }

      // Every row as a segment of its own, on other threads.
      std::vector<Segment> single;
      for (const auto& [count, adapter] : segments) {
        for (int i = 0; i < count; ++i) single.push_back({1, adapter});
      }
      Bench threaded({.num_threads = 3, .max_isa = isa}, shape, adapters);
      CHECK(is_identical(threaded.run(single, x, y, layer, group).values, result.values));
      CHECK(is_identical(threaded.run(segments, x, y, layer, group).values, result.values));
    });
  }
}

}  // namespace

int main() {
  std::mt19937 random(2);
  const ModelShape shapes[] = {
      {.num_layers = 2,
       .hidden_size = 72,
       .num_heads = 3,
       .num_kv_heads = 1,
       .head_dim = 20,
       .intermediate_size = 77,
       .vocab_size = 10,
       .max_positions = 8,
       .sliding_window = 0,
       .page_size = 16},
      {.num_layers = 1,
       .hidden_size = 256,
       .num_heads = 8,
       .num_kv_heads = 4,
       .head_dim = 32,
       .intermediate_size = 512,
       .vocab_size = 10,
       .max_positions = 8,
       .sliding_window = 0,
       .page_size = 16},
  };
  for (const ModelShape& shape : shapes) {
    std::vector<TestAdapter> adapters;
    const std::vector<int> ranks[] = {
        {8, 8, 8, 8, 8, 8, 8},    {1, 3, 5, 7, 9, 11, 13},  {256, 256, 256, 256, 256, 256, 256},
        {16, 0, 16, 0, 0, 32, 0}, {0, 0, 0, 33, 64, 0, 17}, {0, 0, 0, 0, 0, 0, 0}};
    int i = 0;
    for (const auto& rank : ranks) {
      const DType dtypes[] = {DType::kBF16, DType::kF32, DType::kF16};
      adapters.push_back(make_adapter(shape, rank, dtypes[i++ % 3], random));
    }
    const std::vector<Segment> mixes[] = {
        {{11, 0}},                                                  // identical
        {{1, 0}, {1, 1}, {1, 2}, {1, 3}, {1, 4}, {1, 5}},           // distinct
        {{4, 1}, {4, 2}, {4, 3}},                                   // uniform
        {{37, 2}, {3, 4}, {1, 1}},                                  // skewed
        {{0, 3}, {5, 0}, {0, 1}, {0, kNoAdapter}, {2, 3}, {0, 2}},  // empty
        {{3, kNoAdapter}, {2, 1}, {4, kNoAdapter}},                 // without adapter
        {{3, kNoAdapter}},
        {{3, 5}},
    };
    for (const auto& mix : mixes) check_segments(shape, adapters, mix, random);
  }
}
