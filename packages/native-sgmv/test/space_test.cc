// What is given up for pages and runs, and in which order; and that what is in use never is.
#include "engine/space.h"

#include <string>
#include <vector>

#include "check.h"
#include "fake_model.h"

using namespace sgmv;

namespace {

struct Fixture {
  FakeDevice device;
  FakeBackend backend{device};
  Pool pool;
  PrefixCache prefixes{pool};
  ResidentAdapters residents{backend, pool};
  Space space{pool, prefixes, residents};
  std::vector<int32_t> tokens{0, 0, 0, 0};
  std::string tenant = "tenant";

  explicit Fixture(int num_slots) : pool(num_slots) { backend.reserve_pool(num_slots); }

  // A page that nobody uses any more, last used at `time`.
  void cache_page(uint64_t time) {
    const int page = space.take_page(Pins::kKeep).value();
    tokens[0] = page;
    prefixes.release(
        *prefixes.add({.parent = 0, .adapter = 0, .cache_key = tenant, .tokens = tokens}, page),
        time);
  }

  ResidentAdapters::Resident* place(AdapterHandle handle, int num_slots, uint64_t time) {
    auto adapter = std::make_shared<LoadedAdapter>();
    adapter->handle = handle;
    adapter->host = fake_adapter(num_slots);
    adapter->num_slots = num_slots;
    auto* resident = residents.place(adapter, space.take_run(num_slots, Pins::kKeep).value());
    residents.poll();
    residents.hold(*resident);
    residents.release(*resident, time);
    return resident;
  }
};

void a_page_costs_cached_pages_first_then_the_oldest_adapter() {
  Fixture f(6);
  f.place(1, 2, 10);
  f.place(2, 2, 5);
  f.cache_page(20);
  f.cache_page(30);
  CHECK(f.space.available(Pins::kKeep) == 6);
  CHECK(f.space.take_page(Pins::kKeep) == 0);
  CHECK(f.space.take_page(Pins::kKeep) == 1);
  CHECK(f.prefixes.idle().empty() && f.residents.find(2) != nullptr);
  CHECK(f.space.take_page(Pins::kKeep) == 2);
  CHECK(f.residents.find(2) == nullptr && f.residents.find(1) != nullptr);
}

void a_run_costs_what_was_unused_longest() {
  Fixture f(6);
  f.place(1, 2, 10);  // slots 4 and 5
  f.place(2, 2, 30);  // slots 2 and 3
  f.cache_page(20);
  f.cache_page(25);
  CHECK(f.space.take_run(2, Pins::kKeep) == 4);
  CHECK(f.residents.find(1) == nullptr && f.residents.find(2) != nullptr);
  CHECK(f.space.take_run(2, Pins::kKeep) == 0);
  CHECK(f.prefixes.idle().empty());
}

void what_is_held_copied_or_pinned_stays() {
  Fixture f(6);
  f.residents.hold(*f.place(1, 2, 1));
  f.place(2, 2, 2)->adapter->pinned = true;
  f.device.copies_finish = false;
  f.place(3, 1, 3);
  f.space.take_page(Pins::kKeep);
  CHECK(!f.space.take_page(Pins::kKeep));
  CHECK(!f.space.take_run(1, Pins::kKeep));
  CHECK(f.space.available(Pins::kKeep) == 0 && f.space.available(Pins::kBreak) == 2);
  CHECK(f.space.take_run(2, Pins::kBreak) == 2);
  CHECK(!f.space.take_run(1, Pins::kBreak));
}

void a_forgotten_adapter_goes_when_its_copy_is_over() {
  Fixture f(4);
  f.device.copies_finish = false;
  f.place(1, 2, 1);
  f.residents.forget(1);
  CHECK(f.pool.run_slots() == 2 && f.residents.copying());
  f.device.copies_finish = true;
  f.residents.poll();
  CHECK(f.pool.run_slots() == 0 && !f.residents.copying());
}

void cached_pages_are_told_apart_by_all_of_their_key() {
  Fixture f(8);
  const std::vector<int32_t> tokens{1, 2, 3, 4};
  const std::string other = "other";
  const PrefixCache::Place place{
      .parent = 0, .adapter = 1, .cache_key = f.tenant, .tokens = tokens};
  auto* entry = f.prefixes.add(place, f.pool.take_page().value());
  CHECK(f.prefixes.find(place) == entry);
  CHECK(f.prefixes.find({0, 2, f.tenant, tokens}) == nullptr);
  CHECK(f.prefixes.find({0, 1, other, tokens}) == nullptr);
  CHECK(f.prefixes.find({entry->id, 1, f.tenant, tokens}) == nullptr);
  f.prefixes.release(*entry, 1);
  f.prefixes.forget_adapter(2);
  CHECK(f.prefixes.find(place) == entry);
  f.prefixes.forget_adapter(1);
  CHECK(f.prefixes.find(place) == nullptr && f.pool.free_slots() == 8);
}

void the_oldest_run_is_the_one_whose_newest_slot_is_oldest() {
  const std::vector<uint64_t> last_used{5, 1, 2, kInUse, 0, 9, 3, 2};
  CHECK(oldest_run(last_used, 1) == 4);
  CHECK(oldest_run(last_used, 2) == 1);
  CHECK(oldest_run(last_used, 3) == 0);
  CHECK(oldest_run(last_used, 4) == 4);
  CHECK(!oldest_run(last_used, 5));
  CHECK(!oldest_run({}, 1));
}

}  // namespace

int main() {
  a_page_costs_cached_pages_first_then_the_oldest_adapter();
  a_run_costs_what_was_unused_longest();
  what_is_held_copied_or_pinned_stays();
  a_forgotten_adapter_goes_when_its_copy_is_over();
  cached_pages_are_told_apart_by_all_of_their_key();
  the_oldest_run_is_the_one_whose_newest_slot_is_oldest();
}
