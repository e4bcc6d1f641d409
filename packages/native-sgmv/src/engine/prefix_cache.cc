#include "engine/prefix_cache.h"

#include <utility>

namespace sgmv {
namespace {

// Fields of fixed size come first and the cache key last, so no two places have the same bytes.
std::string key_of(const PrefixCache::Place& place) {
  std::string key;
  const auto append = [&key](const void* data, size_t size) {
    key.append(static_cast<const char*>(data), size);
  };
  append(&place.parent, sizeof(place.parent));
  append(place.tokens.data(), place.tokens.size_bytes());
  if (place.parent == 0) {
    append(&place.adapter, sizeof(place.adapter));
    key += place.cache_key;
  }
  return key;
}

}  // namespace

PrefixCache::Entry* PrefixCache::find(const Place& place) {
  const auto found = entries_.find(key_of(place));
  return found == entries_.end() ? nullptr : &found->second;
}

PrefixCache::Entry* PrefixCache::add(const Place& place, int page) {
  const Entry entry{.page = page,
                    .id = next_id_++,
                    .adapter = place.adapter,
                    .num_users = 1,
                    .last_used = 0,
                    .key = nullptr,
                    .idle = idle_.end()};
  const auto it = entries_.emplace(key_of(place), entry).first;
  it->second.key = &it->first;
  return &it->second;
}

void PrefixCache::hold(Entry& entry) {
  if (entry.num_users++ == 0) idle_.erase(entry.idle);
}

void PrefixCache::release(Entry& entry, uint64_t now) {
  if (--entry.num_users > 0) return;
  entry.last_used = now;
  entry.idle = idle_.insert(idle_.end(), &entry);
}

void PrefixCache::reclaim(Entry& entry) {
  pool_.free_page(entry.page);
  idle_.erase(entry.idle);
  entries_.erase(entries_.find(*entry.key));
}

bool PrefixCache::reclaim_oldest() {
  if (idle_.empty()) return false;
  reclaim(*idle_.front());
  return true;
}

void PrefixCache::forget_adapter(AdapterHandle adapter) {
  for (auto it = idle_.begin(); it != idle_.end();) {
    Entry& entry = **it++;
    if (entry.adapter == adapter) reclaim(entry);
  }
}

}  // namespace sgmv
