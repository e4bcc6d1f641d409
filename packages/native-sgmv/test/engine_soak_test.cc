// Thousands of requests over a small pool, with everything that can happen to them at random times.
// Whatever happens, a request's tokens are the first ones of its solo run, and nothing leaks.
#include <algorithm>
#include <deque>
#include <random>
#include <vector>

#include "check.h"
#include "engine/engine.h"
#include "engine_harness.h"
#include "fake_model.h"

using namespace sgmv;

namespace {

constexpr int kNumRequests = 4000;
constexpr int kMaxAdapterRank = 6;
constexpr int kPoisonEvery = 150;

struct Submitted {
  RequestId id;
  std::vector<int32_t> prompt;
  int rank;
  int max_new_tokens;
};

class Soak {
 public:
  void run() {
    for (int rank = 1; rank <= kMaxAdapterRank; ++rank) handles_.push_back(harness_.load(rank));
    for (RequestId id = 1; id <= kNumRequests; ++id) {
      submit(id);
      disturb();
      if (under_way_.size() > 24) check_oldest();
    }
    harness_.device.copies_finish = true;
    while (!under_way_.empty()) check_oldest();
    check_nothing_is_left();
    CHECK(num_whole_ > kNumRequests / 4);
  }

 private:
  int below(int limit) { return static_cast<int>(random_() % static_cast<unsigned>(limit)); }

  void submit(RequestId id) {
    // Few different prompts, so that prefixes are shared; some of them grow large for the pool.
    std::vector<int32_t> prompt(1 + below(24), below(3));
    if (id % kPoisonEvery == 0) prompt.back() = kPoison;
    const int rank = below(kMaxAdapterRank + 1);
    Request request = request_of(id, prompt, 1 + below(24), rank == 0 ? 0 : handles_[rank - 1]);
    if (below(3) > 0) request.cache_key = below(2) == 0 ? "a" : "b";
    under_way_.push_back({id, prompt, rank, request.max_new_tokens});
    harness_.engine().submit(std::move(request));
  }

  void disturb() {
    const Submitted& victim = under_way_[below(static_cast<int>(under_way_.size()))];
    const int rank = 1 + below(kMaxAdapterRank);
    switch (below(16)) {
      case 0:
        return harness_.engine().cancel(victim.id);
      case 1:
        return harness_.engine().evict(victim.id);
      case 2:  // its requests go on; the next ones use another copy
        harness_.engine().unload_adapter(handles_[rank - 1]);
        handles_[rank - 1] = harness_.load(rank);
        return;
      case 3:
        harness_.engine().pin_adapter(handles_[below(2)], below(2) == 0);
        return;
      default:
        harness_.device.copies_finish = below(4) > 0;
    }
  }

  void check_oldest() {
    const Submitted request = under_way_.front();
    under_way_.pop_front();
    harness_.device.copies_finish = true;
    const Outcome outcome = harness_.wait_for(request.id);
    const auto expected = expected_tokens(request.prompt, request.max_new_tokens, request.rank);
    CHECK(outcome.tokens.size() <= expected.size());
    CHECK(std::equal(outcome.tokens.begin(), outcome.tokens.end(), expected.begin()));
    for (size_t i = 0; i < outcome.indices.size(); ++i) {
      CHECK(outcome.indices[i] == static_cast<int32_t>(i));
    }
    if (outcome.reason != FinishReason::kLength) return;
    CHECK(outcome.tokens == expected);
    ++num_whole_;
  }

  void check_nothing_is_left() {
    CHECK(harness_.errors.find("overwritten") == std::string::npos);
    for (const AdapterHandle handle : handles_) harness_.engine().unload_adapter(handle);
    harness_.engine().submit(request_of(0, {1}, 1));  // when it is over, so are the unloads
    harness_.wait_for(0);
    const EngineStats stats = harness_.engine().stats();
    CHECK(stats.num_running == 0 && stats.num_waiting == 0);
    CHECK(stats.kv_slots == 0 && stats.adapter_slots == 0);
    CHECK(stats.free_slots == stats.num_slots);
    CHECK(stats.host_adapter_bytes == 0 && stats.adapters.empty());
  }

  std::mt19937 random_{11};
  Harness harness_{options_of(24)};
  std::vector<AdapterHandle> handles_;
  std::deque<Submitted> under_way_;
  int num_whole_ = 0;
};

}  // namespace

int main() { Soak().run(); }
