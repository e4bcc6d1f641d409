#pragma once

#include <napi.h>

#include <memory>
#include <mutex>
#include <vector>

#include "engine/engine.h"

namespace sgmv {

// Step reports on their way from the engine's thread to JavaScript. The engine's thread never waits
// for JavaScript: a listener that falls behind is given several reports in one call, and past a
// bound the newest reports are merged into one.
class ReportQueue : public std::enable_shared_from_this<ReportQueue> {
 public:
  // On the JavaScript thread. `listener` is called with an array of reports; it keeps the event
  // loop alive until release().
  ReportQueue(Napi::Env env, Napi::Function listener);
  ReportQueue(const ReportQueue&) = delete;
  ReportQueue& operator=(const ReportQueue&) = delete;
  ~ReportQueue();

  // From the engine's thread, while the queue is held by a shared_ptr.
  void push(StepReport&& report);

  // After the last push(); what is queued is still delivered.
  void release();

 private:
  void deliver(Napi::Env env, Napi::Function listener);

  Napi::ThreadSafeFunction listener_;
  std::mutex mutex_;
  std::vector<StepReport> pending_;
  bool scheduled_ = false;  // a call of deliver() is under way
  bool released_ = false;
};

}  // namespace sgmv
