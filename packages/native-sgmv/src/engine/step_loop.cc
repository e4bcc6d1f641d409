#include "engine/step_loop.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <optional>
#include <utility>

#include "engine/step_report.h"

namespace sgmv {
namespace {

using std::chrono::microseconds;

// How often to ask whether a copy is over when there is nothing else to do.
constexpr microseconds kPollInterval{200};

bool contains(std::span<const int32_t> tokens, int32_t token) {
  return std::ranges::find(tokens, token) != tokens.end();
}

}  // namespace

StepLoop::StepLoop(Backend& backend, Model& model, HostAdapters& adapters, Inbox& inbox,
                   const EngineOptions& options, int num_slots)
    : backend_(backend),
      model_(model),
      adapters_(adapters),
      inbox_(inbox),
      max_batch_size_(options.max_batch_size),
      max_step_tokens_(options.max_step_tokens),
      prefill_budget_(options.target_step_ms, options.max_step_tokens),
      pool_(num_slots),
      prefixes_(pool_),
      residents_(backend, pool_),
      space_(pool_, prefixes_, residents_),
      kv_(pool_, prefixes_, options.model.page_size),
      batcher_(options.model.page_size) {
  stats_.free_slots = num_slots;
}

void StepLoop::run(const Listener& listener) {
  while (true) {
    std::optional<microseconds> max_wait;
    if (stepped_) {
      max_wait = microseconds::zero();
    } else if (residents_.copying()) {
      max_wait = kPollInterval;
    }
    Inbox::Mail mail = inbox_.collect(max_wait);
    if (mail.closed) return;
    stepped_ = false;
    report_ = {};
    try {
      iterate(std::move(mail));
    } catch (const std::exception& error) {
      fail_all(error.what());
    }
    drop_forgotten();
    if (!report_.error.empty() && stop_if_lost()) return publish(listener);
    publish(listener);
  }
}

StepLoop::Stats StepLoop::stats() const {
  const std::lock_guard lock(stats_mutex_);
  return stats_;
}

void StepLoop::iterate(Inbox::Mail mail) {
  std::ranges::move(mail.submitted, std::back_inserter(waiting_));
  residents_.poll();
  drop_forgotten();
  for (const Inbox::Stop& request : mail.stopped) stop(request);
  sweep();
  admit();
  std::vector<Chunk> chunks = plan_step(runnable(), max_step_tokens_, prefill_budget_);
  if (!chunks.empty()) step(chunks);
}

void StepLoop::drop_forgotten() {
  for (const AdapterHandle handle : adapters_.take_forgotten()) {
    prefixes_.forget_adapter(handle);
    residents_.forget(handle);
  }
}

void StepLoop::stop(const Inbox::Stop& stop) {
  const auto has_id = [&stop](const auto& sequence) { return sequence->request.id == stop.id; };
  if (const auto it = std::ranges::find_if(batch_, has_id); it != batch_.end()) {
    end(**it, stop.reason);
  } else if (const auto it = std::ranges::find_if(waiting_, has_id); it != waiting_.end()) {
    end(**it, stop.reason);
  }
}

void StepLoop::publish(const Listener& listener) {
  const int idle_pages = static_cast<int>(prefixes_.idle().size());
  {
    const std::lock_guard lock(stats_mutex_);
    stats_ = {.num_steps = num_steps_,
              .free_slots = pool_.free_slots() + idle_pages,
              .cached_slots = idle_pages,
              .kv_slots = pool_.page_slots() - idle_pages,
              .adapter_slots = pool_.run_slots(),
              .num_adapter_copies = residents_.num_copies()};
  }
  report_.step = num_steps_;
  if (listener && (stepped_ || !report_.end_request.empty())) listener(std::move(report_));
}

// ---- joining the batch ----

void StepLoop::admit() {
  while (!waiting_.empty() && static_cast<int>(batch_.size()) < max_batch_size_) {
    Sequence& sequence = *waiting_.front();
    try {
      if (!make_room_to_join(sequence)) return;
    } catch (const std::exception& error) {
      Sequence* const failed = &sequence;
      fail({&failed, 1}, error.what());
      waiting_.pop_front();
      continue;
    }
    batch_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
    batch_.back()->admitted = true;
    inbox_.admitted();
  }
}

bool StepLoop::make_room_to_join(Sequence& sequence) {
  // With the pool to itself a request may have all that nobody uses, which is sure to be enough.
  const Pins pins = batch_.empty() ? Pins::kBreak : Pins::kKeep;
  kv_.reuse(sequence);
  if (join_pool(sequence, pins)) return true;
  // Then, too, pages that it would reuse may stand in the way of its adapter's run: without them.
  return batch_.empty() && join_pool(sequence, pins);
}

bool StepLoop::join_pool(Sequence& sequence, Pins pins) {
  if (sequence.adapter != nullptr) {
    sequence.resident = residents_.find(sequence.request.adapter);
    if (sequence.resident != nullptr) residents_.hold(*sequence.resident);
  }
  if (take_slots(sequence, pins)) return true;
  leave_pool(sequence);
  return false;
}

bool StepLoop::take_slots(Sequence& sequence, Pins pins) {
  const bool needs_copy = sequence.adapter != nullptr && sequence.resident == nullptr;
  const int num_pages = kv_.missing_pages(sequence);
  const int adapter_slots = needs_copy ? sequence.adapter->num_slots : 0;
  // A page for each running request keeps the newcomer from being evicted at once for their growth.
  const int headroom = static_cast<int>(batch_.size());
  if (space_.available(pins) < num_pages + adapter_slots + headroom) return false;

  if (needs_copy) {
    const std::optional<int> first_slot = space_.take_run(adapter_slots, pins);
    if (!first_slot) return false;
    sequence.resident = residents_.place(sequence.adapter, *first_slot);
    residents_.hold(*sequence.resident);
    residents_.poll();
  }
  for (int i = 0; i < num_pages; ++i) sequence.pages.push_back(space_.take_page(pins).value());
  return true;
}

void StepLoop::leave_pool(Sequence& sequence) {
  kv_.release(sequence, num_steps_);
  if (sequence.resident == nullptr) return;
  residents_.release(*sequence.resident, num_steps_);
  sequence.resident = nullptr;
}

// ---- one step ----

std::vector<Sequence*> StepLoop::runnable() {
  std::vector<Sequence*> runnable;
  // Making room may shorten the batch from its end.
  for (size_t i = 0; i < batch_.size(); ++i) {
    Sequence& sequence = *batch_[i];
    if (sequence.ready() && make_room_to_grow(sequence)) runnable.push_back(&sequence);
  }
  return runnable;
}

bool StepLoop::make_room_to_grow(Sequence& sequence) {
  while (kv_.missing_pages(sequence) > 0) {
    const Pins pins = batch_.size() == 1 ? Pins::kBreak : Pins::kKeep;
    if (const std::optional<int> page = space_.take_page(pins)) {
      sequence.pages.push_back(*page);
      continue;
    }
    // Alone and without room: an adapter that nobody wants any more is still being copied.
    if (batch_.size() == 1) return false;
    const bool was_newest = batch_.back().get() == &sequence;
    end(*batch_.back(), FinishReason::kEvicted, Cause::kPressure);
    batch_.pop_back();
    if (was_newest) return false;
  }
  return true;
}

void StepLoop::step(std::vector<Chunk>& chunks) {
  const Batch& batch = batcher_.build(chunks);
  samples_.assign(batch.samples.size(), {});
  stepped_ = true;
  ++num_steps_;
  add_rows(report_, chunks, batch);

  const auto begin = std::chrono::steady_clock::now();
  try {
    model_.step(batch, samples_);
  } catch (const std::exception& error) {
    std::vector<Sequence*> failed;
    for (const Chunk& chunk : chunks) failed.push_back(chunk.sequence);
    fail(failed, error.what());
    sweep();
    return;
  }
  const auto duration = std::chrono::steady_clock::now() - begin;
  report_.duration_ms = std::chrono::duration<double, std::milli>(duration).count();
  prefill_budget_.observe(report_.num_decode_rows, report_.num_prefill_tokens, report_.duration_ms);
  settle(chunks);
}

void StepLoop::settle(std::span<const Chunk> chunks) {
  auto sample = samples_.begin();
  for (const Chunk& chunk : chunks) {
    const bool sampled = chunk.completes();
    chunk.sequence->num_computed += chunk.num_rows;
    kv_.share(*chunk.sequence);
    if (sampled) accept(*chunk.sequence, std::move(*sample++));
  }
  sweep();
}

void StepLoop::accept(Sequence& sequence, Sample sample) {
  Request& request = sequence.request;
  if (!sample.is_valid) return end(sequence, FinishReason::kError);
  if (!request.ignore_eos && contains(request.stop_tokens, sample.token)) {
    return end(sequence, FinishReason::kStop);
  }
  const int32_t token = sample.token;
  add_token(report_, request, std::move(sample));
  request.tokens.push_back(token);
  if (sequence.num_generated() == request.max_new_tokens ||
      sequence.num_tokens() == model_.config().max_positions) {
    end(sequence, FinishReason::kLength);
  } else if (sequence.constraint && sequence.constraint->is_complete(sequence.generated())) {
    end(sequence, FinishReason::kStop);
  }
}

// ---- leaving ----

void StepLoop::end(Sequence& sequence, FinishReason reason, Cause cause) {
  leave_pool(sequence);
  if (sequence.adapter != nullptr) adapters_.release(sequence.adapter);
  inbox_.ended(sequence.request.id, !sequence.admitted);
  sequence.ended = true;
  add_end(report_, sequence.request.id, reason, cause == Cause::kPressure);
}

void StepLoop::fail(std::span<Sequence* const> sequences, const std::string& why) {
  add_error(report_, why);
  for (Sequence* sequence : sequences) {
    if (!sequence->ended) end(*sequence, FinishReason::kError);
  }
}

void StepLoop::fail_all(const std::string& why) {
  std::vector<Sequence*> failed;
  for (const auto& sequence : batch_) failed.push_back(sequence.get());
  for (const auto& sequence : waiting_) failed.push_back(sequence.get());
  fail(failed, why);
  sweep();
}

// A failed step may be one request's; a lost device is everybody's end.
bool StepLoop::stop_if_lost() {
  if (!backend_.is_lost()) return false;
  report_.device_lost = true;
  Inbox::Mail mail = inbox_.lose_device(report_.error);
  std::ranges::move(mail.submitted, std::back_inserter(waiting_));
  fail_all("");
  return true;
}

void StepLoop::sweep() {
  const auto ended = [](const auto& sequence) { return sequence->ended; };
  std::erase_if(batch_, ended);
  std::erase_if(waiting_, ended);
}

}  // namespace sgmv
