#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/for_rows.h"

namespace sgmv {

void CpuBackend::logits(Matrix x, const Weights& w) {
  const auto& linear = static_cast<const CpuLinear&>(w);
  const int num_samples = static_cast<int>(batch_->samples.size());
  const int vocab_size = linear.w.num_rows;
  logits_.resize(static_cast<size_t>(num_samples) * vocab_size);
  if (num_samples == 0) return;

  sampled_x_.resize(static_cast<size_t>(num_samples) * x.num_cols);
  for (int i = 0; i < num_samples; ++i) {
    std::memcpy(sampled_x_.data() + int64_t{i} * x.num_cols, row(x, batch_->samples[i].row),
                x.num_cols * sizeof(float));
  }
  multiply({logits_.data(), num_samples, vocab_size, vocab_size},
           {sampled_x_.data(), num_samples, x.num_cols, x.num_cols}, linear);
}

void CpuBackend::read_logits(std::span<float> out) {
  if (out.size() != logits_.size()) {
    throw std::invalid_argument("read_logits: room for " + std::to_string(out.size()) +
                                " values, the last step made " + std::to_string(logits_.size()));
  }
  std::copy(logits_.begin(), logits_.end(), out.begin());
}

}  // namespace sgmv
