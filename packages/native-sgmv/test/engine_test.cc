// The engine over a model whose every token depends on the whole context as its pages hold it, and
// on the adapter's slots being untouched: what shares or overwrites a slot wrongly shows in tokens.
#include "engine/engine.h"

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "engine_harness.h"
#include "fake_model.h"

using namespace sgmv;

namespace {

std::string code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const EngineError& error) {
    CHECK(std::string(error.what()).size() > 10);
    return error.code;
  }
  return "none";
}

void tokens_are_those_of_the_model() {
  Harness harness(options_of(32));
  const AdapterHandle adapter = harness.load(3);
  std::vector<int32_t> prompt(21);
  for (int i = 0; i < 21; ++i) prompt[i] = i;
  harness.engine().submit(request_of(1, prompt, 10));
  harness.engine().submit(request_of(2, prompt, 10, adapter));
  harness.engine().submit(request_of(3, {5}, 100));

  const Outcome base = harness.wait_for(1);
  CHECK(base.tokens == expected_tokens(prompt, 10) && base.reason == FinishReason::kLength);
  CHECK(base.indices.front() == 0 && base.indices.back() == 9);
  CHECK(harness.wait_for(2).tokens == expected_tokens(prompt, 10, 3));
  const Outcome full = harness.wait_for(3);  // stopped by the context, not by max_new_tokens
  CHECK(full.tokens == expected_tokens({5}, kFakeMaxPositions - 1));
  CHECK(full.reason == FinishReason::kLength);
  CHECK(harness.device.max_rows <= 8);
}

void a_stop_token_ends_and_is_not_reported() {
  Harness harness(options_of(32));
  const std::vector<int32_t> expected = expected_tokens({1, 2}, 6);
  Request request = request_of(1, {1, 2}, 6);
  request.stop_tokens = {expected[3]};
  harness.engine().submit(request);
  request.id = 2;
  request.ignore_eos = true;
  harness.engine().submit(request);

  const Outcome stopped = harness.wait_for(1);
  CHECK(stopped.reason == FinishReason::kStop);
  CHECK(stopped.tokens == std::vector(expected.begin(), expected.begin() + 3));
  CHECK(harness.wait_for(2).tokens == expected);
}

void a_continuation_goes_on_where_it_was() {
  Harness harness(options_of(32));
  const std::vector<int32_t> expected = expected_tokens({1, 2}, 6);
  Request request = request_of(1, {1, 2}, 6);
  request.tokens.insert(request.tokens.end(), expected.begin(), expected.begin() + 4);
  harness.engine().submit(request);
  const Outcome outcome = harness.wait_for(1);
  CHECK(outcome.tokens == std::vector(expected.begin() + 4, expected.end()));
  CHECK(outcome.indices == std::vector<int32_t>({4, 5}));
}

void without_pages_the_newest_is_evicted_and_continues_the_same() {
  Harness harness(options_of(8));
  for (RequestId id = 1; id <= 3; ++id) {
    harness.engine().submit(request_of(id, {static_cast<int32_t>(id), 7}, 24));
  }
  const Outcome newest = harness.wait_for(3);
  CHECK(newest.reason == FinishReason::kEvicted && newest.by_pressure);
  CHECK(harness.wait_for(1).tokens == expected_tokens({1, 7}, 24));

  Request again = request_of(4, {3, 7}, 24);
  again.tokens.insert(again.tokens.end(), newest.tokens.begin(), newest.tokens.end());
  harness.wait_for(2);
  harness.engine().submit(again);
  std::vector<int32_t> tokens = newest.tokens;
  for (const int32_t token : harness.wait_for(4).tokens) tokens.push_back(token);
  CHECK(tokens == expected_tokens({3, 7}, 24));
}

void a_failed_step_ends_its_requests_alone() {
  Harness harness(options_of(32));
  const AdapterHandle adapter = harness.load(2);
  harness.device.copies_finish = false;
  harness.engine().submit(request_of(1, {1}, 4, adapter));  // not in the step: still being copied
  harness.engine().submit(request_of(2, {kPoison}, 4));
  CHECK(harness.wait_for(2).reason == FinishReason::kError);
  CHECK(harness.errors == "poison");
  harness.device.copies_finish = true;
  CHECK(harness.wait_for(1).tokens == expected_tokens({1}, 4, 2));
}

