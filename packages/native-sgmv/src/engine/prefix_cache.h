#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/engine.h"
#include "engine/pool.h"

namespace sgmv {

// KV pages that a later request with the same beginning may read instead of computing them again.
//
// A page is known by the tokens in it, the page before it, and, for the first one, the adapter and
// the caller's cache key. Keys are compared whole, never by hash alone: a collision would show one
// tenant the context of another. Only full pages are kept, since nobody writes to those any more.
// Pages without a user stay until space.h reclaims them, the longest unused first.
class PrefixCache {
 public:
  struct Entry {
    int page;
    uint64_t id;  // unique for all time; the key of a following page names it
    AdapterHandle adapter;
    int num_users;
    uint64_t last_used;
    const std::string* key;
    std::list<Entry*>::iterator idle;  // in idle_, while num_users == 0
  };

  // Where a page stands: `parent` is the id of the entry before it, 0 for a first page.
  struct Place {
    uint64_t parent;
    AdapterHandle adapter;
    const std::string& cache_key;
    std::span<const int32_t> tokens;  // of this page
  };

  explicit PrefixCache(Pool& pool) : pool_(pool) {}

  // The entry of a page; null when there is none.
  Entry* find(const Place& place);
  // Takes over `page`, with the caller as its first user. There must be no such entry yet.
  Entry* add(const Place& place, int page);

  void hold(Entry& entry);
  void release(Entry& entry, uint64_t now);

  // Gives the page of an entry without users back to the pool.
  void reclaim(Entry& entry);
  bool reclaim_oldest();
  // Gives up all pages of an adapter that no request holds any more.
  void forget_adapter(AdapterHandle adapter);

  // Entries without users, the longest unused first.
  const std::list<Entry*>& idle() const { return idle_; }

 private:
  Pool& pool_;
  uint64_t next_id_ = 1;
  std::unordered_map<std::string, Entry> entries_;
  std::list<Entry*> idle_;
};

}  // namespace sgmv
