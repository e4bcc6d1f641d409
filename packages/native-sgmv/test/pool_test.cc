// Pages take the lowest free slots, adapters the tightest run at the high end, and freed slots
// become one run again whatever the order.
#include "engine/pool.h"

#include <map>
#include <random>
#include <vector>

#include "check.h"

using sgmv::Pool;

static void pages_grow_from_the_low_end_and_runs_from_the_high_end() {
  Pool pool(10);
  CHECK(pool.take_page() == 0);
  CHECK(pool.take_page() == 1);
  CHECK(pool.take_run(3) == 7);
  CHECK(pool.take_run(2) == 5);
  CHECK(pool.free_slots() == 3 && pool.page_slots() == 2 && pool.run_slots() == 5);
  pool.free_page(0);
  CHECK(pool.take_page() == 0);
}

static void a_run_takes_the_tightest_fit() {
  Pool pool(10);
  const int high = pool.take_run(3).value();
  const int low = pool.take_run(2).value();
  CHECK(high == 7 && low == 5);
  CHECK(pool.take_run(1) == 4);
  pool.free_run(low, 2);
  CHECK(pool.take_run(2) == 5);  // not 2 and 3, of the four slots that are free below
}

static void what_does_not_fit_is_refused() {
  Pool pool(3);
  CHECK(!pool.take_run(4));
  CHECK(pool.take_run(3) == 0);
  CHECK(!pool.take_page() && !pool.take_run(1));
  pool.free_run(0, 3);
  CHECK(pool.free_slots() == 3);
}

static void free_slots_always_merge() {
  std::mt19937 random(7);
  Pool pool(64);
  std::vector<int> pages;
  std::map<int, int> runs;
  for (int i = 0; i < 20000; ++i) {
    const unsigned choice = random() % 4;
    if (choice == 0) {
      if (const auto page = pool.take_page()) pages.push_back(*page);
    } else if (choice == 1) {
      const int length = 1 + static_cast<int>(random() % 6);
      if (const auto run = pool.take_run(length)) runs.emplace(*run, length);
    } else if (choice == 2 && !pages.empty()) {
      std::swap(pages[random() % pages.size()], pages.back());
      pool.free_page(pages.back());
      pages.pop_back();
    } else if (!runs.empty()) {
      pool.free_run(runs.begin()->first, runs.begin()->second);
      runs.erase(runs.begin());
    }
    std::vector<bool> taken(64);
    const auto take = [&taken](int slot) {
      CHECK(!taken.at(slot));
      taken[slot] = true;
    };
    for (const int page : pages) take(page);
    for (const auto& [first, length] : runs) {
      for (int slot = first; slot < first + length; ++slot) take(slot);
    }
    int previous_end = -1;
    for (const auto& [first, length] : pool.free_runs()) {
      CHECK(first > previous_end);  // a gap: touching runs are one
      for (int slot = first; slot < first + length; ++slot) take(slot);
      previous_end = first + length;
    }
    CHECK(taken == std::vector<bool>(64, true));
  }
}

int main() {
  pages_grow_from_the_low_end_and_runs_from_the_high_end();
  a_run_takes_the_tightest_fit();
  what_does_not_fit_is_refused();
  free_slots_always_merge();
}
