#pragma once

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "engine/engine.h"
#include "engine/sequence.h"

namespace sgmv {

// What other threads ask of the engine's thread, until it looks between two steps. All of it is
// bounded: submissions by the queue's limit, stops by the requests under way.
class Inbox {
 public:
  struct Stop {
    RequestId id;
    FinishReason reason;
  };
  struct Mail {
    std::vector<std::unique_ptr<Sequence>> submitted;
    std::vector<Stop> stopped;  // of requests submitted now or earlier
    bool closed = false;
  };

  // Requests that are not over: not yet in the batch, and in it.
  struct Counts {
    int waiting;
    int running;
  };

  explicit Inbox(int max_waiting) : max_waiting_(max_waiting) {}

  // ---- from any thread ----

  // Throws EngineError "duplicate_request", "queue_full", "device_lost" or "closed", and then
  // leaves `sequence` alone.
  void submit(std::unique_ptr<Sequence>&& sequence);
  // The first stop of a request counts; unknown ids are ignored.
  void stop(RequestId id, FinishReason reason);
  // Makes the engine's thread look around.
  void wake();
  void close();
  Counts counts() const;

  // ---- from the engine's thread ----

  // Waits for mail, at most for `max_wait` where there is one.
  Mail collect(std::optional<std::chrono::microseconds> max_wait);
  // Takes nothing in from now on, because of `why`; what was submitted before is handed back.
  Mail lose_device(const std::string& why);
  // A request has left the queue for the batch.
  void admitted();
  // A request is over; its id may be used again. `waiting`: it never was in the batch.
  void ended(RequestId id, bool waiting);

 private:
  const int max_waiting_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  Mail mail_;
  int num_waiting_ = 0;
  std::unordered_set<RequestId> live_;
  std::optional<std::string> lost_;  // why the device is lost
};

}  // namespace sgmv
