// ThreadPool: every task once, tasks seen as finished by the caller, exceptions handed on, and use
// again after each; jobs in quick succession and after a sleep.
#include "backend/cpu/thread_pool.h"

#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"

using namespace sgmv;

namespace {

void run_and_check(ThreadPool& pool, int num_tasks) {
  std::vector<int> counts(num_tasks);  // Not atomic: run() orders its tasks before its return.
  pool.run(num_tasks, [&](int index, int thread) {
    CHECK(thread >= 0 && thread < pool.num_threads());
    ++counts[index];
  });
  for (const int count : counts) CHECK(count == 1);
}

void test_every_task_once() {
  for (const int num_threads : {1, 2, 5}) {
    ThreadPool pool(num_threads);
    CHECK(pool.num_threads() == num_threads);
    for (int i = 0; i < 3000; ++i) run_and_check(pool, i % 17);
  }
}

void test_sleeping_workers_wake_up() {
  ThreadPool pool(3);
  for (int i = 0; i < 20; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    // Two tasks that wait for each other end only if a worker wakes.
    std::atomic<int> num_started{0};
    pool.run(2, [&](int, int) {
      ++num_started;
      while (num_started.load() < 2) std::this_thread::yield();
    });
  }
}

void test_exception_is_rethrown() {
  ThreadPool pool(3);
  for (int i = 0; i < 200; ++i) {
    std::string message;
    try {
      pool.run(50, [&](int index, int) {
        if (index == i % 50) throw std::runtime_error("task failed");
      });
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    CHECK(message == "task failed");
    run_and_check(pool, 10);
  }
}

}  // namespace

int main() {
  test_every_task_once();
  test_sleeping_workers_wake_up();
  test_exception_is_rethrown();
}
