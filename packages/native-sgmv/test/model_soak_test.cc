// Requests over a small pool of a real model, with everything that can happen to them at random
// times: cancelled, evicted, out of pages, adapters unloaded, loaded anew and pinned. Each one's
// tokens are the first of its run alone, and in the end nothing is left.
//
//   model_soak_test [cpu | cuda] [STEPS]
//
// 180000 steps are half an hour of a large model. Runs in packages/native-sgmv.
#include <algorithm>
#include <cstdlib>
#include <random>

#include "model_engine.h"

using namespace sgmv;

namespace {

constexpr int kNumKinds = 40;
constexpr int kNumSlots = 48;
constexpr uint64_t kSteps = 1500;
constexpr size_t kMostUnderWay = 16;

EngineOptions small_pool() {
  EngineOptions options;
  options.max_batch_size = 8;
  options.max_step_tokens = 48;
  options.pool_bytes = kNumSlots;
  return options;
}

class Soak {
 public:
  explicit Soak(const std::string& backend) : running_(backend, small_pool()) {
    handles_ = running_.load_adapters();
    for (int i = 0; i < kNumKinds; ++i) kinds_.push_back(make_kind(i));
    for (const Kind& kind : kinds_) alone_.push_back(running_.run(to_request(kind)));
  }

  void run(uint64_t num_steps) {
    const uint64_t first = running_.num_steps();
    while (running_.num_steps() - first < num_steps) {
      start_one();
      disturb();
      if (under_way_.size() > kMostUnderWay) check_oldest();
    }
    while (!under_way_.empty()) check_oldest();
    std::printf("%llu steps, %d requests of which %d ran to their end, %d out of pages\n",
                static_cast<unsigned long long>(running_.num_steps() - first), num_requests_,
                num_whole_, num_evicted_);
    CHECK(num_whole_ > num_requests_ / 3);
    check_nothing_is_left();
  }

 private:
  struct Kind {
    size_t adapter;  // index into handles_
    Request request;
  };
  struct UnderWay {
    RequestId id;
    size_t kind;
  };

  int below(size_t limit) { return static_cast<int>(random_() % limit); }

  Kind make_kind(int i) {
    // Few different prompts, so that prefixes are shared.
    std::mt19937 words(1 + i % 4);
    Kind kind{.adapter = static_cast<size_t>(below(handles_.size())), .request = {}};
    kind.request.tokens = random_prompt(words, 1 + below(120));
    kind.request.num_prompt_tokens = static_cast<int>(kind.request.tokens.size());
    kind.request.max_new_tokens = 1 + below(60);
    kind.request.ignore_eos = true;
    if (below(2) == 0) kind.request.cache_key = below(2) == 0 ? "a" : "b";
    if (below(2) == 0) {
      kind.request.sampling.temperature = 1;
      kind.request.sampling.seed = i;
    }
    return kind;
  }

  Request to_request(const Kind& kind) const {
    Request request = kind.request;
    request.adapter = handles_[kind.adapter];
    return request;
  }

  void start_one() {
    const size_t kind = below(kinds_.size());
    under_way_.push_back({running_.start(to_request(kinds_[kind])), kind});
    ++num_requests_;
  }

  void disturb() {
    const RequestId victim = under_way_[below(under_way_.size())].id;
    const size_t index = 1 + below(kAdapterNames.size());
    switch (below(14)) {
      case 0:
        return running_.engine().cancel(victim);
      case 1:
        return running_.engine().evict(victim);
      case 2:  // its requests go on; the next ones use another copy
        running_.engine().unload_adapter(handles_[index]);
        handles_[index] = running_.load(kAdapterNames[index - 1]);
        return;
      case 3:
        return running_.engine().pin_adapter(handles_[1], below(2) == 0);
      default:
        return;
    }
  }

  void check_oldest() {
    const UnderWay oldest = under_way_.front();
    under_way_.pop_front();
    const Outcome outcome = running_.wait_for(oldest.id);
    const std::vector<int32_t>& expected = alone_[oldest.kind].tokens;
    CHECK(outcome.tokens.size() <= expected.size());
    CHECK(std::equal(outcome.tokens.begin(), outcome.tokens.end(), expected.begin()));
    num_evicted_ += outcome.reason == FinishReason::kEvicted;
    if (outcome.reason != FinishReason::kLength) return;
    CHECK(outcome.tokens == expected);
    ++num_whole_;
  }

  void check_nothing_is_left() {
    for (size_t i = 1; i < handles_.size(); ++i) running_.engine().unload_adapter(handles_[i]);
    Request last{};  // when it is over, so are the unloads
    last.tokens = {1};
    last.num_prompt_tokens = 1;
    last.max_new_tokens = 2;
    running_.run(last);
    const EngineStats stats = running_.engine().stats();
    CHECK(stats.num_running == 0 && stats.num_waiting == 0);
    CHECK(stats.kv_slots == 0 && stats.adapter_slots == 0);
    CHECK(stats.free_slots == kNumSlots);
    CHECK(stats.host_adapter_bytes == 0 && stats.adapters.empty());
  }

  std::mt19937 random_{2024};
  ModelEngine running_;
  std::vector<AdapterHandle> handles_;
  std::vector<Kind> kinds_;
  std::vector<Outcome> alone_;
  std::deque<UnderWay> under_way_;
  int num_requests_ = 0;
  int num_whole_ = 0;
  int num_evicted_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const std::string backend = backend_of(argc, argv);
  Soak(backend).run(argc > 2 ? std::strtoull(argv[2], nullptr, 10) : kSteps);
}
