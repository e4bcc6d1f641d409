#include "engine/pool.h"

#include <iterator>

namespace sgmv {

Pool::Pool(int num_slots) : num_slots_(num_slots) {
  if (num_slots > 0) free_.emplace(0, num_slots);
}

std::optional<int> Pool::take_page() {
  if (free_.empty()) return std::nullopt;
  const auto [first, length] = *free_.begin();
  free_.erase(free_.begin());
  if (length > 1) free_.emplace(first + 1, length - 1);
  ++page_slots_;
  return first;
}

void Pool::free_page(int slot) {
  release(slot, 1);
  --page_slots_;
}

std::optional<int> Pool::take_run(int length) {
  auto best = free_.end();
  for (auto run = free_.begin(); run != free_.end(); ++run) {
    if (run->second < length) continue;
    if (best == free_.end() || run->second <= best->second) best = run;
  }
  if (best == free_.end()) return std::nullopt;
  best->second -= length;
  const int first = best->first + best->second;
  if (best->second == 0) free_.erase(best);
  run_slots_ += length;
  return first;
}

void Pool::free_run(int first, int length) {
  release(first, length);
  run_slots_ -= length;
}

void Pool::release(int first, int length) {
  const auto next = free_.upper_bound(first);
  if (next != free_.end() && first + length == next->first) {
    length += next->second;
    free_.erase(next);
  }
  const auto after = free_.upper_bound(first);
  if (after != free_.begin()) {
    const auto before = std::prev(after);
    if (before->first + before->second == first) {
      before->second += length;
      return;
    }
  }
  free_.emplace(first, length);
}

}  // namespace sgmv