void a_lost_device_ends_every_request_and_takes_no_more() {
  Harness harness(options_of(32));
  const AdapterHandle adapter = harness.load(2);
  harness.device.copies_finish = false;
  harness.engine().submit(request_of(1, {1}, 4, adapter));
  harness.engine().submit(request_of(2, {1}, 4, adapter));
  harness.device.lost = true;
  harness.engine().submit(request_of(3, {kPoison}, 4));
  for (const RequestId id : {1, 2, 3}) {
    CHECK(harness.wait_for(id).reason == FinishReason::kError);
  }
  CHECK(harness.device_lost && harness.errors == "poison");
  CHECK(code_of([&] { harness.engine().submit(request_of(4, {1}, 4)); }) == "device_lost");
  const EngineStats stats = harness.engine().stats();
  CHECK(stats.num_running == 0 && stats.num_waiting == 0);
}

void a_failed_copy_ends_its_request_alone() {
  Harness harness(options_of(32));
  const AdapterHandle adapter = harness.load(2);
  harness.device.copies_fail = true;
  harness.engine().submit(request_of(1, {1}, 4, adapter));
  harness.engine().submit(request_of(2, {1}, 4));
  CHECK(harness.wait_for(1).reason == FinishReason::kError);
  CHECK(harness.wait_for(2).tokens == expected_tokens({1}, 4));
  const EngineStats stats = harness.engine().stats();
  CHECK(stats.free_slots == 32 && stats.adapters[0].num_requests == 0);
}

void others_run_while_an_adapter_is_copied() {
  Harness harness(options_of(32));
  const AdapterHandle adapter = harness.load(4);
  harness.device.copies_finish = false;
  harness.engine().submit(request_of(1, {1}, 4, adapter));
  harness.engine().submit(request_of(2, {1}, 4));
  CHECK(harness.wait_for(2).tokens == expected_tokens({1}, 4));
  // Cancelled during the copy: its slots stay taken until the copy is over, and then are free.
  harness.engine().cancel(1);
  CHECK(harness.wait_for(1).reason == FinishReason::kCancelled);
  harness.engine().unload_adapter(adapter);
  CHECK(harness.engine().stats().adapter_slots == 4);
  harness.device.copies_finish = true;
  harness.engine().submit(request_of(3, {1}, 2));
  harness.wait_for(3);
  CHECK(harness.engine().stats().adapter_slots == 0);
}

void unload_waits_for_the_last_request() {
  Harness harness(options_of(32));
  const AdapterHandle adapter = harness.load(4);
  harness.device.copies_finish = false;
  harness.engine().submit(request_of(1, {1}, 8, adapter));
  harness.engine().unload_adapter(adapter);
  CHECK(code_of([&] { harness.engine().submit(request_of(2, {1}, 1, adapter)); }) ==
        "unknown_adapter");
  CHECK(code_of([&] { harness.engine().unload_adapter(adapter); }) == "unknown_adapter");
  CHECK(harness.engine().stats().adapters.at(0).num_requests == 1);
  harness.device.copies_finish = true;
  CHECK(harness.wait_for(1).tokens == expected_tokens({1}, 8, 4));
  const EngineStats stats = harness.engine().stats();
  CHECK(stats.adapters.empty() && stats.host_adapter_bytes == 0 && stats.adapter_slots == 0);
}

void unused_adapters_make_room_the_oldest_first_but_not_pinned_ones() {
  Harness harness(options_of(10));
  const AdapterHandle pinned = harness.load(4);
  const AdapterHandle old = harness.load(3);
  const AdapterHandle next = harness.load(2);
  harness.engine().pin_adapter(pinned, true);
  CHECK(code_of([&] { harness.engine().pin_adapter(next, true); }) == "adapter_memory_full");
  RequestId id = 0;
  for (const AdapterHandle adapter : {pinned, old, next, old}) {
    harness.engine().submit(request_of(++id, {1}, 3, adapter));
    harness.wait_for(id);
  }
  const auto resident = [&harness](int i) { return harness.engine().stats().adapters[i].resident; };
  CHECK(resident(0) && resident(1) && resident(2));
  harness.engine().submit(request_of(++id, {1, 2, 3, 4, 5}, 4));  // one slot is free
  harness.wait_for(id);
  CHECK(resident(0) && resident(1) && !resident(2));
  // With the pool to itself even a request that needs a pinned adapter's slots runs.
  harness.engine().submit(request_of(++id, std::vector<int32_t>(30, 1), 11));
  CHECK(harness.wait_for(id).reason == FinishReason::kLength);
  CHECK(!resident(0) && !resident(1));
}

