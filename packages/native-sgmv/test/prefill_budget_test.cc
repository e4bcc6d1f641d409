// Rows of prompts beside decode rows. bench/scheduler/prefill-budget.test.ts has the same scenario
// and the same numbers, so that the simulator's copy cannot drift away.
#include "engine/prefill_budget.h"

#include <vector>

#include "check.h"

using namespace sgmv;

namespace {

// A step as on a GPU: rows cost nothing up to a point, and then in proportion.
double step_ms(double decode_ms, int num_prefill_rows) {
  return decode_ms + (num_prefill_rows <= 200 ? 0 : 0.02 * (num_prefill_rows - 200));
}

// Budgets of steps in which a prompt takes all that it may have, after one without any.
std::vector<int> budgets_of(PrefillBudget& budget, double decode_ms, int num_steps) {
  std::vector<int> budgets;
  for (int i = 0; i < 20; ++i) budget.observe(8, 0, decode_ms);
  for (int i = 0; i < num_steps; ++i) {
    budgets.push_back(budget.rows(8));
    budget.observe(8, budgets.back(), step_ms(decode_ms, budgets.back()));
  }
  return budgets;
}

void fills_a_step_up_to_its_target() {
  PrefillBudget budget(10, 512);
  // All is tried once; from what that cost, and what little costs, it finds the most that fits.
  CHECK((budgets_of(budget, 8, 6) == std::vector<int>{512, 160, 256, 288, 288, 288}));
  // 288 rows take 9.76 ms, 320 would take 10.4.
  CHECK((budgets_of(budget, 9, 3) == std::vector<int>{224, 224, 224}));
  CHECK((budgets_of(budget, 20, 2) == std::vector<int>{64, 64}));
}

void holds_up_nobody_where_nobody_decodes() {
  PrefillBudget budget(10, 500);
  budgets_of(budget, 20, 2);
  CHECK(budget.rows(0) == 500);
  PrefillBudget none(0, 500);
  none.observe(8, 500, 1e6);
  CHECK(none.rows(8) == 500);
  PrefillBudget tiny(10, 5);
  CHECK(tiny.rows(3) == 5);
}

void tries_again_what_was_slow_once() {
  PrefillBudget budget(10, 512);
  for (int i = 0; i < 20; ++i) budget.observe(8, 0, 8);
  budget.observe(8, 512, 1000);
  CHECK(budget.rows(8) == 64);
  int rows = 0;
  for (int i = 0; i < 2000 && rows < 288; ++i) {
    rows = budget.rows(8);
    budget.observe(8, rows, step_ms(8, rows));
  }
  CHECK(rows >= 288);
}

}  // namespace

int main() {
  fills_a_step_up_to_its_target();
  holds_up_nobody_where_nobody_decodes();
  tries_again_what_was_slow_once();
}
