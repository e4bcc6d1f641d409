#pragma once

#include <cstdint>

#include "engine/pool.h"
#include "engine/prefix_cache.h"
#include "engine/sequence.h"

namespace sgmv {

// The pages of one sequence at a time: which it shares with others, and which are its own.
class KvCache {
 public:
  KvCache(Pool& pool, PrefixCache& prefixes, int page_size)
      : pool_(pool), prefixes_(prefixes), page_size_(page_size) {}

  // Gives a sequence without pages those of the prefix cache that begin as it does, but never all
  // of its tokens: the last one must run for there to be logits.
  void reuse(Sequence& sequence);

  // Offers the pages that have become full to the prefix cache.
  void share(Sequence& sequence);

  // Pages that `sequence` still lacks for the tokens it has.
  int missing_pages(const Sequence& sequence) const;

  // Takes all pages from the sequence, which then has nothing computed.
  void release(Sequence& sequence, uint64_t now);

 private:
  PrefixCache::Place next_place(const Sequence& sequence) const;

  Pool& pool_;
  PrefixCache& prefixes_;
  int page_size_;
};

}  // namespace sgmv
