#include "addon/report_queue.h"

#include <utility>

#include "addon/convert.h"
#include "engine/step_report.h"

namespace sgmv {
namespace {

constexpr size_t kMaxPending = 64;

}  // namespace

ReportQueue::ReportQueue(Napi::Env env, Napi::Function listener)
    : listener_(Napi::ThreadSafeFunction::New(env, listener, "punica step reports", 0, 1)) {}

ReportQueue::~ReportQueue() { release(); }

void ReportQueue::push(StepReport&& report) {
  const std::lock_guard lock(mutex_);
  if (released_) return;
  if (pending_.size() < kMaxPending) {
    pending_.push_back(std::move(report));
  } else {
    merge(pending_.back(), std::move(report));
  }
  if (scheduled_) return;
  const napi_status status = listener_.NonBlockingCall(
      [self = shared_from_this()](Napi::Env env, Napi::Function listener) {
        self->deliver(env, listener);
      });
  scheduled_ = status == napi_ok;
  // Otherwise JavaScript is going away, which has released the function for us.
  released_ = status == napi_closing;
}

void ReportQueue::release() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(released_, true)) return;
  listener_.Release();
}

void ReportQueue::deliver(Napi::Env env, Napi::Function listener) {
  std::vector<StepReport> reports;
  {
    const std::lock_guard lock(mutex_);
    reports = std::exchange(pending_, {});
    scheduled_ = false;
  }
  listener.Call({reports_to_js(env, std::move(reports))});
}

}  // namespace sgmv
