#pragma once

#include <napi.h>

#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "addon/js_error.h"

namespace sgmv {

// Runs `work` on a worker thread and settles the returned promise with `to_js(env, result)`.
// An exception thrown by `work` rejects the promise, with the code of an EngineError. Every
// asynchronous method of the addon is one call of this, so threads and promises meet here alone.
template <typename Work, typename ToJs>
Napi::Promise run_async(Napi::Env env, Work work, ToJs to_js) {
  class Worker final : public Napi::AsyncWorker {
   public:
    Worker(Napi::Env env, Work work, ToJs to_js)
        : Napi::AsyncWorker(env),
          deferred_(Napi::Promise::Deferred::New(env)),
          work_(std::move(work)),
          to_js_(std::move(to_js)) {}

    Napi::Promise promise() const { return deferred_.Promise(); }

    void Execute() override {
      try {
        result_.emplace(work_());
      } catch (const EngineError& error) {
        code_ = error.code;
        SetError(error.what());
      } catch (const std::exception& error) {
        SetError(error.what());
      }
    }

    void OnOK() override { deferred_.Resolve(to_js_(Env(), *result_)); }

    void OnError(const Napi::Error& error) override {
      deferred_.Reject(js_error(Env(), code_, error.Message()).Value());
    }

   private:
    Napi::Promise::Deferred deferred_;
    Work work_;
    ToJs to_js_;
    std::optional<decltype(std::declval<Work>()())> result_;
    std::string code_;
  };

  auto* worker = new Worker(env, std::move(work), std::move(to_js));  // Deletes itself when done.
  worker->Queue();
  return worker->promise();
}

}  // namespace sgmv
