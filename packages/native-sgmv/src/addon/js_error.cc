#include "addon/js_error.h"

namespace sgmv {

Napi::Error js_error(Napi::Env env, const std::string& code, const std::string& message) {
  Napi::Error error = Napi::Error::New(env, message);
  if (!code.empty()) error.Set("code", code);
  return error;
}

}  // namespace sgmv
