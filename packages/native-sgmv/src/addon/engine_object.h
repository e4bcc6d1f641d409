#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "addon/session.h"

namespace sgmv {

// The object that lib/native.ts calls NativeEngine: functions over a session that they share.
Napi::Object engine_object(Napi::Env env, std::shared_ptr<Session> session,
                           const std::string& description);

}  // namespace sgmv
