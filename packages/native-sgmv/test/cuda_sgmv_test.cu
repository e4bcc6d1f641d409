// Checks launch_sgmv() against float64 on random shapes, that a row's result does not depend on the
// rest of the batch, and that what it stores beside a product is what it adds elsewhere. Exits 0
// with a message where there is no GPU. `--small` and `--least` leave out cases, for
// compute-sanitizer.
#include <cstdio>
#include <string>

#include "check.h"
#include "cuda_sgmv_fixture.h"

using namespace sgmv;

namespace {

// The error of one module's outputs for one row, against float64. Each output may be off by the
// rounding of v to f16, and of sums.
void check_row(const LoraWeights& w, const uint16_t* x, const float* before, const float* after) {
  if (w.rank == 0) {
    CHECK(std::memcmp(before, after, w.b.num_rows * sizeof(float)) == 0);
    return;
  }
  const auto* a = static_cast<const uint16_t*>(w.a.data);
  const auto* b = static_cast<const uint16_t*>(w.b.data);
  std::vector<double> v(w.rank);
  for (int r = 0; r < w.rank; ++r) {
    for (int k = 0; k < w.a.num_cols; ++k) {
      v[r] += kScale * double(to_float(x[k])) * to_float(a[size_t(r) * w.a.num_cols + k]);
    }
  }
  double error = 0, norm = 0;
  for (int o = 0; o < w.b.num_rows; ++o) {
    double sum = 0, size = 0;
    for (int r = 0; r < w.rank; ++r) {
      const double term = w.scale * v[r] * to_float(b[size_t(o) * w.rank + r]);
      sum += term;
      size += std::abs(term);
    }
    const double expected = before[o] + sum;
    const double off = after[o] - expected;
    CHECK(std::abs(off) <= (std::abs(expected) + size) / 1024 + 1e-6);
    error += off * off;
    norm += expected * expected + sum * sum;
  }
  CHECK(std::sqrt(error) <= 1e-3 * std::sqrt(norm) + 1e-4);
}

void check_batch(const SgmvGroup& group, int layer, int g, const TestBatch& batch,
                 const std::vector<TestAdapter>& pool, const Activations& act,
                 const std::vector<float>& result, int max_checked) {
  const int x_stride = act.d_in + kMargin, y_stride = act.d_out + kMargin;
  int row = 0;
  for (size_t i = 0; i < batch.lengths.size(); ++i) {
    for (int t = 0; t < batch.lengths[i]; ++t, ++row) {
      const float* before = act.y.data() + size_t(row) * y_stride;
      const float* after = result.data() + size_t(row) * y_stride;
      CHECK(std::memcmp(before + act.d_out, after + act.d_out, kMargin * sizeof(float)) == 0);
      if (batch.adapters[i] < 0) {
        CHECK(std::memcmp(before, after, act.d_out * sizeof(float)) == 0);
        continue;
      }
      if (t >= max_checked && t + max_checked < batch.lengths[i]) continue;
      int column = 0;
      for (int m = 0; m < group.num_modules; ++m) {
        LoraWeights w = pool[batch.adapters[i]].host.layers[layer][kFirstModule[g] + m];
        if (w.rank == 0) w.b.num_rows = group.d_out[m];
        check_row(w, act.x.data() + size_t(row) * x_stride, before + column, after + column);
        column += group.d_out[m];
      }
    }
  }
}

// Bit m of row t: its adapter targets module m. Zero for rows of the plan behind the batch.
std::vector<uint8_t> expected_targets(const SgmvGroup& group, int layer, int g,
                                      const TestBatch& batch, const std::vector<TestAdapter>& pool,
                                      int max_rows) {
  std::vector<uint8_t> targets;
  for (size_t i = 0; i < batch.lengths.size(); ++i) {
    int bits = 0;
    for (int m = 0; m < group.num_modules && batch.adapters[i] >= 0; ++m) {
      const auto& modules = pool[batch.adapters[i]].host.layers[layer];
      bits |= (modules[kFirstModule[g] + m].rank > 0) << m;
    }
    targets.insert(targets.end(), batch.lengths[i], static_cast<uint8_t>(bits));
  }
  targets.resize(max_rows);
  return targets;
}

// What is stored where the plan says so is, added to y, `result` bit for bit; the rest of the
// matrix stays as it was.
void check_stored(const SgmvGroup& group, int layer, int g, Launcher& launcher, Activations& act,
                  const std::vector<float>& result) {
  constexpr float kUntouched = -12345.0f;
  act.device_y.write(std::vector<float>(act.y.size(), kUntouched));
  launcher.launch_stored(layer, g, act.x_from(0, act.rows), act.y_from(0, act.rows));
  const std::vector<float> stored = act.device_y.read();
  const std::vector<uint8_t> targets = launcher.read_targets(layer, g);
  const int stride = act.d_out + kMargin;
  for (int t = 0; t < act.rows; ++t) {
    int m = 0, end = group.d_out[0];
    for (int column = 0; column < stride; ++column) {
      if (column == end) end += ++m < group.num_modules ? group.d_out[m] : kMargin;
      const size_t at = size_t(t) * stride + column;
      if ((targets[t] >> m & 1) == 0) {
        CHECK(stored[at] == kUntouched);
        continue;
      }
      const float sum = act.y[at] + stored[at];
      CHECK(std::memcmp(&sum, &result[at], sizeof(float)) == 0);
    }
  }
}

// One layer and group of one batch: right, the same when repeated, and the same for some of its
// rows alone.
void run_case(const SgmvGroups& groups, int layer, int g, const TestBatch& batch,
              const std::vector<TestAdapter>& pool) {
  const int rows = batch.num_rows();
  Activations act(groups[g], batch);
  Launcher launcher(groups, std::max(rows, 1), static_cast<int>(batch.lengths.size()));
  launcher.set(batch, pool);
  launcher.launch(layer, g, act.x_from(0, rows), act.y_from(0, rows), nullptr);
  const std::vector<float> result = act.device_y.read();
  check_batch(groups[g], layer, g, batch, pool, act, result, 6);

  act.device_y.write(act.y);
  launcher.launch(layer, g, act.x_from(0, rows), act.y_from(0, rows), nullptr);
  CHECK(act.device_y.read() == result);

  CHECK(launcher.read_targets(layer, g) ==
        expected_targets(groups[g], layer, g, batch, pool, std::max(rows, 1)));
  check_stored(groups[g], layer, g, launcher, act, result);

  act.device_y.write(act.y);
  std::vector<int> alone;
  int row = 0;
  for (size_t i = 0; i < batch.lengths.size(); row += batch.lengths[i++]) {
    if (batch.lengths[i] == 0 || alone.size() == 4) continue;
    const int t = row + uniform(0, batch.lengths[i] - 1);
    Launcher single(groups, 1, 1);
    single.set({{1}, {batch.adapters[i]}}, pool);
    single.launch(layer, g, act.x_from(t, 1), act.y_from(t, 1), nullptr);
    CUDA_CHECK(cudaDeviceSynchronize());
    alone.push_back(t);
  }
  const std::vector<float> solo = act.device_y.read();
  const size_t stride = act.d_out + kMargin;
  for (int t : alone) {
    CHECK(std::memcmp(&solo[t * stride], &result[t * stride], stride * sizeof(float)) == 0);
  }
}

int size_of_8(int max) { return 8 * uniform(1, max / 8); }

SgmvGroups random_groups(int max) {
  const auto out = [&] { return size_of_8(max); };
  return {{{size_of_8(max), 3, {out(), out(), out()}},
           {size_of_8(max), 1, {out(), 0, 0}},
           {size_of_8(max), 2, {out(), out(), 0}},
           {size_of_8(max), 1, {out(), 0, 0}}}};
}

// How much is tested: all of it, what compute-sanitizer's memcheck ends with in a minute, or what
// its racecheck does.
enum class Extent { kAll, kSmall, kLeast };

// The mixes of the paper, then segments that are empty or have no adapter, then long ones.
std::vector<TestBatch> batches(int num_adapters, Extent extent) {
  std::vector<TestBatch> result{{{9}, {0}},
                                {{1, 1, 1, 1, 1, 1, 1}, {0, 1, 2, 3, 4, 5, 6}},
                                {{3, 3, 3, 2}, {3, 1, 2, 0}},
                                {{7, 5, 3, 2, 1, 1}, {0, 1, 2, 3, 4, 5}},
                                {{0, 4, 0, 2, 1}, {1, -1, 0, 2, -1}},
                                {{0, 0}, {1, 2}},
                                {{5}, {-1}},
                                {{40, 33}, {5, 6}}};
  if (extent == Extent::kLeast) {
    result.resize(3);
    return result;
  }
  TestBatch many;
  for (int i = 0; i < 150; ++i) {
    many.lengths.push_back(uniform(0, 2));
    many.adapters.push_back(uniform(-1, num_adapters - 1));
  }
  result.push_back(many);
  if (extent == Extent::kAll)
    result.push_back({{1, 700, 1, 2049, 31, 0, 1}, {0, 1, 2, 3, 4, 5, 6}});
  return result;
}

void check_shapes(const SgmvGroups& groups, const std::vector<TestAdapter>& pool, Extent extent) {
  for (const TestBatch& batch : batches(static_cast<int>(pool.size()), extent)) {
    for (int g = 0; g < kNumGroups; ++g) run_case(groups, uniform(0, 1), g, batch, pool);
  }
}

std::vector<TestAdapter> mixed_pool(const SgmvGroups& groups) {
  std::vector<TestAdapter> pool;
  pool.push_back(make_adapter(groups, [](int) { return 16; }));
  pool.push_back(make_adapter(groups, [](int) { return 8; }));
  pool.push_back(make_adapter(groups, [](int) { return 64; }));
  pool.push_back(make_adapter(groups, [](int) { return uniform(1, kMaxRank); }));
  pool.push_back(make_adapter(groups, [](int m) { return m % 2 == 0 ? uniform(1, 40) : 0; }));
  pool.push_back(make_adapter(groups, [](int) { return kMaxRank; }));
  pool.push_back(make_adapter(groups, [](int m) { return m == 3 ? 0 : 1; }));
  return pool;
}

// A graph captured for one batch is replayed for others, with other adapters, of no more rows.
void check_graph(const SgmvGroups& groups, const std::vector<TestAdapter>& pool) {
  constexpr int kMaxRows = 16;
  TestBatch none{std::vector<int>(kMaxRows, 1), std::vector<int>(kMaxRows, -1)};
  Launcher launcher(groups, kMaxRows, kMaxRows);
  launcher.set(none, pool);
  Activations act(groups[0], {{kMaxRows}, {0}});
  cudaStream_t stream;
  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CUDA_CHECK(cudaStreamCreate(&stream));
  CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  launcher.launch(1, 0, act.x_from(0, kMaxRows), act.y_from(0, kMaxRows), stream);
  CUDA_CHECK(cudaStreamEndCapture(stream, &graph));
  CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
  const std::vector<TestBatch> replays{
      none,
      {{16}, {3}},
      {{4, 0, 3}, {5, 1, 4}},
      {{4, 4, 0, 8}, {0, -1, 1, 5}},
      {std::vector<int>(16, 1), {0, 1, 2, 3, 4, 5, 6, -1, 0, 1, 2, 3, 4, 5, 6, -1}}};
  for (const TestBatch& batch : replays) {
    launcher.set(batch, pool);
    act.device_y.write(act.y);
    CUDA_CHECK(cudaGraphLaunch(exec, stream));
    CUDA_CHECK(cudaStreamSynchronize(stream));
    check_batch(groups[0], 1, 0, batch, pool, act, act.device_y.read(), kMaxRows);
    for (int g = 0; g < kNumGroups; ++g) {
      CHECK(launcher.read_targets(1, g) ==
            expected_targets(groups[g], 1, g, batch, pool, kMaxRows));
    }
  }
  CUDA_CHECK(cudaGraphExecDestroy(exec));
  CUDA_CHECK(cudaGraphDestroy(graph));
  CUDA_CHECK(cudaStreamDestroy(stream));
}

}  // namespace

