#include "engine/prefill_budget.h"

#include <algorithm>

namespace sgmv {
namespace {

// Budgets are multiples of this many rows.
constexpr int kQuantum = 32;
// Whatever it costs, prompts go on by so many rows a step.
constexpr int kMinRows = 64;
// Weight of a new measurement.
constexpr double kWeight = 0.25;
// What is thought too slow to be tried becomes quicker in thought, so that it is tried again.
constexpr double kForgetting = 0.995;

int quanta(int num_rows) { return (num_rows + kQuantum - 1) / kQuantum; }

}  // namespace

PrefillBudget::PrefillBudget(double target_ms, int max_rows)
    : target_ms_(target_ms), max_rows_(max_rows), extra_ms_(quanta(max_rows) + 1, -1.0) {
  extra_ms_[0] = 0;
}

int PrefillBudget::rows(int num_decode_rows) {
  if (target_ms_ == 0 || num_decode_rows == 0) return max_rows_;
  const int num_quanta = static_cast<int>(extra_ms_.size()) - 1;
  int index = kMinRows / kQuantum;
  while (index < num_quanta && decode_ms_ + predict(index + 1) <= target_ms_) ++index;
  for (int above = index + 1; above <= num_quanta; ++above) extra_ms_[above] *= kForgetting;
  return std::min(max_rows_, index * kQuantum);
}

void PrefillBudget::observe(int num_decode_rows, int num_prefill_rows, double ms) {
  if (target_ms_ == 0 || num_decode_rows == 0) return;
  if (num_prefill_rows == 0) {
    decode_ms_ += decode_ms_ == 0 ? ms : (ms - decode_ms_) * kWeight;
    return;
  }
  // A step is no quicker for what it holds besides.
  decode_ms_ = decode_ms_ == 0 ? ms : std::min(decode_ms_, ms);
  double& known = extra_ms_[std::min(quanta(num_prefill_rows), quanta(max_rows_))];
  const double extra = ms - decode_ms_;
  known = known < 0 ? extra : known + (extra - known) * kWeight;
}

// Linear between what was measured, and beyond it by what a row has cost.
double PrefillBudget::predict(int index) const {
  const int end = static_cast<int>(extra_ms_.size());
  int low = index;
  while (extra_ms_[low] < 0) --low;
  if (low == index) return extra_ms_[index];
  int high = index;
  while (high < end && extra_ms_[high] < 0) ++high;
  if (high == end) return low == 0 ? 0 : extra_ms_[low] * index / low;
  return extra_ms_[low] + (extra_ms_[high] - extra_ms_[low]) * (index - low) / (high - low);
}

}  // namespace sgmv
