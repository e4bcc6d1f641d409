#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/host_adapters.h"
#include "engine/prefix_cache.h"
#include "engine/resident_adapters.h"
#include "grammar/constraint.h"

namespace sgmv {

// A request under way and the pages of its KV cache.
struct Sequence {
  Request request;     // request.tokens grows as tokens are generated
  AdapterRef adapter;  // null for the base model
  std::optional<Constraint> constraint;
  bool admitted = false;  // has left the queue for the batch
  bool ended = false;     // and reported as such
  // The adapter's copy in the pool, while the sequence is in the batch.
  ResidentAdapters::Resident* resident = nullptr;

  std::vector<int32_t> pages;  // of the pool, in order of position
  int num_computed = 0;        // tokens whose K and V are in the pages

  // For the first pages, all full: the prefix cache's entry, or null where an equal page was there
  // already and this one stays the sequence's own.
  std::vector<PrefixCache::Entry*> entries;
  uint64_t prefix_id = 0;  // of the entry that stands for the last of those pages

  int num_tokens() const { return static_cast<int>(request.tokens.size()); }
  int num_uncomputed() const { return num_tokens() - num_computed; }
  int num_generated() const { return num_tokens() - request.num_prompt_tokens; }
  std::span<const int32_t> generated() const {
    return std::span(request.tokens).subspan(request.num_prompt_tokens);
  }
  bool ready() const { return adapter == nullptr || (resident != nullptr && resident->ready); }
};

constexpr int pages_for(int num_tokens, int page_size) {
  return (num_tokens + page_size - 1) / page_size;
}

}  // namespace sgmv
