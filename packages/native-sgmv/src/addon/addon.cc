#include <napi.h>

#include <memory>
#include <string>
#include <utility>

#include "addon/convert.h"
#include "addon/engine_object.h"
#include "addon/report_queue.h"
#include "addon/run_async.h"
#include "addon/session.h"
#include "backend/create_backend.h"
#include "engine/engine.h"

namespace sgmv {
namespace {

struct Created {
  std::shared_ptr<Engine> engine;
  EngineFacts facts;
};

Created create(const CreateOptions& options) {
  std::unique_ptr<Backend> backend;
  std::string why_not_cuda;
  try {
    backend = create_backend(options.backend, &why_not_cuda);
  } catch (const std::exception& error) {
    throw EngineError("backend_unavailable",
                      "No " + options.backend.kind + " backend: " + error.what() + ".");
  }
  EngineFacts facts{.backend = backend->device().kind,
                    .description = backend->describe(),
                    .read_rate = backend->measure_read_rate()};
  if (facts.backend == "cpu" && options.engine.pool_bytes == 0) {
    throw EngineError("invalid_options",
                      "poolBytes is missing, and the CPU computes, as there is "
                      "no GPU: " +
                          why_not_cuda + ".");
  }
  if (!why_not_cuda.empty()) facts.description += " (no GPU: " + why_not_cuda + ")";
  return {create_engine(std::move(backend), options.engine), std::move(facts)};
}

// createEngine(options, listener): a promise of the object of engine_object.h. `listener` is called
// with an array of step reports, oldest first.
Napi::Value create_engine_for_js(const Napi::CallbackInfo& info) {
  auto reports = std::make_shared<ReportQueue>(info.Env(), info[1].As<Napi::Function>());
  return run_async(
      info.Env(),
      [reports, options = options_from_js(info[0].As<Napi::Object>())] {
        Created created = create(options);
        created.engine->on_step(
            [reports](StepReport&& report) { reports->push(std::move(report)); });
        return created;
      },
      [reports](Napi::Env env, Created& created) {
        auto session = std::make_shared<Session>(env, std::move(created.engine), reports);
        return engine_object(env, std::move(session), created.facts);
      });
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  exports.Set("createEngine", Napi::Function::New(env, create_engine_for_js, "createEngine"));
  return exports;
}

NODE_API_MODULE(native_sgmv, init)

}  // namespace
}  // namespace sgmv
