#include "engine/step_engine.h"

#include <filesystem>
#include <new>
#include <span>
#include <stdexcept>
#include <utility>

#include "engine/check_request.h"

namespace sgmv {

StepEngine::StepEngine(std::unique_ptr<Backend> backend, std::unique_ptr<Model> model,
                       const EngineOptions& options, int num_slots)
    : backend_(std::move(backend)),
      model_(std::move(model)),
      num_slots_(num_slots),
      page_size_(options.model.page_size),
      max_adapter_rank_(options.max_adapter_rank),
      grammars_(options.model.folder, model_->config().vocab_size),
      adapters_({.max_bytes = options.host_adapter_bytes,
                 .num_slots = num_slots,
                 .slot_bytes = backend_->page_bytes(),
                 .max_rank = options.max_adapter_rank}),
      inbox_(options.max_waiting),
      loop_(*backend_, *model_, adapters_, inbox_, options, num_slots),
      thread_([this] { loop_.run(listener_); }) {}

StepEngine::~StepEngine() {
  inbox_.close();
  thread_.join();
}

const ModelConfig& StepEngine::config() const { return model_->config(); }

size_t StepEngine::weight_bytes() const { return model_->weight_bytes(); }

void StepEngine::on_step(std::function<void(StepReport&&)> callback) {
  listener_ = std::move(callback);
}

AdapterHandle StepEngine::load_adapter(const std::string& folder) {
  // Before the file is read, so that many loads at once stay within the limit too. A missing file
  // counts nothing here and is named by read_adapter().
  std::error_code missing;
  const auto weights = std::filesystem::path(folder) / "adapter_model.safetensors";
  const std::uintmax_t size = std::filesystem::file_size(weights, missing);
  HostAdapters::Reservation reserved(adapters_, missing ? 0 : size);
  std::unique_ptr<HostAdapter> adapter;
  try {
    adapter = read_adapter(folder, model_->config());
    prepare(*adapter);
  } catch (const EngineError&) {
    throw;
  } catch (const std::bad_alloc&) {
    throw EngineError("out_of_memory", "There is not enough memory for adapter " + folder + ".");
  } catch (const std::exception& error) {
    throw EngineError("adapter_invalid", error.what());
  }
  const size_t pool_bytes = backend_->adapter_bytes(*adapter);
  return adapters_.add(reserved, std::move(adapter), pool_bytes);
}

AdapterHandle StepEngine::load_random_adapter(int rank, std::vector<Module> modules,
                                              uint64_t seed) {
  check_rank(rank);
  if (modules.empty()) {
    throw EngineError("adapter_invalid", "modules is empty; name at least one projection.");
  }
  std::unique_ptr<HostAdapter> adapter = random_adapter(model_->config(), rank, modules, seed);
  prepare(*adapter);
  HostAdapters::Reservation reserved(adapters_, 0);
  const size_t pool_bytes = backend_->adapter_bytes(*adapter);
  return adapters_.add(reserved, std::move(adapter), pool_bytes);
}

void StepEngine::prepare(HostAdapter& adapter) const {
  if (backend_->prepare_adapter(adapter)) return;
  throw EngineError("adapter_memory_full",
                    "No stretch of hostAdapterBytes is free that would hold the adapter's " +
                        std::to_string(backend_->adapter_bytes(adapter)) +
                        " bytes. Unload another adapter first.");
}

void StepEngine::unload_adapter(AdapterHandle adapter) {
  adapters_.unload(adapter);
  inbox_.wake();
}

void StepEngine::pin_adapter(AdapterHandle adapter, bool pinned) { adapters_.pin(adapter, pinned); }

void StepEngine::submit(Request request) {
  check_request(request, config());
  auto sequence = std::make_unique<Sequence>();
  if (!request.grammar.empty()) sequence->constraint.emplace(grammar_of(request));
  if (request.adapter != 0) sequence->adapter = adapters_.hold(request.adapter);
  sequence->request = std::move(request);
  const AdapterRef adapter = sequence->adapter;
  try {
    const int adapter_slots = adapter == nullptr ? 0 : adapter->num_slots;
    check_fits(sequence->request, config(), num_slots_, adapter_slots, page_size_);
    inbox_.submit(std::move(sequence));
  } catch (...) {
    if (adapter != nullptr) {
      adapters_.release(adapter);
      inbox_.wake();  // The adapter may have been unloaded meanwhile, and this its last holder.
    }
    throw;
  }
}

void StepEngine::cancel(RequestId id) { inbox_.stop(id, FinishReason::kCancelled); }

void StepEngine::evict(RequestId id) { inbox_.stop(id, FinishReason::kEvicted); }

EngineStats StepEngine::stats() const {
  const StepLoop::Stats loop = loop_.stats();
  const Inbox::Counts requests = inbox_.counts();
  return {.num_steps = loop.num_steps,
          .num_running = requests.running,
          .num_waiting = requests.waiting,
          .page_size = page_size_,
          .page_bytes = backend_->page_bytes(),
          .num_slots = num_slots_,
          .free_slots = loop.free_slots,
          .cached_slots = loop.cached_slots,
          .kv_slots = loop.kv_slots,
          .adapter_slots = loop.adapter_slots,
          .num_adapter_copies = loop.num_adapter_copies,
          .host_adapter_bytes = adapters_.num_bytes(),
          .adapters = adapters_.states()};
}

std::shared_ptr<Grammar> StepEngine::grammar_of(const Request& request) {
  std::shared_ptr<Grammar> grammar;
  try {
    grammar = grammars_.get(request.grammar);
  } catch (const std::invalid_argument& error) {
    throw EngineError("invalid_request", error.what());
  }
  const auto generated = std::span(request.tokens).subspan(request.num_prompt_tokens);
  if (!grammar->begins_with(generated)) {
    throw EngineError("invalid_request",
                      "grammar: the tokens from numPromptTokens on do not begin a text of it.");
  }
  return grammar;
}

void StepEngine::check_rank(int rank) const {
  if (rank >= 1 && rank <= max_adapter_rank_) return;
  throw EngineError("adapter_invalid", "rank is " + std::to_string(rank) +
                                           "; it must be from 1 to " +
                                           std::to_string(max_adapter_rank_) + ".");
}

}  // namespace sgmv
