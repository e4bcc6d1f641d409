#include "backend/cpu/copy_thread.h"

#include <utility>

namespace sgmv {

CopyThread::~CopyThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void CopyThread::post(std::function<void()> copy) {
  {
    const std::lock_guard lock(mutex_);
    queue_.push_back(std::move(copy));
  }
  changed_.notify_one();
}

void CopyThread::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    const std::function<void()> copy = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    copy();
    lock.lock();
  }
}

}  // namespace sgmv
