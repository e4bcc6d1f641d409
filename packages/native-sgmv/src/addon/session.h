#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "addon/report_queue.h"
#include "engine/engine.h"

namespace sgmv {

// An engine as one JavaScript environment holds it: until close(), or until the environment ends.
// Belongs to the JavaScript thread.
class Session {
 public:
  Session(Napi::Env env, std::shared_ptr<Engine> engine, std::shared_ptr<ReportQueue> reports);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();

  // Throws EngineError "closed".
  std::shared_ptr<Engine> engine() const;

  // Gives the engine away: it stops when the last of its holders lets go. Null if it is closed.
  std::shared_ptr<Engine> take_engine();
  // After the engine has stopped.
  void release_reports() { reports_->release(); }

 private:
  static void on_environment_end(void* session);

  const napi_env env_;
  std::shared_ptr<Engine> engine_;
  std::shared_ptr<ReportQueue> reports_;
  bool hooked_;
};

}  // namespace sgmv