int main(int argc, char** argv) {
  int num_devices = 0;
  if (cudaGetDeviceCount(&num_devices) != cudaSuccess || num_devices == 0) {
    std::printf("skipped: no GPU\n");
    return 0;
  }
  const std::string argument = argc > 1 ? argv[1] : "";
  const Extent extent = argument == "--least"   ? Extent::kLeast
                        : argument == "--small" ? Extent::kSmall
                                                : Extent::kAll;
  const int repeats = extent == Extent::kAll ? 6 : extent == Extent::kSmall ? 2 : 1;
  for (int i = 0; i < repeats; ++i) {
    const SgmvGroups groups = random_groups(i % 2 == 0 ? 64 : 1200);
    const std::vector<TestAdapter> pool = mixed_pool(groups);
    check_shapes(groups, pool, extent == Extent::kAll && i % 2 == 1 ? Extent::kSmall : extent);
    if (extent != Extent::kLeast) check_graph(groups, pool);
  }
  if (extent == Extent::kAll) {
    const SgmvGroups llama{{{4096, 3, {4096, 1024, 1024}},
                            {4096, 1, {4096, 0, 0}},
                            {512, 2, {11008, 11008, 0}},
                            {11008, 1, {512, 0, 0}}}};
    check_shapes(llama, mixed_pool(llama), Extent::kSmall);
  }
  std::printf("ok\n");
  return 0;
}
