#pragma once

#include <napi.h>

#include <memory>
#include <string>

#include "addon/session.h"

namespace sgmv {

// What an engine says of itself for good.
struct EngineFacts {
  std::string backend;  // "cpu" or "cuda"
  std::string description;
  double read_rate;  // of the device's memory, bytes a second; 0: not known
};

// The object that lib/native.ts calls NativeEngine: functions over a session that they share.
Napi::Object engine_object(Napi::Env env, std::shared_ptr<Session> session,
                           const EngineFacts& facts);

}  // namespace sgmv
