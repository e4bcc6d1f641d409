#include "backend/cpu/cpu_backend.h"

namespace sgmv {

void CpuBackend::sample_all(std::span<Sample> samples) {
  constexpr int64_t kWorkPerLogit = 8;
  const int num_samples = static_cast<int>(batch_->samples.size());
  if (num_samples == 0) return;
  const size_t vocab_size = logits_.size() / num_samples;
  const auto sample_row = [&](int i, int thread) {
    samples[i] = sample({logits_.data() + i * vocab_size, vocab_size}, batch_->samples[i],
                        sampler_scratch_[thread], kernels_);
  };
  if (is_worth_sharing(kWorkPerLogit * static_cast<int64_t>(logits_.size()))) {
    pool_.run(num_samples, sample_row);
  } else {
    for (int i = 0; i < num_samples; ++i) sample_row(i, 0);
  }
}

}  // namespace sgmv
