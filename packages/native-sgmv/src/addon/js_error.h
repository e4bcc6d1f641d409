#pragma once

#include <napi.h>

#include <exception>
#include <string>

#include "engine/engine.h"

namespace sgmv {

// A JavaScript Error whose `code` is one of lib/errors.ts; lib makes an EngineError of it.
Napi::Error js_error(Napi::Env env, const std::string& code, const std::string& message);

// Runs `body`; what the engine throws becomes a JavaScript exception.
template <typename Body>
auto with_js_errors(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const EngineError& error) {
    throw js_error(env, error.code, error.what());
  }
}

}  // namespace sgmv
