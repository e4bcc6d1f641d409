#include "backend/cpu/thread_pool.h"

#include <utility>

namespace sgmv {
namespace {

// state_ is (job number << 32) | kOpen | (workers in the job).
constexpr uint64_t kOpen = uint64_t{1} << 31;
constexpr uint64_t kActiveMask = kOpen - 1;
constexpr int kJobShift = 32;

// About 20 microseconds: longer than an operation that one thread does alone, shorter than what a
// sleep and a wake-up cost together.
constexpr int kMaxSpins = 1000;

void pause_thread() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

template <typename Condition>
bool spin_until(const Condition& condition) {
  for (int i = 0; i < kMaxSpins; ++i) {
    if (condition()) return true;
    pause_thread();
  }
  return false;
}

}  // namespace

ThreadPool::ThreadPool(int num_threads) {
  workers_.reserve(num_threads - 1);
  for (int i = 1; i < num_threads; ++i) workers_.emplace_back([this, i] { work(i); });
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  job_posted_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::run_job(const Job& job) {
  job_ = job;
  next_task_.store(0, std::memory_order_relaxed);
  const uint64_t number = (state_.load(std::memory_order_relaxed) >> kJobShift) + 1;
  state_.store(number << kJobShift | kOpen);
  if (num_sleeping_.load() > 0) {
    { const std::lock_guard lock(mutex_); }  // A worker between its last look and its wait.
    job_posted_.notify_all();
  }
  run_tasks(0);
  state_.fetch_and(~kOpen);
  wait_for_workers();
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::run_tasks(int thread) {
  try {
    for (;;) {
      const int index = next_task_.fetch_add(1, std::memory_order_relaxed);
      if (index >= job_.num_tasks) return;
      job_.call(job_.context, index, thread);
    }
  } catch (...) {
    next_task_.store(job_.num_tasks, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    if (!error_) error_ = std::current_exception();
  }
}

void ThreadPool::work(int thread) {
  uint64_t last_job = 0;
  while (!stopping_.load()) {
    if (join(last_job)) {
      run_tasks(thread);
      leave();
    } else {
      wait_for_job(last_job);
    }
  }
}

// Enters the current job if it is open and not the one this worker was in last.
bool ThreadPool::join(uint64_t& last_job) {
  uint64_t state = state_.load();
  while ((state & kOpen) != 0 && state >> kJobShift != last_job) {
    if (state_.compare_exchange_weak(state, state + 1)) {
      last_job = state >> kJobShift;
      return true;
    }
  }
  return false;
}

void ThreadPool::leave() {
  state_.fetch_sub(1);
  if (!caller_sleeping_.load()) return;
  { const std::lock_guard lock(mutex_); }  // The caller between its last look and its wait.
  workers_left_.notify_one();
}

void ThreadPool::wait_for_job(uint64_t last_job) {
  const auto something_to_do = [&] {
    const uint64_t state = state_.load();
    return stopping_.load() || ((state & kOpen) != 0 && state >> kJobShift != last_job);
  };
  if (spin_until(something_to_do)) return;
  std::unique_lock lock(mutex_);
  num_sleeping_.fetch_add(1);
  job_posted_.wait(lock, something_to_do);
  num_sleeping_.fetch_sub(1);
}

void ThreadPool::wait_for_workers() {
  const auto all_left = [&] { return (state_.load() & kActiveMask) == 0; };
  if (spin_until(all_left)) return;
  std::unique_lock lock(mutex_);
  caller_sleeping_.store(true);
  workers_left_.wait(lock, all_left);
  caller_sleeping_.store(false);
}

}  // namespace sgmv
