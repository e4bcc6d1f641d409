#include "engine/inbox.h"

#include <string>
#include <utility>

namespace sgmv {

void Inbox::submit(std::unique_ptr<Sequence>&& sequence) {
  const RequestId id = sequence->request.id;
  const std::lock_guard lock(mutex_);
  if (mail_.closed) throw EngineError("closed", "The engine is closed.");
  if (lost_) {
    throw EngineError("device_lost", "The engine's device has failed: " + *lost_ +
                                         ". Create another engine, in another process.");
  }
  if (live_.contains(id)) {
    throw EngineError("duplicate_request", "Request " + std::to_string(id) +
                                               " is under way; give every request its own id.");
  }
  if (num_waiting_ >= max_waiting_) {
    throw EngineError("queue_full", std::to_string(num_waiting_) +
                                        " requests wait, which is maxWaiting; try again later.");
  }
  mail_.submitted.push_back(std::move(sequence));
  live_.insert(id);
  ++num_waiting_;
  changed_.notify_one();
}

void Inbox::stop(RequestId id, FinishReason reason) {
  const std::lock_guard lock(mutex_);
  if (!live_.contains(id)) return;
  for (const Stop& stop : mail_.stopped) {
    if (stop.id == id) return;
  }
  mail_.stopped.push_back({id, reason});
  changed_.notify_one();
}

void Inbox::wake() {
  const std::lock_guard lock(mutex_);
  woken_ = true;
  changed_.notify_one();
}

void Inbox::close() {
  const std::lock_guard lock(mutex_);
  mail_.closed = true;
  changed_.notify_one();
}

Inbox::Counts Inbox::counts() const {
  const std::lock_guard lock(mutex_);
  return {.waiting = num_waiting_, .running = static_cast<int>(live_.size()) - num_waiting_};
}

Inbox::Mail Inbox::collect(std::optional<std::chrono::microseconds> max_wait) {
  std::unique_lock lock(mutex_);
  const auto has_mail = [this] {
    return woken_ || mail_.closed || !mail_.submitted.empty() || !mail_.stopped.empty();
  };
  if (max_wait) {
    changed_.wait_for(lock, *max_wait, has_mail);
  } else {
    changed_.wait(lock, has_mail);
  }
  woken_ = false;
  Mail mail = std::move(mail_);
  mail_ = {.submitted = {}, .stopped = {}, .closed = mail.closed};
  return mail;
}

Inbox::Mail Inbox::lose_device(const std::string& why) {
  const std::lock_guard lock(mutex_);
  lost_ = why;
  return std::exchange(mail_, {});
}

void Inbox::admitted() {
  const std::lock_guard lock(mutex_);
  --num_waiting_;
}

void Inbox::ended(RequestId id, bool waiting) {
  const std::lock_guard lock(mutex_);
  live_.erase(id);
  if (waiting) --num_waiting_;
  // A stop that comes too late must not meet a later request of the same id.
  std::erase_if(mail_.stopped, [id](const Stop& stop) { return stop.id == id; });
}

}  // namespace sgmv
