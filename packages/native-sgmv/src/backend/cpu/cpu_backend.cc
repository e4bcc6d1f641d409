#include "backend/cpu/cpu_backend.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace sgmv {
namespace {

int count_threads(const CpuOptions& options) {
  if (options.num_threads > 0) return options.num_threads;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

std::unique_ptr<Backend> create_cpu_backend(const CpuOptions& options) {
  return std::make_unique<CpuBackend>(options);
}

CpuBackend::CpuBackend(const CpuOptions& options)
    : kernels_(select_kernels(options.max_isa)),
      bf16_compute_(options.bf16_compute && kernels_.gemm_bf16_pairs != nullptr),
      pool_(count_threads(options)),
      attention_scratch_(pool_.num_threads()),
      sampler_scratch_(pool_.num_threads()) {}

std::string CpuBackend::describe() const {
  return std::string("CPU, ") + kernels_.name + ", " + std::to_string(pool_.num_threads()) +
         (pool_.num_threads() == 1 ? " thread, " : " threads, ") +
         (bf16_compute_ ? "bf16 products" : "f32");
}

DeviceInfo CpuBackend::device() const {
  const auto page_bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return {.kind = "cpu",
          .name = std::string("CPU, ") + kernels_.name,
          .total_bytes = page_bytes * static_cast<size_t>(sysconf(_SC_PHYS_PAGES)),
          .free_bytes = page_bytes * static_cast<size_t>(sysconf(_SC_AVPHYS_PAGES))};
}

void CpuBackend::set_shape(const ModelShape& shape) {
  shape_ = shape;
  padded_head_dim_ = round_up(shape.head_dim, kKvBlock);
  blocks_per_page_ = round_up(shape.page_size, kKvBlock) / kKvBlock;
}

Matrix CpuBackend::allocate(DeviceMemory& owner, int num_rows, int num_cols) {
  const size_t num_bytes = sizeof(float) * num_rows * num_cols;
  AlignedBytes memory = allocate_aligned(num_bytes);
  std::memset(memory.get(), 0, num_bytes);
  owner = DeviceMemory(memory.release(), memory.get_deleter());
  return {owner.get(), num_rows, num_cols, num_cols};
}

std::unique_ptr<Weights> CpuBackend::load_linear(std::span<const HostMatrix> parts,
                                                 std::span<const float> bias) {
  auto linear = std::make_unique<CpuLinear>();
  linear->w.dtype = packed_dtype(parts);
  linear->w.num_cols = parts[0].num_cols;
  for (const HostMatrix& part : parts) linear->w.num_rows += part.num_rows;
  linear->memory =
      allocate_aligned(packed_bytes(linear->w.dtype, linear->w.num_rows, linear->w.num_cols));
  linear->w.panels = linear->memory.get();
  const size_t stride = panel_bytes(linear->w.dtype, linear->w.num_cols);
  pool_.run(num_panels(linear->w.num_rows), [&](int index, int /*thread*/) {
    pack_panel(linear->memory.get() + index * stride, linear->w.dtype, parts, index);
  });
  linear->bias.assign(bias.begin(), bias.end());
  return linear;
}

std::unique_ptr<Weights> CpuBackend::load_embedding(const HostMatrix& table) {
  auto embedding = std::make_unique<CpuEmbedding>();
  const size_t num_bytes =
      static_cast<size_t>(table.num_rows) * table.num_cols * size_of(table.dtype);
  const auto* data = static_cast<const uint8_t*>(table.data);
  embedding->table.assign(data, data + num_bytes);
  embedding->dtype = table.dtype;
  embedding->num_cols = table.num_cols;
  return embedding;
}

std::unique_ptr<Weights> CpuBackend::load_vector(std::span<const float> values) {
  auto vector = std::make_unique<CpuVector>();
  vector->values.assign(values.begin(), values.end());
  return vector;
}

void CpuBackend::load_rope(std::span<const float> cos, std::span<const float> sin) {
  rope_cos_.assign(cos.begin(), cos.end());
  rope_sin_.assign(sin.begin(), sin.end());
}

void CpuBackend::reserve_pool(int num_slots) {
  slots_ = allocate_aligned(num_slots * page_bytes());
}

void CpuBackend::run_step(const Batch& batch, const std::function<void()>& forward,
                          std::span<Sample> samples) {
  batch_ = &batch;
  forward();
  sample_all(samples);
  batch_ = nullptr;
}

bool CpuBackend::is_worth_sharing(int64_t work) const {
  // Handing work over takes about as long as this many multiply-adds.
  constexpr int64_t kMinWork = 150'000;
  return pool_.num_threads() > 1 && work >= kMinWork;
}

}  // namespace sgmv