void a_prefix_is_reused_by_its_owner_alone() {
  Harness harness(options_of(32));
  std::vector<int32_t> prompt(20, 3);
  const auto prefill_of = [&](RequestId id, const std::string& cache_key, AdapterHandle adapter) {
    const int before = harness.num_prefill_tokens;
    Request request = request_of(id, prompt, 6, adapter);
    request.cache_key = cache_key;
    harness.engine().submit(request);
    const int rank = adapter == 0 ? 0 : 2;
    CHECK(harness.wait_for(id).tokens == expected_tokens(prompt, 6, rank));
    return harness.num_prefill_tokens - before;
  };
  CHECK(prefill_of(1, "a", 0) == 20);
  CHECK(prefill_of(2, "a", 0) == 4);  // four of five pages: the last token must run
  CHECK(prefill_of(3, "b", 0) == 20);
  CHECK(prefill_of(4, "", 0) == 20);
  const AdapterHandle adapter = harness.load(2);
  CHECK(prefill_of(5, "a", adapter) == 20);
  CHECK(prefill_of(6, "a", adapter) == 4);
  EngineStats stats = harness.engine().stats();
  CHECK(stats.kv_slots == 0 && stats.cached_slots == 18 && stats.free_slots == 30);

  harness.engine().unload_adapter(adapter);
  CHECK(prefill_of(7, "a", harness.load(2)) == 20);
  stats = harness.engine().stats();
  CHECK(stats.cached_slots == 18);
}

void refusals_have_codes() {
  EngineOptions options = options_of(8);
  options.max_waiting = 1;
  options.max_batch_size = 1;
  options.host_adapter_bytes = 600;  // one adapter of rank 4
  Harness harness(options);
  Engine& engine = harness.engine();
  CHECK(code_of([&] { engine.submit(request_of(1, {}, 4)); }) == "invalid_request");
  CHECK(code_of([&] { engine.submit(request_of(1, {1}, 4, 9)); }) == "unknown_adapter");
  CHECK(code_of([&] { engine.submit(request_of(1, {1}, 40)); }) == "request_too_large");
  CHECK(code_of([&] { harness.load(8); }) == "adapter_invalid");
  const AdapterHandle adapter = harness.load(4);
  CHECK(code_of([&] { harness.load(2); }) == "adapter_memory_full");
  CHECK(code_of([&] { engine.load_adapter("/nonexistent"); }) == "adapter_invalid");

  harness.device.copies_finish = false;
  engine.submit(request_of(1, {1}, 4, adapter));
  CHECK(code_of([&] { engine.submit(request_of(1, {1}, 4)); }) == "duplicate_request");
  // One in the batch, held up by its copy, and one waiting are all there may be.
  // The second is refused until the thread of the steps has taken the first out of the queue.
  while (code_of([&] { engine.submit(request_of(2, {1}, 4, adapter)); }) == "queue_full") {
    std::this_thread::yield();
  }
  CHECK(code_of([&] { engine.submit(request_of(3, {1}, 4)); }) == "queue_full");
  engine.cancel(1);
  harness.wait_for(1);
  engine.submit(request_of(1, {1}, 4, adapter));  // the id is free again
}

void bad_options_are_named() {
  FakeDevice device;
  const auto code_with = [&device](const std::function<void(EngineOptions&)>& change) {
    EngineOptions options = options_of(8);
    change(options);
    return code_of([&] {
      create_engine(std::make_unique<FakeBackend>(device), std::make_unique<FakeModel>(device),
                    options);
    });
  };
  CHECK(code_with([](EngineOptions&) {}) == "none");
  CHECK(code_with([](EngineOptions& o) { o.max_batch_size = 9; }) == "invalid_options");
  CHECK(code_with([](EngineOptions& o) { o.pool_bytes = 0; }) == "invalid_options");
  CHECK(code_with([](EngineOptions& o) { o.max_waiting = 0; }) == "invalid_options");
}

void a_pool_takes_what_its_share_of_the_memory_leaves() {
  FakeDevice device;  // with 100 bytes in all
  EngineOptions options = options_of(0);
  options.memory_fraction = 0.9;
  device.free_bytes = 60;
  const auto engine = create_engine(std::make_unique<FakeBackend>(device),
                                    std::make_unique<FakeModel>(device), options);
  CHECK(engine->stats().num_slots == 50);
  device.free_bytes = 10;
  CHECK(code_of([&] {
          create_engine(std::make_unique<FakeBackend>(device), std::make_unique<FakeModel>(device),
                        options);
        }) == "out_of_memory");
}

}  // namespace

int main() {
  tokens_are_those_of_the_model();
  a_stop_token_ends_and_is_not_reported();
  a_continuation_goes_on_where_it_was();
  without_pages_the_newest_is_evicted_and_continues_the_same();
  a_failed_step_ends_its_requests_alone();
  a_lost_device_ends_every_request_and_takes_no_more();
  a_failed_copy_ends_its_request_alone();
  others_run_while_an_adapter_is_copied();
  unload_waits_for_the_last_request();
  unused_adapters_make_room_the_oldest_first_but_not_pinned_ones();
  a_prefix_is_reused_by_its_owner_alone();
  refusals_have_codes();
  bad_options_are_named();
  a_pool_takes_what_its_share_of_the_memory_leaves();
}
