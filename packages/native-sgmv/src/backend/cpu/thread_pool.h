#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

namespace sgmv {

// Threads that run the independent tasks of one operation. The calling thread takes part, and takes
// every task that no worker has claimed, so a worker that the system does not run delays nothing.
// Idle workers spin for some microseconds, the distance between two operations, and then sleep.
class ThreadPool {
 public:
  explicit ThreadPool(int num_threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Counting the caller, which is thread 0.
  int num_threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls task(index, thread) once for each index of [0, num_tasks), in no order, and returns when
  // all calls have. Rethrows the first exception; tasks not begun by then are dropped. One call at
  // a time.
  template <typename Task>
  void run(int num_tasks, const Task& task) {
    if (num_tasks <= 1 || workers_.empty()) {
      for (int i = 0; i < num_tasks; ++i) task(i, 0);
      return;
    }
    run_job({[](const void* context, int index, int thread) {
               (*static_cast<const Task*>(context))(index, thread);
             },
             &task, num_tasks});
  }

 private:
  struct Job {
    void (*call)(const void* context, int index, int thread) = nullptr;
    const void* context = nullptr;
    int num_tasks = 0;
  };

  void run_job(const Job& job);
  void run_tasks(int thread);
  void work(int thread);
  bool join(uint64_t& last_job);
  void leave();
  void wait_for_job(uint64_t last_job);
  void wait_for_workers();

  // The number of the current job, whether workers may still join it, and how many are in it.
  // `job_` changes only while this says closed and empty, so whoever has joined may read it.
  std::atomic<uint64_t> state_{0};
  Job job_;
  std::atomic<int> next_task_{0};
  std::exception_ptr error_;

  std::mutex mutex_;  // Guards sleeping, and error_.
  std::condition_variable job_posted_;
  std::condition_variable workers_left_;
  std::atomic<int> num_sleeping_{0};
  std::atomic<bool> caller_sleeping_{false};
  std::atomic<bool> stopping_{false};
  std::vector<std::thread> workers_;
};

}  // namespace sgmv
