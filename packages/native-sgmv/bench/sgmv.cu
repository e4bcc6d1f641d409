// The LoRA work of one decode step, as docs/benchmarks tabulates it: Llama-2-7B shapes, 32 layers
// of qkv, o, gate+up, down, all in one CUDA graph, every layer with weights of its own and L2
// flushed before each replay.
//
//   sgmv [--all] [out.json]
//
// Without --all: the rows of the table alone. The floor is the bytes of adapters and activations
// over the measured rate at which the card reads memory.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "backend/cuda/device_buffer.h"
#include "backend/cuda/sgmv.h"
#include "sgmv_goals.h"

using namespace sgmv;

namespace {

constexpr int kNumLayers = 32;
constexpr int kReplays = 60;
constexpr int kMaxBatch = 64;
constexpr int kMaxWidth = 2 * 11008;
constexpr size_t kFlushBytes = size_t{256} << 20;

const SgmvGroups kLlama2{{{4096, 3, {4096, 4096, 4096}},
                          {4096, 1, {4096, 0, 0}},
                          {4096, 2, {11008, 11008, 0}},
                          {11008, 1, {4096, 0, 0}}}};

void check(bool condition, const char* message) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", message);
  std::exit(1);
}

// ---- batches ----

// Rows of each adapter: the paper's four mixes.
std::vector<int> segment_lengths(const std::string& mix, int batch) {
  if (mix == "identical") return {batch};
  if (mix == "distinct") return std::vector<int>(batch, 1);
  if (mix == "uniform") {
    const int n = static_cast<int>(std::ceil(std::sqrt(batch)));
    std::vector<int> lengths(n, batch / n);
    for (int i = 0; i < batch % n; ++i) ++lengths[i];
    return lengths;
  }
  std::vector<int> lengths;  // skewed: each adapter has 1.5 times the rows of the next
  int left = batch;
  for (double size = 1; left > 0; size *= 1.5) {
    lengths.push_back(std::min(left, static_cast<int>(size)));
    left -= lengths.back();
  }
  std::sort(lengths.rbegin(), lengths.rend());
  return lengths;
}

struct Mix {
  const char* name;
  int segments[5];  // for batches of 1, 8, 16, 32, 64
};
constexpr int kBatches[5] = {1, 8, 16, 32, 64};
constexpr Mix kMixes[] = {{"distinct", {1, 8, 16, 32, 64}},
                          {"uniform", {1, 3, 4, 6, 8}},
                          {"skewed", {1, 5, 6, 8, 9}},
                          {"identical", {1, 1, 1, 1, 1}}};

// rank 0 means mixed: 8, 16, 32, 64 by turns.
int rank_of_adapter(int rank, int i) { return rank != 0 ? rank : 8 << (i % 4); }

HostAdapter adapter_of_rank(int rank) {
  HostAdapter adapter;
  std::array<LoraWeights, kNumModules> layer;
  layer.fill({rank, 1.0f});
  adapter.layers.assign(kNumLayers, layer);
  return adapter;
}

// ---- device ----

// Small random f16 of both signs: zeros would run faster than real weights.
__global__ void fill_kernel(uint32_t* words, size_t count) {
  size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x;
  for (; i < count; i += size_t{gridDim.x} * blockDim.x) {
    uint32_t h = static_cast<uint32_t>(i) * 2654435761u ^ static_cast<uint32_t>(i >> 20);
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    words[i] = (h & 0x83ff83ffu) | 0x20002000u;
  }
}

__global__ void read_kernel(const uint4* data, size_t count, uint32_t* out) {
  uint32_t sum = 0;
  size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x;
#pragma unroll 8
  for (; i < count; i += size_t{gridDim.x} * blockDim.x) {
    const uint4 v = __ldcs(&data[i]);
    sum ^= v.x ^ v.y ^ v.z ^ v.w;
  }
  if (sum == 1) *out = sum;
}

