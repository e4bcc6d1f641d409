#include "engine/kv_cache.h"

#include <span>

namespace sgmv {

void KvCache::reuse(Sequence& sequence) {
  if (sequence.request.cache_key.empty()) return;
  while (sequence.num_computed + page_size_ < sequence.num_tokens()) {
    PrefixCache::Entry* entry = prefixes_.find(next_place(sequence));
    if (entry == nullptr) return;
    prefixes_.hold(*entry);
    sequence.pages.push_back(entry->page);
    sequence.entries.push_back(entry);
    sequence.prefix_id = entry->id;
    sequence.num_computed += page_size_;
  }
}

void KvCache::share(Sequence& sequence) {
  if (sequence.request.cache_key.empty()) return;
  while (static_cast<int>(sequence.entries.size()) < sequence.num_computed / page_size_) {
    const PrefixCache::Place place = next_place(sequence);
    const PrefixCache::Entry* present = prefixes_.find(place);
    if (present != nullptr) {
      sequence.entries.push_back(nullptr);
      sequence.prefix_id = present->id;
      continue;
    }
    PrefixCache::Entry* added = prefixes_.add(place, sequence.pages[sequence.entries.size()]);
    sequence.entries.push_back(added);
    sequence.prefix_id = added->id;
  }
}

int KvCache::missing_pages(const Sequence& sequence) const {
  return pages_for(sequence.num_tokens(), page_size_) - static_cast<int>(sequence.pages.size());
}

void KvCache::release(Sequence& sequence, uint64_t now) {
  // From the last page to the first, so that a prefix outlives what follows it.
  while (!sequence.pages.empty()) {
    const int page = sequence.pages.back();
    sequence.pages.pop_back();
    PrefixCache::Entry* entry = nullptr;
    if (sequence.entries.size() > sequence.pages.size()) {
      entry = sequence.entries.back();
      sequence.entries.pop_back();
    }
    if (entry == nullptr) {
      pool_.free_page(page);
    } else {
      prefixes_.release(*entry, now);
    }
  }
  sequence.num_computed = 0;
  sequence.prefix_id = 0;
}

PrefixCache::Place KvCache::next_place(const Sequence& sequence) const {
  const Request& request = sequence.request;
  const size_t first = sequence.entries.size() * page_size_;
  return {.parent = sequence.prefix_id,
          .adapter = request.adapter,
          .cache_key = request.cache_key,
          .tokens = std::span(request.tokens).subspan(first, page_size_)};
}

}  // namespace sgmv
