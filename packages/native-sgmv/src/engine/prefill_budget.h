#pragma once

#include <vector>

namespace sgmv {

// How many rows of prompts may run beside decode rows, so that a step takes no longer than its
// target. It learns from the steps that were: how long one of decode rows alone takes, and what so
// many rows of prompts have added to it. bench/scheduler/prefill-budget.ts is the same in simulated
// time; a change here is a change there.
class PrefillBudget {
 public:
  // `target_ms` 0: there is no target, and a prompt may have all rows.
  PrefillBudget(double target_ms, int max_rows);

  // For a step with so many decode rows. Without any there is nobody to hold up.
  int rows(int num_decode_rows);

  // What came of a step.
  void observe(int num_decode_rows, int num_prefill_rows, double ms);

 private:
  double predict(int index) const;

  const double target_ms_;
  const int max_rows_;
  double decode_ms_ = 0;
  // What prompts of so many quanta of rows have added to a step, in ms; negative: never measured.
  std::vector<double> extra_ms_;
};

}  // namespace sgmv
