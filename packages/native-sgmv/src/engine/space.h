#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/pool.h"
#include "engine/prefix_cache.h"
#include "engine/resident_adapters.h"

namespace sgmv {

// Whether adapters that are pinned but not in use may be given up. They may when nothing else could
// ever let the request at hand run.
enum class Pins : uint8_t { kKeep, kBreak };

// Slots for what must have them, at the cost of what is only kept for later: pages of the prefix
// cache and adapters without a user. Never takes anything from a running request.
class Space {
 public:
  Space(Pool& pool, PrefixCache& prefixes, ResidentAdapters& residents)
      : pool_(pool), prefixes_(prefixes), residents_(residents) {}

  // Slots that are free or would be by giving up everything that may be.
  int available(Pins pins);

  // A KV page: a free one, else the longest unused page of the prefix cache, else one of the
  // longest unused adapter. None when requests hold everything.
  std::optional<int> take_page(Pins pins);

  // `length` consecutive slots: a free run, else the run whose most recently used content has been
  // unused for the longest time.
  std::optional<int> take_run(int length, Pins pins);

 private:
  std::vector<ResidentAdapters::Resident*> idle_adapters(Pins pins);
  void clear(int first_slot, int end_slot, Pins pins);

  Pool& pool_;
  PrefixCache& prefixes_;
  ResidentAdapters& residents_;
};

constexpr uint64_t kInUse = UINT64_MAX;

// The first index of the `length` consecutive slots whose greatest age mark is smallest, of equals
// the last. None when each such run has a slot marked kInUse.
std::optional<int> oldest_run(std::span<const uint64_t> last_used, int length);

}  // namespace sgmv
