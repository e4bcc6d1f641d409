#include "backend/cuda/sample.h"

#include "backend/cuda/launch.cuh"
#include "backend/cuda/ranking.cuh"
#include "backend/philox.h"

// A thread block samples one row, whose logits come from L2: one pass for greedy decoding, up to
// three for each limit and the choice itself. Weights are summed as whole numbers, so that no sum
// depends on its order.

namespace sgmv {
namespace {

constexpr int kThreads = kReduceThreads;
// Below this a logit divided by the temperature may overflow; the choice is greedy by then anyway.
constexpr float kMinTemperature = 1e-5f;

// The tokens that top_k, top_p and min_p leave.
__device__ Prefix kept_tokens(Bins& bins, const Row& row, const SamplerRow& p) {
  Prefix kept = whole(row, 0);
  if (p.top_k > 0 && p.top_k < row.size) {
    const uint32_t k = p.top_k;
    const Edge edge = find_edge(bins, row, [&](uint32_t count, uint64_t) { return count >= k; });
    kept = prefix_at(edge, k - edge.above.count);
  }
  const Prefix limit = kept;
  if (p.top_p < 1) {
    const auto mass = static_cast<uint64_t>(static_cast<double>(p.top_p) * limit.weight);
    const Edge edge = find_edge(
        bins, row, [&](uint32_t count, uint64_t weight) { return count > 0 && weight >= mass; });
    const uint64_t missing = mass > edge.above.weight ? mass - edge.above.weight : 0;
    const uint64_t each = max(edge.weight, uint64_t{1});
    kept = shorter(kept, prefix_at(edge, (missing + each - 1) / each));
  }
  if (p.min_p > 0) {
    // The likeliest token, whose weight is 1, stays.
    const auto least = static_cast<uint64_t>(static_cast<double>(fminf(p.min_p, 1)) * kOne);
    kept = shorter(kept, whole(row, least));
  }
  return kept;
}

// The index-th token, in ascending order, whose logit has `key`.
__device__ int nth_token(const Row& row, uint32_t key, uint64_t index) {
  __shared__ int found;
  uint64_t before = 0;
  for (int first = 0; first < row.size; first += kThreads) {
    const int i = first + threadIdx.x;
    const bool is_equal = i < row.size && key_of(row.logits[i]) == key;
    const uint64_t count = block_scan(uint64_t{is_equal});
    if (is_equal && before + count == index + 1) found = i;
    before += block_last(count);
    if (before > index) break;
  }
  __syncthreads();
  return found;
}

// Among the kept tokens, likeliest first, Philox(seed, position) chooses by inverse CDF.
__device__ int choose(Bins& bins, const Row& row, const SamplerRow& p) {
  const Prefix kept = kept_tokens(bins, row, p);
  const double uniform = philox_uniform(p.seed, p.position);
  const uint64_t target =
      min(static_cast<uint64_t>(uniform * static_cast<double>(kept.weight)), kept.weight - 1);
  const Edge edge =
      find_edge(bins, row, [&](uint32_t, uint64_t weight) { return weight > target; });
  return nth_token(row, edge.key, (target - edge.above.weight) / edge.weight);
}

// Writes the log-probabilities of the row's own logits that were asked for.
__device__ void write_logprobs(const Row& row, const SamplerRow& p, int token,
                               SamplerResult& result, TokenLogprob* top) {
  const Prefix all = whole(row, 0);
  const double log_sum = row.max + log(static_cast<double>(all.weight) / kOne);
  if (threadIdx.x == 0) result.logprob = static_cast<float>(row.logits[token] - log_sum);
  uint64_t rank = ~uint64_t{0};
  for (int i = 0; i < p.num_top; ++i) {
    rank = highest_rank(row, rank);
    const int next = token_of(rank);
    if (threadIdx.x == 0) {
      top[p.first_top + i] = {next, static_cast<float>(row.logits[next] - log_sum)};
    }
  }
}

struct Summary {
  uint64_t likeliest;  // the highest rank
  bool all_finite;
};

__device__ Summary summarize(const Row& row) {
  uint64_t highest = 0;
  bool is_bad = false;
#pragma unroll 8
  for (int i = threadIdx.x; i < row.size; i += kThreads) {
    const float logit = row.logits[i];
    is_bad = is_bad || !isfinite(logit);
    highest = max(highest, rank_of(logit, i));
  }
  is_bad = __syncthreads_or(is_bad) != 0;
  return {block_max(highest), !is_bad};
}

// Grid: (rows).
__global__ void __launch_bounds__(kThreads) sample_kernel(SampleArgs args) {
  __shared__ Bins bins;
  begin_kernel();
  const SamplerRow p = args.rows[blockIdx.x];
  SamplerResult& result = args.results[blockIdx.x];
  const int64_t size = args.vocab_size;
  Row raw{args.logits + blockIdx.x * size, args.vocab_size, 0, 1};
  const Summary summary = summarize(raw);
  if (threadIdx.x == 0) result.is_valid = summary.all_finite ? 1 : 0;
  if (!summary.all_finite) return;

  Row row = raw;
  int token = token_of(summary.likeliest);
  raw.max = raw.logits[token];
  if (p.changed >= 0) {
    row.logits = args.changed_logits + p.changed * size;
    token = token_of(highest_rank(row, ~uint64_t{0}));
    if (row.logits[token] == -INFINITY) {  // Its mask leaves nothing.
      if (threadIdx.x == 0) result.is_valid = 0;
      return;
    }
  }
  if (p.temperature >= kMinTemperature) {
    row.max = row.logits[token];
    row.inverse_temperature = 1 / p.temperature;
    token = choose(bins, row, p);
  }
  if (threadIdx.x == 0) result.token = token;
  if (p.num_top < 0) return;
  write_logprobs(raw, p, token, result, args.top);
}

// Grid: (rows). Copies the logits of a row that has penalties, bias or a mask and applies these.
__global__ void __launch_bounds__(kThreads) change_kernel(SampleArgs args) {
  begin_kernel();
  const SamplerRow p = args.rows[blockIdx.x];
  if (p.changed < 0) return;
  const int64_t size = args.vocab_size;
  const float* raw = args.logits + blockIdx.x * size;
  float* logits = args.changed_logits + p.changed * size;
  uint32_t* counts = args.counts + p.changed * size;
  const int32_t* tokens = args.tokens + p.first_token;
  for (int i = threadIdx.x; i < size; i += kThreads) logits[i] = raw[i];
  // A count is twice the number of generated tokens, and odd where the token is at all.
  for (int i = threadIdx.x; i < p.num_tokens; i += kThreads) {
    atomicOr(&counts[tokens[i]], 1u);
    if (i >= p.num_prompt_tokens) atomicAdd(&counts[tokens[i]], 2u);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < p.num_tokens; i += kThreads) {
    const uint32_t count = atomicExch(&counts[tokens[i]], 0u);
    if (count == 0) continue;  // Its other occurrence has been here.
    float logit = logits[tokens[i]];
    logit =
        logit > 0 ? __fdiv_rn(logit, p.repetition_penalty) : __fmul_rn(logit, p.repetition_penalty);
    if (count > 1) {
      const float repeated = __fmul_rn(p.frequency_penalty, static_cast<float>(count / 2));
      logit -= __fadd_rn(p.presence_penalty, repeated);
    }
    logits[tokens[i]] = logit;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < p.num_biases; i += kThreads) {
    const SamplerBias bias = args.biases[p.first_bias + i];
    atomicAdd(&logits[bias.token], bias.bias);
  }
  if (p.first_allowed < 0) return;
  __syncthreads();
  const uint32_t* allowed = args.allowed + p.first_allowed;
  for (int i = threadIdx.x; i < size; i += kThreads) {
    if ((allowed[i / 32] >> (i % 32) & 1) == 0) logits[i] = -INFINITY;
  }
}

}  // namespace

void launch_sample(const SampleArgs& args, bool has_changed_rows, cudaStream_t stream) {
  if (has_changed_rows) launch(change_kernel, dim3(args.num_rows), kThreads, 0, stream, args);
  launch(sample_kernel, dim3(args.num_rows), kThreads, 0, stream, args);
}

}  // namespace sgmv
