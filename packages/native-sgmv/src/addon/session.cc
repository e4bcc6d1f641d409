#include "addon/session.h"

#include <utility>

namespace sgmv {

Session::Session(Napi::Env env, std::shared_ptr<Engine> engine,
                 std::shared_ptr<ReportQueue> reports)
    : env_(env), engine_(std::move(engine)), reports_(std::move(reports)) {
  // Hooks run from the last added to the first: the engine's thread has ended before the function
  // that it calls is taken down.
  hooked_ = napi_add_env_cleanup_hook(env_, on_environment_end, this) == napi_ok;
}

Session::~Session() {
  if (hooked_) napi_remove_env_cleanup_hook(env_, on_environment_end, this);
  engine_.reset();
  reports_->release();
}

std::shared_ptr<Engine> Session::engine() const {
  if (engine_ == nullptr) throw EngineError("closed", "The engine is closed; create another one.");
  return engine_;
}

std::shared_ptr<Engine> Session::take_engine() { return std::exchange(engine_, nullptr); }

void Session::on_environment_end(void* session) {
  auto* self = static_cast<Session*>(session);
  self->hooked_ = false;
  self->engine_.reset();
}

}  // namespace sgmv
