#include <algorithm>
#include <numeric>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/graph_rows.h"

namespace sgmv {
namespace {

// Takes a stream out of capture however the recording ends.
class Capture {
 public:
  explicit Capture(cudaStream_t stream) : stream_(stream) {
    CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  }
  ~Capture() {
    cudaGraph_t graph = nullptr;
    if (!finished_) cudaStreamEndCapture(stream_, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  Graph finish() {
    finished_ = true;
    cudaGraph_t graph = nullptr;
    CUDA_CHECK(cudaStreamEndCapture(stream_, &graph));
    cudaGraphExec_t exec = nullptr;
    const cudaError_t code = cudaGraphInstantiate(&exec, graph, 0);
    cudaGraphDestroy(graph);
    CUDA_CHECK(code);
    return Graph(exec);
  }

 private:
  cudaStream_t stream_;
  bool finished_ = false;
};

int widest_outputs(const SgmvGroups& groups) {
  int widest = 0;
  for (const SgmvGroup& group : groups) {
    widest = std::max(widest, std::accumulate(group.d_out, group.d_out + group.num_modules, 0));
  }
  return widest;
}

}  // namespace

void CudaBackend::run_step(const Batch& batch, const std::function<void()>& forward,
                           std::span<Sample> samples) {
  CUDA_CHECK(cudaSetDevice(options_.device));
  batch_ = &batch;
  const bool recordable = is_recordable(batch);
  const int num_rows = recordable ? graph_rows_for(batch.num_rows) : batch.num_rows;
  try {
    prepare_step(batch, num_rows, recordable);
    if (recordable) {
      forward_by_graph({num_rows, upload_.sizes().num_segments > 0}, forward);
    } else {
      if (upload_.sizes().num_segments > 0) plan_adapters();
      forward();
    }
    sampler_.launch(logits_.data(), stream_);
  } catch (...) {
    // The next step writes to the memory that copies of this one may still read.
    cudaStreamSynchronize(stream_);
    batch_ = nullptr;
    throw;
  }
  stream_.wait();
  sampler_.read(samples);
  batch_ = nullptr;
}

// Every sequence decodes one token, and each is sampled, in order.
bool CudaBackend::is_recordable(const Batch& batch) const {
  if (!options_.graphs || batch.num_rows > kMaxGraphRows) return false;
  if (batch.num_rows != batch.num_seqs || batch.samples.size() != size_t(batch.num_rows)) {
    return false;
  }
  for (int i = 0; i < batch.num_rows; ++i) {
    if (batch.row_start[i + 1] != i + 1 || batch.samples[i].row != i) return false;
  }
  return true;
}

template <typename T>
void CudaBackend::grow(DeviceArray<T>& buffer, size_t size, const char* purpose) {
  if (size <= buffer.size()) return;
  graphs_.clear();
  buffer = {};
  const size_t room = size + size / 2;
  buffer = DeviceArray<T>(room, purpose);
  CUDA_CHECK(cudaMemsetAsync(buffer.data(), 0, room * sizeof(T), stream_));
}

// Brings the batch to the device and makes room for what its operations need beside the model's
// activations. Graphs hold addresses, so nothing that they know may move after this.
void CudaBackend::prepare_step(const Batch& batch, int num_rows, bool recordable) {
  if (upload_.lay_out(batch, num_rows, shape_)) graphs_.clear();
  arrays_ = upload_.arrays();
  upload_.copy(stream_);
  const StepSizes& sizes = upload_.sizes();
  if (sizes.num_segments > 0) {
    const int max_segments = recordable ? num_rows : sizes.num_segments;
    plan_ = {nullptr, shape_.num_layers, num_rows, max_segments};
    grow(plan_memory_, sgmv_plan_bytes(plan_.num_layers, plan_.max_rows, plan_.max_segments),
         "the plan of adapters; lower maxStepTokens");
    plan_.memory = plan_memory_.data();
    grow(delta_, size_t{kMaxSkinnyRows} * widest_outputs(groups_),
         "what adapters add; lower poolBytes");
  }
  if (sizes.num_decode > 0 && shape_.num_kv_heads > 0) {
    const int heads_per_kv = shape_.num_heads / shape_.num_kv_heads;
    grow(chunk_sums_,
         attention_scratch_floats(sizes.num_decode_tasks, shape_.num_heads, shape_.num_kv_heads,
                                  shape_.head_dim),
         "attention over long contexts; lower maxBatchSize");
    grow(arrived_,
         static_cast<size_t>(sizes.num_decode) * shape_.num_kv_heads *
             QueryTiles(heads_per_kv).count,
         "attention; lower maxBatchSize");
  }
  num_logits_rows_ = static_cast<int>(batch.samples.size());
  const size_t num_samples = recordable ? num_rows : num_logits_rows_;
  grow(sampled_x_, num_samples * shape_.hidden_size, "the rows to sample; lower maxBatchSize");
  grow(logits_, num_samples * shape_.vocab_size, "logits; lower maxBatchSize");
  sampler_.prepare(batch.samples, shape_.vocab_size, stream_);
}

void CudaBackend::forward_by_graph(GraphKey key, const std::function<void()>& forward) {
  graph_rows_ = key.num_rows;
  try {
    const auto [entry, is_new] = graphs_.try_emplace(key);
    Graph& graph = entry->second;
    if (is_new) {
      // The first step of a shape runs as it is: it measures which dense products are fastest.
      if (key.has_adapters) plan_adapters();
      forward();
    } else {
      if (!graph) graph = record(key, forward);
      graph.launch(stream_);
    }
  } catch (...) {
    graph_rows_ = 0;
    throw;
  }
  graph_rows_ = 0;
}

Graph CudaBackend::record(GraphKey key, const std::function<void()>& forward) {
  Capture capture(stream_);
  if (key.has_adapters) plan_adapters();
  forward();
  return capture.finish();
}

}  // namespace sgmv
