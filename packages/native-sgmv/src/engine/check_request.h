#pragma once

#include "engine/engine.h"

namespace sgmv {

// Throws EngineError "invalid_request" naming the field, as lib/types.ts spells it, and its limit.
void check_request(const Request& request, const ModelConfig& config);

// Throws EngineError "request_too_large" when the request could run out of KV pages even with the
// pool to itself and its adapter, which takes `adapter_slots`.
void check_fits(const Request& request, const ModelConfig& config, int num_slots, int adapter_slots,
                int page_size);

}  // namespace sgmv
