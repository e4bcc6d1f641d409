#include "support/served.h"

#include <stdexcept>
#include <thread>
#include <utility>

#include "support/step_rig.h"

namespace sgmv {
namespace {

constexpr int kLoadThreads = 8;

double ms_between(BenchClock::time_point from, BenchClock::time_point to) {
  return std::chrono::duration<double, std::milli>(to - from).count();
}

}  // namespace

Server::Server(std::unique_ptr<Backend> backend, const EngineOptions& options,
               std::function<void(const Served&)> on_end)
    : on_end_(std::move(on_end)), engine_(create_engine(std::move(backend), options)) {
  engine_->on_step([this](StepReport&& report) { record(report); });
}

std::vector<AdapterHandle> Server::load_adapters(int count, int rank) {
  std::vector<AdapterHandle> handles(count);
  std::vector<std::jthread> threads;
  for (int first = 0; first < kLoadThreads; ++first) {
    threads.emplace_back([&, first] {
      for (int i = first; i < count; i += kLoadThreads) {
        handles[i] = engine_->load_random_adapter(rank, kAllModules, i);
      }
    });
  }
  threads.clear();
  return handles;
}

void Server::submit(AdapterHandle adapter, int num_prompt_tokens, int num_new_tokens) {
  Request request{};
  request.adapter = adapter;
  request.num_prompt_tokens = num_prompt_tokens;
  request.max_new_tokens = num_new_tokens;
  request.ignore_eos = true;
  const std::lock_guard lock(mutex_);
  request.id = next_id_++;
  for (int i = 0; i < num_prompt_tokens; ++i) {
    const uint64_t mixed = (request.id * 31 + static_cast<uint64_t>(i) * 7);
    request.tokens.push_back(static_cast<int32_t>(mixed % engine_->config().vocab_size));
  }
  open_[request.id] = {{.adapter = adapter, .num_prompt_tokens = num_prompt_tokens},
                       BenchClock::now()};
  engine_->submit(std::move(request));
}

AdapterHandle Server::adapter_of(RequestId id) {
  const std::lock_guard lock(mutex_);
  return open_.at(id).served.adapter;
}

std::vector<Served> Server::finish(size_t count) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return closed_.size() >= count || !problem_.empty(); });
  if (!problem_.empty()) throw std::runtime_error(problem_);
  return std::exchange(closed_, {});
}

void Server::record(const StepReport& report) {
  const auto now = BenchClock::now();
  if (on_step) on_step(report);
  std::vector<Served> ended;
  {
    const std::lock_guard lock(mutex_);
    for (const RequestId id : report.token_request) {
      Open& open = open_.at(id);
      const double ms = ms_between(open.last, now);
      if (open.served.num_new_tokens++ == 0) {
        open.served.first_token_ms = ms;
      } else {
        open.served.gaps_ms.push_back(ms);
      }
      open.last = now;
    }
    for (size_t i = 0; i < report.end_request.size(); ++i) {
      const auto found = open_.find(report.end_request[i]);
      if (report.end_reason[i] != FinishReason::kLength) {
        problem_ = "a request did not end at its length: " +
                   (report.error.empty() ? "it was evicted; raise the pool" : report.error);
      }
      ended.push_back(found->second.served);
      closed_.push_back(std::move(found->second.served));
      open_.erase(found);
    }
  }
  // Outside the lock, as it may submit the next.
  for (const Served& served : ended) {
    if (on_end_) on_end_(served);
  }
  changed_.notify_all();
}

}  // namespace sgmv
