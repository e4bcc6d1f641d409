#include "backend/cuda/sampler.h"

#include <algorithm>

#include "backend/cuda/cuda_check.h"
#include "backend/cuda/sample.h"

namespace sgmv {
namespace {

constexpr size_t kAlignment = 16;

size_t align(size_t offset) { return (offset + kAlignment - 1) / kAlignment * kAlignment; }

bool has_penalties(const SamplingParams& p) {
  return p.repetition_penalty != 1 || p.presence_penalty != 0 || p.frequency_penalty != 0;
}

bool changes_logits(const SampleRow& row) {
  return has_penalties(*row.params) || !row.params->logit_bias.empty() || !row.allowed.empty();
}

}  // namespace

void Sampler::prepare(std::span<const SampleRow> rows, int vocab_size, cudaStream_t stream) {
  layout_ = lay_out(rows, vocab_size);
  if (rows.empty()) return;
  reserve(stream);
  write(rows);
  CUDA_CHECK(
      cudaMemcpyAsync(device_.get(), host_.get(), layout_.results, cudaMemcpyHostToDevice, stream));
}

void Sampler::launch(const float* logits, cudaStream_t stream) const {
  if (layout_.num_rows == 0) return;
  const uint8_t* device = device_.get();
  auto* changed = reinterpret_cast<float*>(changed_.get());
  // The results are so few that the device writes them to host memory itself: a copy would take
  // longer to begin.
  const SampleArgs args{.logits = logits,
                        .vocab_size = layout_.vocab_size,
                        .num_rows = layout_.num_rows,
                        .rows = reinterpret_cast<const SamplerRow*>(device),
                        .tokens = reinterpret_cast<const int32_t*>(device + layout_.tokens),
                        .biases = reinterpret_cast<const SamplerBias*>(device + layout_.biases),
                        .allowed = reinterpret_cast<const uint32_t*>(device + layout_.allowed),
                        .changed_logits = changed,
                        .counts = reinterpret_cast<uint32_t*>(changed + changed_capacity_),
                        .results = reinterpret_cast<SamplerResult*>(host_.get() + layout_.results),
                        .top = reinterpret_cast<TokenLogprob*>(host_.get() + layout_.top)};
  launch_sample(args, layout_.num_changed > 0, stream);
}

void Sampler::read(std::span<Sample> samples) const {
  const auto* rows = reinterpret_cast<const SamplerRow*>(host_.get());
  const auto* results = reinterpret_cast<const SamplerResult*>(host_.get() + layout_.results);
  const auto* top = reinterpret_cast<const TokenLogprob*>(host_.get() + layout_.top);
  for (int i = 0; i < layout_.num_rows; ++i) {
    Sample& sample = samples[i];
    sample.is_valid = results[i].is_valid != 0;
    if (!sample.is_valid) continue;
    sample.token = results[i].token;
    sample.top.clear();
    if (rows[i].num_top < 0) continue;
    sample.logprob = results[i].logprob;
    sample.top.assign(top + rows[i].first_top, top + rows[i].first_top + rows[i].num_top);
  }
}

Sampler::Layout Sampler::lay_out(std::span<const SampleRow> rows, int vocab_size) {
  Layout layout;
  layout.num_rows = static_cast<int>(rows.size());
  layout.vocab_size = vocab_size;
  size_t num_tokens = 0;
  size_t num_biases = 0;
  size_t num_words = 0;
  size_t num_top = 0;
  for (const SampleRow& row : rows) {
    const SamplingParams& p = *row.params;
    if (changes_logits(row)) ++layout.num_changed;
    if (has_penalties(p)) num_tokens += row.tokens.size();
    num_biases += p.logit_bias.size();
    num_words += row.allowed.size();
    num_top += std::clamp(p.num_logprobs, 0, vocab_size);
  }
  layout.tokens = align(rows.size() * sizeof(SamplerRow));
  layout.biases = align(layout.tokens + num_tokens * sizeof(int32_t));
  layout.allowed = align(layout.biases + num_biases * sizeof(SamplerBias));
  layout.results = align(layout.allowed + num_words * sizeof(uint32_t));
  layout.top = align(layout.results + rows.size() * sizeof(SamplerResult));
  layout.end = layout.top + num_top * sizeof(TokenLogprob);
  return layout;
}

void Sampler::reserve(cudaStream_t stream) {
  if (layout_.end > capacity_) {
    const size_t num_bytes = 2 * layout_.end;
    capacity_ = 0;  // Either allocation may fail.
    host_ = allocate_pinned(num_bytes);
    device_ = allocate_device(num_bytes, "sampling; lower maxBatchSize");
    capacity_ = num_bytes;
  }
  const size_t num_changed = static_cast<size_t>(layout_.num_changed) * layout_.vocab_size;
  if (num_changed > changed_capacity_) {
    const size_t num_bytes = num_changed * (sizeof(float) + sizeof(uint32_t));
    changed_ = allocate_device(num_bytes, "penalties of sampling; lower maxBatchSize");
    changed_capacity_ = num_changed;
    CUDA_CHECK(cudaMemsetAsync(changed_.get(), 0, num_bytes, stream));
  }
}

void Sampler::write(std::span<const SampleRow> rows) {
  auto* out = reinterpret_cast<SamplerRow*>(host_.get());
  auto* tokens = reinterpret_cast<int32_t*>(host_.get() + layout_.tokens);
  auto* biases = reinterpret_cast<SamplerBias*>(host_.get() + layout_.biases);
  auto* allowed = reinterpret_cast<uint32_t*>(host_.get() + layout_.allowed);
  int num_changed = 0;
  int num_tokens = 0;
  int num_biases = 0;
  int num_words = 0;
  int num_top = 0;
  for (const SampleRow& row : rows) {
    const SamplingParams& p = *row.params;
    SamplerRow r{};
    r.seed = p.seed;
    r.temperature = p.temperature;
    r.top_p = p.top_p;
    r.min_p = p.min_p;
    r.repetition_penalty = p.repetition_penalty;
    r.presence_penalty = p.presence_penalty;
    r.frequency_penalty = p.frequency_penalty;
    r.top_k = p.top_k;
    r.position = row.position;
    r.changed = changes_logits(row) ? num_changed++ : -1;
    r.first_token = num_tokens;
    r.num_tokens = has_penalties(p) ? static_cast<int>(row.tokens.size()) : 0;
    r.num_prompt_tokens = row.num_prompt_tokens;
    std::copy_n(row.tokens.begin(), r.num_tokens, tokens + num_tokens);
    num_tokens += r.num_tokens;
    r.first_bias = num_biases;
    r.num_biases = static_cast<int>(p.logit_bias.size());
    for (const auto& [token, bias] : p.logit_bias) biases[num_biases++] = {token, bias};
    r.first_allowed = row.allowed.empty() ? -1 : num_words;
    std::ranges::copy(row.allowed, allowed + num_words);
    num_words += static_cast<int>(row.allowed.size());
    r.num_top = std::min(p.num_logprobs, layout_.vocab_size);
    r.first_top = num_top;
    num_top += std::max(r.num_top, 0);
    *out++ = r;
  }
}

}  // namespace sgmv
