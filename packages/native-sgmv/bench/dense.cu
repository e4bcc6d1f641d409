// The dense products of a Llama-2-7B step: the skinny kernel beside cuBLASLt's fastest,
// microseconds a product within a graph of many, each with weights of its own that L2 does not
// hold; and for many rows what cuBLASLt reaches, and whether it gives the skinny kernel's bits.
//
//   bench_dense
//
// The floor is the bytes of weights over the rate at which the card reads memory.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "backend/cuda/dense_product.h"
#include "backend/cuda/device_buffer.h"
#include "backend/cuda/stream.h"

using namespace sgmv;

namespace {

struct Shape {
  const char* name;
  int num_outputs;
  int num_inputs;
};
constexpr Shape kShapes[] = {{"qkv", 12288, 4096},
                             {"o", 4096, 4096},
                             {"gate+up", 22016, 4096},
                             {"down", 4096, 11008},
                             {"lm_head", 32000, 4096}};
constexpr int kMaxRows = 2048;
constexpr size_t kWeightBytes = size_t{1} << 30;
constexpr int kReplays = 5;
constexpr double kReadBytesPerUs = 3.0e6;

// Small random f16 of both signs: zeros would run faster than real weights.
__global__ void fill_kernel(uint32_t* words, size_t count) {
  size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x;
  for (; i < count; i += size_t{gridDim.x} * blockDim.x) {
    uint32_t h = static_cast<uint32_t>(i) * 2654435761u ^ static_cast<uint32_t>(i >> 20);
    h ^= h >> 15;
    h *= 2246822519u;
    h ^= h >> 13;
    words[i] = (h & 0x83ff83ffu) | 0x28002800u;
  }
}

class Bench {
 public:
  Bench()
      : weights_(kWeightBytes),
        x_(size_t{kMaxRows} * 11008),
        y_(size_t{kMaxRows} * 32000),
        own_("", true, stream_),
        library_("", false, stream_) {
    fill_kernel<<<132 * 8, 512, 0, stream_>>>(reinterpret_cast<uint32_t*>(weights_.data()),
                                              kWeightBytes / 4);
    fill_kernel<<<132 * 8, 512, 0, stream_>>>(reinterpret_cast<uint32_t*>(x_.data()),
                                              x_.size() / 2);
    CUDA_CHECK(cudaGetLastError());
    stream_.wait();
  }

  void compare(const Shape& shape) {
    const size_t bytes = size_t{2} * shape.num_outputs * shape.num_inputs;
    for (size_t at = 0; at + bytes <= kWeightBytes; at += bytes) {
      library_.add_weights(weights_.data() + at, shape.num_outputs, shape.num_inputs);
      own_.add_weights(weights_.data() + at, shape.num_outputs, shape.num_inputs);
    }
    for (const int num_rows : {1, 8, 16, 32}) {
      const double own_us = measure(shape, num_rows, [&](const Product& p) { own_.run(p); });
      const double library_us =
          measure(shape, num_rows, [&](const Product& p) { library_.run_library(p); });
      const double floor_us = bytes / kReadBytesPerUs;
      std::printf("%-8s %5d %9.1f %9.1f %9.1f %7.2f\n", shape.name, num_rows, floor_us, own_us,
                  library_us, own_us / floor_us);
      std::fflush(stdout);
    }
    for (const int num_rows : {64, 128, 512, 2048}) {
      bool agrees = true;
      const double us =
          measure(shape, num_rows, [&](const Product& p) { agrees = own_.run_library(p); });
      const double fastest_us =
          measure(shape, num_rows, [&](const Product& p) { library_.run_library(p); });
      const double flops = 2.0 * num_rows * shape.num_outputs * shape.num_inputs;
      std::printf("%-8s %5d           same bits: %s, %.0f TFLOP/s; fastest: %.0f\n", shape.name,
                  num_rows, agrees ? "yes" : "no", flops / us / 1e6, flops / fastest_us / 1e6);
      std::fflush(stdout);
    }
  }

 private:
  // Microseconds of one product among as many as there are weights for.
  template <typename Run>
  double measure(const Shape& shape, int num_rows, Run run) {
    const size_t bytes = size_t{2} * shape.num_outputs * shape.num_inputs;
    const int count = static_cast<int>(kWeightBytes / bytes);
    const auto product = [&](int i) {
      return Product{.num_rows = num_rows,
                     .num_outputs = shape.num_outputs,
                     .num_inputs = shape.num_inputs,
                     .x = x_.data(),
                     .x_stride = shape.num_inputs,
                     .w = weights_.data() + i * bytes,
                     .bias = nullptr,
                     .y = y_.data(),
                     .y_stride = shape.num_outputs,
                     .scale = 1};
    };
    run(product(0));
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    CUDA_CHECK(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < count; ++i) run(product(i));
    CUDA_CHECK(cudaStreamEndCapture(stream_, &graph));
    CUDA_CHECK(cudaGraphInstantiate(&exec, graph, 0));
    CUDA_CHECK(cudaGraphDestroy(graph));
    const Graph owner(exec);
    owner.launch(stream_);
    const Event begin, end;
    begin.record(stream_);
    for (int i = 0; i < kReplays; ++i) owner.launch(stream_);
    end.record(stream_);
    return end.milliseconds_since(begin) * 1000 / (kReplays * count);
  }

  Stream stream_;
  DeviceBuffer<uint8_t> weights_;
  DeviceBuffer<uint16_t> x_;
  DeviceBuffer<float> y_;
  DenseProduct own_;
  DenseProduct library_;
};

}  // namespace

int main() {
  Bench bench;
  std::printf("%-8s %5s %9s %9s %9s %7s\n", "product", "rows", "floor us", "own us", "cuBLAS us",
              "ratio");
  for (const Shape& shape : kShapes) bench.compare(shape);
}
