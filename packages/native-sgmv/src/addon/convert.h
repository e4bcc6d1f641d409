#pragma once

#include <napi.h>

#include <string>
#include <vector>

#include "backend/create_backend.h"
#include "engine/engine.h"

namespace sgmv {

// The shapes of lib/native.ts, whose caller has checked them: every field is there and of its type.

struct CreateOptions {
  BackendOptions backend;
  EngineOptions engine;
};

CreateOptions options_from_js(Napi::Object options);
Request request_from_js(Napi::Object request);
// Throws EngineError "adapter_invalid" naming a module that does not exist.
std::vector<Module> modules_from_js(Napi::Array names);

Napi::Value model_to_js(Napi::Env env, const ModelConfig& config);
Napi::Value stats_to_js(Napi::Env env, const EngineStats& stats);
Napi::Value reports_to_js(Napi::Env env, std::vector<StepReport>&& reports);

}  // namespace sgmv
