#include "engine/space.h"

#include <algorithm>
#include <deque>

namespace sgmv {

int Space::available(Pins pins) {
  int slots = pool_.free_slots() + static_cast<int>(prefixes_.idle().size());
  for (const auto* resident : idle_adapters(pins)) slots += resident->adapter->num_slots;
  return slots;
}

std::optional<int> Space::take_page(Pins pins) {
  if (const auto page = pool_.take_page()) return page;
  if (prefixes_.reclaim_oldest()) return pool_.take_page();
  const auto idle = idle_adapters(pins);
  // Pinned ones are only there for Pins::kBreak, and go last.
  const auto oldest = std::ranges::min_element(idle, {}, [](const auto* resident) {
    return std::pair(resident->adapter->pinned.load(), resident->last_used);
  });
  if (oldest == idle.end()) return std::nullopt;
  residents_.give_up(**oldest);
  return pool_.take_page();
}

std::optional<int> Space::take_run(int length, Pins pins) {
  if (const auto run = pool_.take_run(length)) return run;

  std::vector<uint64_t> last_used(pool_.num_slots(), kInUse);
  for (const auto& [first, free_length] : pool_.free_runs()) {
    std::fill_n(last_used.begin() + first, free_length, 0);
  }
  for (const auto* entry : prefixes_.idle()) last_used[entry->page] = entry->last_used;
  for (const auto* resident : idle_adapters(pins)) {
    std::fill(last_used.begin() + resident->first_slot, last_used.begin() + resident->end_slot(),
              resident->last_used);
  }
  const auto first = oldest_run(last_used, length);
  if (!first) return std::nullopt;
  clear(*first, *first + length, pins);
  return pool_.take_run(length);
}

std::vector<ResidentAdapters::Resident*> Space::idle_adapters(Pins pins) {
  auto idle = residents_.idle();
  if (pins == Pins::kKeep) {
    std::erase_if(idle, [](const auto* resident) { return resident->adapter->pinned.load(); });
  }
  return idle;
}

void Space::clear(int first_slot, int end_slot, Pins pins) {
  const auto& pages = prefixes_.idle();
  for (auto it = pages.begin(); it != pages.end();) {
    PrefixCache::Entry& entry = **it++;
    if (entry.page >= first_slot && entry.page < end_slot) prefixes_.reclaim(entry);
  }
  for (auto* resident : idle_adapters(pins)) {
    if (resident->first_slot < end_slot && resident->end_slot() > first_slot) {
      residents_.give_up(*resident);
    }
  }
}

std::optional<int> oldest_run(std::span<const uint64_t> last_used, int length) {
  std::deque<int> newest;  // slots of the window, each used longer ago than those before it
  std::optional<int> best;
  uint64_t best_mark = kInUse;
  for (int slot = 0; slot < static_cast<int>(last_used.size()); ++slot) {
    while (!newest.empty() && last_used[newest.back()] <= last_used[slot]) newest.pop_back();
    newest.push_back(slot);
    const int first = slot - length + 1;
    if (newest.front() < first) newest.pop_front();
    const uint64_t mark = last_used[newest.front()];
    if (first < 0 || mark == kInUse || mark > best_mark) continue;
    best = first;
    best_mark = mark;
  }
  return best;
}

}  // namespace sgmv