// The median of `replays` runs of f, in ms; L2 is flushed before each.
template <typename F>
double median_ms(cudaStream_t stream, DeviceBuffer<uint8_t>& flush, int replays, F f) {
  std::vector<float> times;
  cudaEvent_t begin, end;
  CUDA_CHECK(cudaEventCreate(&begin));
  CUDA_CHECK(cudaEventCreate(&end));
  for (int i = 0; i < replays + 3; ++i) {
    CUDA_CHECK(cudaMemsetAsync(flush.data(), i, flush.size(), stream));
    CUDA_CHECK(cudaEventRecord(begin, stream));
    f();
    CUDA_CHECK(cudaEventRecord(end, stream));
    CUDA_CHECK(cudaEventSynchronize(end));
    float ms = 0;
    CUDA_CHECK(cudaEventElapsedTime(&ms, begin, end));
    if (i >= 3) times.push_back(ms);
  }
  CUDA_CHECK(cudaEventDestroy(begin));
  CUDA_CHECK(cudaEventDestroy(end));
  std::nth_element(times.begin(), times.begin() + times.size() / 2, times.end());
  return times[times.size() / 2];
}

struct Bench {
  cudaStream_t stream;
  DeviceBuffer<uint8_t> pool;  // adapters, one after another
  DeviceBuffer<uint8_t> flush;
  DeviceBuffer<uint16_t> x;  // of all groups, so that they are in L2, as if just written
  DeviceBuffer<float> y;
  double read_bytes_per_ms;

  explicit Bench(size_t pool_bytes) : pool(pool_bytes), flush(kFlushBytes) {
    CUDA_CHECK(cudaStreamCreate(&stream));
    fill(pool.data(), pool.size());
    x = DeviceBuffer<uint16_t>(size_t{kMaxBatch} * kMaxWidth);
    y = DeviceBuffer<float>(size_t{kMaxBatch} * kMaxWidth);
    fill(x.data(), x.size() * 2);
    fill(y.data(), y.size() * 4);
    const size_t bytes = std::min(pool.size(), size_t{4} << 30) / 16 * 16;
    read_bytes_per_ms = bytes / median_ms(stream, flush, 10, [&] {
                          read_kernel<<<132 * 8, 512, 0, stream>>>(
                              reinterpret_cast<const uint4*>(pool.data()), bytes / 16,
                              reinterpret_cast<uint32_t*>(flush.data()));
                        });
  }

  void fill(void* data, size_t bytes) {
    fill_kernel<<<132 * 8, 512, 0, stream>>>(static_cast<uint32_t*>(data), bytes / 4);
    CUDA_CHECK(cudaGetLastError());
    CUDA_CHECK(cudaStreamSynchronize(stream));
  }

  static int d_out(int g) {
    int sum = 0;
    for (int m = 0; m < kLlama2[g].num_modules; ++m) sum += kLlama2[g].d_out[m];
    return sum;
  }
};

struct Result {
  double ms;
  double floor_ms;
  int segments;
};

Result measure(Bench& bench, const std::string& mix, int batch, int rank) {
  const std::vector<int> lengths = segment_lengths(mix, batch);
  std::vector<int32_t> s{0};
  std::vector<const void*> adapters;
  size_t offset = 0;
  for (size_t i = 0; i < lengths.size(); ++i) {
    s.push_back(s.back() + lengths[i]);
    const HostAdapter adapter = adapter_of_rank(rank_of_adapter(rank, static_cast<int>(i)));
    std::vector<uint8_t> entries(kNumLayers * kNumGroups * sizeof(SgmvEntry));
    pack_sgmv_entries(adapter, kLlama2, entries);
    const size_t bytes = (sgmv_adapter_bytes(adapter, kLlama2) + 127) / 128 * 128;
    check(offset + bytes <= bench.pool.size(), "the adapters do not fit into the pool");
    CUDA_CHECK(cudaMemcpy(bench.pool.data() + offset, entries.data(), entries.size(),
                          cudaMemcpyHostToDevice));
    adapters.push_back(bench.pool.data() + offset);
    offset += bytes;
  }
  check(s.back() == batch, "the segments do not add up to the batch");
  size_t total = offset;
  for (int g = 0; g < kNumGroups; ++g) {
    total += size_t{kNumLayers} * batch * (2 * kLlama2[g].d_in + 8 * Bench::d_out(g));
  }

  const DeviceBuffer<int32_t> device_s{std::span<const int32_t>(s)};
  const DeviceBuffer<const void*> device_adapters{std::span<const void* const>(adapters)};
  const int32_t count = static_cast<int32_t>(lengths.size());
  const DeviceBuffer<int32_t> num_segments{std::span<const int32_t>(&count, 1)};
  DeviceBuffer<uint8_t> memory(sgmv_plan_bytes(kNumLayers, batch, batch));
  const SgmvPlan plan{memory.data(), kNumLayers, batch, batch};

  cudaGraph_t graph;
  cudaGraphExec_t exec;
  CUDA_CHECK(cudaStreamBeginCapture(bench.stream, cudaStreamCaptureModeThreadLocal));
  launch_sgmv_plan(plan, kLlama2, {num_segments.data(), device_s.data(), device_adapters.data()},
                   bench.stream);
  for (int layer = 0; layer < kNumLayers; ++layer) {
    for (int g = 0; g < kNumGroups; ++g) {
      const Matrix x{bench.x.data(), batch, kLlama2[g].d_in, kLlama2[g].d_in};
      const Matrix y{bench.y.data(), batch, Bench::d_out(g), Bench::d_out(g)};
      const bool first = layer == 0 && g == 0;
      launch_sgmv(plan, kLlama2, layer, static_cast<Group>(g), x, y,
                  first ? SgmvStart::kInOrder : SgmvStart::kEarly, bench.stream);
    }
  }
  CUDA_CHECK(cudaStreamEndCapture(bench.stream, &graph));
  CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
  const double ms = median_ms(bench.stream, bench.flush, kReplays,
                              [&] { CUDA_CHECK(cudaGraphLaunch(exec, bench.stream)); });
  CUDA_CHECK(cudaGraphExecDestroy(exec));
  CUDA_CHECK(cudaGraphDestroy(graph));
  return {ms, total / bench.read_bytes_per_ms, count};
}

