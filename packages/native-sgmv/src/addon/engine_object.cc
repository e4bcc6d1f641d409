#include "addon/engine_object.h"

#include <utility>
#include <vector>

#include "addon/convert.h"
#include "addon/js_error.h"
#include "addon/run_async.h"

namespace sgmv {
namespace {

using Info = Napi::CallbackInfo;

template <typename Method>
void add_method(Napi::Object object, const char* name, Method method) {
  object.Set(name, Napi::Function::New(
                       object.Env(),
                       [method = std::move(method)](const Info& info) -> Napi::Value {
                         return with_js_errors(info.Env(), [&] { return method(info); });
                       },
                       name));
}

RequestId id_of(const Info& info) {
  return static_cast<RequestId>(info[0].As<Napi::Number>().Int64Value());
}

AdapterHandle handle_of(const Info& info) { return info[0].As<Napi::Number>().Uint32Value(); }

Napi::Value handle_to_js(Napi::Env env, AdapterHandle handle) {
  return Napi::Number::New(env, handle);
}

void add_requests(Napi::Object object, const std::shared_ptr<Session>& session) {
  add_method(object, "submit", [session](const Info& info) {
    session->engine()->submit(request_from_js(info[0].As<Napi::Object>()));
    return info.Env().Undefined();
  });
  add_method(object, "cancel", [session](const Info& info) {
    session->engine()->cancel(id_of(info));
    return info.Env().Undefined();
  });
  add_method(object, "evict", [session](const Info& info) {
    session->engine()->evict(id_of(info));
    return info.Env().Undefined();
  });
}

void add_adapters(Napi::Object object, const std::shared_ptr<Session>& session) {
  add_method(object, "loadAdapter", [session](const Info& info) {
    return run_async(
        info.Env(),
        [engine = session->engine(), folder = info[0].As<Napi::String>().Utf8Value()] {
          return engine->load_adapter(folder);
        },
        handle_to_js);
  });
  add_method(object, "loadRandomAdapter", [session](const Info& info) {
    const AdapterHandle handle = session->engine()->load_random_adapter(
        info[0].As<Napi::Number>().Int32Value(), modules_from_js(info[1].As<Napi::Array>()),
        static_cast<uint64_t>(info[2].As<Napi::Number>().Int64Value()));
    return handle_to_js(info.Env(), handle);
  });
  add_method(object, "unloadAdapter", [session](const Info& info) {
    session->engine()->unload_adapter(handle_of(info));
    return info.Env().Undefined();
  });
  add_method(object, "pinAdapter", [session](const Info& info) {
    session->engine()->pin_adapter(handle_of(info), info[1].As<Napi::Boolean>());
    return info.Env().Undefined();
  });
}

Napi::Value close(const Info& info, const std::shared_ptr<Session>& session) {
  return run_async(
      info.Env(),
      [engine = session->take_engine()]() mutable {
        engine.reset();  // Waits for the step under way.
        return true;
      },
      [session](Napi::Env env, bool) {
        session->release_reports();
        return env.Undefined();
      });
}

}  // namespace

Napi::Object engine_object(Napi::Env env, std::shared_ptr<Session> session,
                           const EngineFacts& facts) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("backend", facts.backend);
  object.Set("description", facts.description);
  object.Set("readBytesPerSecond", facts.read_rate);
  object.Set("weightBytes", static_cast<double>(session->engine()->weight_bytes()));
  object.Set("model", model_to_js(env, session->engine()->config()));
  add_requests(object, session);
  add_adapters(object, session);
  add_method(object, "stats", [session](const Info& info) {
    return stats_to_js(info.Env(), session->engine()->stats());
  });
  add_method(object, "close", [session](const Info& info) { return close(info, session); });
  return object;
}

}  // namespace sgmv
