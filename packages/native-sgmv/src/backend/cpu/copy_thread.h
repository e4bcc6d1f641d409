#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace sgmv {

// A thread that brings adapters into the pool one after the other, so that no step waits for it.
class CopyThread {
 public:
  CopyThread() : thread_([this] { work(); }) {}
  ~CopyThread();  // Does what is queued first.
  CopyThread(const CopyThread&) = delete;
  CopyThread& operator=(const CopyThread&) = delete;

  // `copy` must not throw.
  void post(std::function<void()> copy);

 private:
  void work();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace sgmv