// ---- report ----

void report(Bench& bench, const Mix& mix, int b, int rank, std::string& json) {
  const int batch = kBatches[b];
  const Result r = measure(bench, mix.name, batch, rank);
  check(r.segments == mix.segments[b], "the mix does not have the number of segments it should");
  const double goal = goal_of(mix.name, batch, rank);
  const std::string rank_name = rank == 0 ? "mixed" : std::to_string(rank);
  char goal_text[16] = "";
  if (goal > 0) std::snprintf(goal_text, sizeof(goal_text), "%.2f", goal);
  std::printf("%5d  %-9s  %5s  %8d  %8.3f  %8.3f  %6.2f  %8s\n", batch, mix.name, rank_name.c_str(),
              r.segments, r.floor_ms, r.ms, r.ms / r.floor_ms, goal_text);
  std::fflush(stdout);
  char row[256];
  std::snprintf(row, sizeof(row),
                "%s\n    {\"batch\": %d, \"mix\": \"%s\", \"rank\": \"%s\", \"segments\": %d, "
                "\"floorMs\": %.4f, \"ms\": %.4f, \"goalMs\": %s}",
                json.empty() ? "" : ",", batch, mix.name, rank_name.c_str(), r.segments, r.floor_ms,
                r.ms, goal > 0 ? goal_text : "null");
  json += row;
}

}  // namespace

int main(int argc, char** argv) {
  bool all = false;
  const char* path = nullptr;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--all") == 0) {
      all = true;
    } else {
      path = argv[i];
    }
  }
  cudaDeviceProp device;
  int driver = 0;
  CUDA_CHECK(cudaGetDeviceProperties(&device, 0));
  CUDA_CHECK(cudaDriverGetVersion(&driver));
  const int max_rank = all ? 128 : 64;
  const size_t adapter = sgmv_adapter_bytes(adapter_of_rank(max_rank), kLlama2) + 128;
  Bench bench(adapter * kMaxBatch);
  std::printf("%s, CUDA driver %d, memory read at %.0f GB/s; ms per step, median of %d\n",
              device.name, driver, bench.read_bytes_per_ms / 1e6, kReplays);
  std::printf("batch  mix         rank  segments     floor        ms   ratio  to reach\n");

  std::string rows;
  for (const int rank : {16, 64, 8, 32, 128, 0}) {
    for (int b = 0; b < 5; ++b) {
      for (const Mix& mix : kMixes) {
        if (all || goal_of(mix.name, kBatches[b], rank) > 0) report(bench, mix, b, rank, rows);
      }
    }
  }
  if (path == nullptr) return 0;
  std::FILE* file = std::fopen(path, "w");
  check(file != nullptr, "the output file cannot be written");
  std::fprintf(file,
               "{\n  \"device\": \"%s\",\n  \"cudaDriver\": %d,\n  \"readGBs\": %.1f,\n"
               "  \"replays\": %d,\n  \"rows\": [%s\n  ]\n}\n",
               device.name, driver, bench.read_bytes_per_ms / 1e6, kReplays, rows.c_str());
  std::fclose(file);
  return 0;
}
