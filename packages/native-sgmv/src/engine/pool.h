#pragma once

#include <map>
#include <optional>

namespace sgmv {

// Which slots of the backend's pool are taken. KV pages grow from the low end and adapters, which
// need consecutive slots, from the high end, so that what is free tends to stay in one piece.
// It never decides who must make room; see space.h.
class Pool {
 public:
  explicit Pool(int num_slots);

  // The lowest free slot; none when the pool is full.
  std::optional<int> take_page();
  void free_page(int slot);

  // The first of `length` consecutive slots: the high end of the tightest free run that is long
  // enough, of equal ones the highest. None when no run is.
  std::optional<int> take_run(int length);
  void free_run(int first, int length);

  int num_slots() const { return num_slots_; }
  int free_slots() const { return num_slots_ - page_slots_ - run_slots_; }
  int page_slots() const { return page_slots_; }
  int run_slots() const { return run_slots_; }
  // First slot and length of each free run; no two touch.
  const std::map<int, int>& free_runs() const { return free_; }

 private:
  void release(int first, int length);

  int num_slots_;
  int page_slots_ = 0;
  int run_slots_ = 0;
  std::map<int, int> free_;
};

}  // namespace sgmv
