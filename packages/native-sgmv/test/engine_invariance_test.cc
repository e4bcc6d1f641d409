// Whatever is in the batch with it, however its prompt is cut, wherever its adapter and its pages
// lie, and whatever was evicted: a request's tokens are those of its run alone, to the last bit of
// their log-probabilities on the CPU.
//
//   engine_invariance_test [cpu | cuda]
//
// Runs in packages/native-sgmv.
#include <random>

#include "model_engine.h"

using namespace sgmv;

namespace {

constexpr int kNewTokens = 24;
constexpr int kNumSlots = 512;
constexpr int kMoves = 4;

std::string backend = "cpu";

EngineOptions options_of(int max_batch_size, int max_step_tokens, int num_slots = kNumSlots) {
  EngineOptions options;
  options.max_batch_size = max_batch_size;
  options.max_step_tokens = max_step_tokens;
  options.pool_bytes = num_slots;
  return options;
}

Request request_of(AdapterHandle adapter, std::vector<int32_t> prompt) {
  Request request{};
  request.adapter = adapter;
  request.num_prompt_tokens = static_cast<int>(prompt.size());
  request.tokens = std::move(prompt);
  request.max_new_tokens = kNewTokens;
  request.sampling.num_logprobs = 2;
  return request;
}

SamplingParams everything_on(uint64_t seed) {
  SamplingParams sampling;
  sampling.temperature = 0.9F;
  sampling.top_k = 200;
  sampling.top_p = 0.95F;
  sampling.min_p = 0.001F;
  sampling.repetition_penalty = 1.1F;
  sampling.presence_penalty = 0.2F;
  sampling.frequency_penalty = 0.1F;
  sampling.logit_bias = {{17, 1.5F}};
  sampling.seed = seed;
  sampling.num_logprobs = 0;
  return sampling;
}

// Two requests for the base model and each adapter: one greedy, one sampled with everything on.
std::vector<Request> requests_for(const std::vector<AdapterHandle>& handles) {
  std::mt19937 random(42);
  std::vector<Request> requests;
  for (const AdapterHandle handle : handles) {
    requests.push_back(request_of(handle, random_prompt(random, 1 + random() % 150)));
    requests.push_back(request_of(handle, random_prompt(random, 1 + random() % 40)));
    requests.back().sampling = everything_on((uint64_t{1} << 63) + handle);
  }
  return requests;
}

// Submits what is left of a request again after each eviction; the first `num_moves` are asked for.
Outcome run_to_end(ModelEngine& running, const Request& request, RequestId id, int num_moves) {
  Outcome whole;
  for (;;) {
    if (num_moves-- > 0) {
      running.wait_for_first(id);
      running.engine().evict(id);
    }
    const Outcome part = running.wait_for(id);
    whole.tokens.insert(whole.tokens.end(), part.tokens.begin(), part.tokens.end());
    whole.logprobs.insert(whole.logprobs.end(), part.logprobs.begin(), part.logprobs.end());
    whole.reason = part.reason;
    if (part.reason != FinishReason::kEvicted) return whole;
    Request rest = request;
    rest.tokens.insert(rest.tokens.end(), whole.tokens.begin(), whole.tokens.end());
    id = running.start(std::move(rest));
  }
}

std::vector<Outcome> run_alone(ModelEngine& running, const std::vector<Request>& requests) {
  std::vector<Outcome> outcomes;
  for (const Request& request : requests) outcomes.push_back(running.run(request));
  return outcomes;
}

// Counts what differs before it ends the test, so that a run on a GPU that nobody sits at tells
// how far off it is.
void check_same(const char* what, const std::vector<Outcome>& outcomes,
                const std::vector<Outcome>& alone) {
  int num_tokens = 0;
  int num_logprobs = 0;
  CHECK(outcomes.size() == alone.size());
  for (size_t i = 0; i < alone.size(); ++i) {
    CHECK(outcomes[i].reason == alone[i].reason);
    num_tokens += outcomes[i].tokens != alone[i].tokens;
    num_logprobs += outcomes[i].logprobs != alone[i].logprobs;
  }
  std::printf("%s: of %zu requests %d differ in a token, %d in a log-probability\n", what,
              alone.size(), num_tokens, num_logprobs);
  CHECK(num_tokens == 0);
  if (backend == "cpu") CHECK(num_logprobs == 0);
}

void check_together(const char* what, const EngineOptions& options, int num_moves,
                    const std::vector<Outcome>& alone) {
  ModelEngine running(backend, options);
  const std::vector<Request> requests = requests_for(running.load_adapters());
  std::vector<RequestId> ids;
  for (const Request& request : requests) ids.push_back(running.start(request));
  std::vector<Outcome> outcomes;
  for (size_t i = 0; i < ids.size(); ++i) {
    outcomes.push_back(run_to_end(running, requests[i], ids[i], num_moves));
  }
  check_same(what, outcomes, alone);
}

void check_prefixes(const std::vector<Outcome>& alone) {
  ModelEngine running(backend, options_of(32, 512));
  std::vector<Request> requests = requests_for(running.load_adapters());
  for (Request& request : requests) request.cache_key = "tenant";
  check_same("with pages that it computed before", run_alone(running, requests), alone);
  const int cold = running.num_prefill_tokens();
  check_same("with pages of another request", run_alone(running, requests), alone);
  CHECK(running.num_prefill_tokens() - cold < 16 * static_cast<int>(requests.size()));
  CHECK(running.engine().stats().kv_slots == 0);
}

}  // namespace

int main(int argc, char** argv) {
  backend = backend_of(argc, argv);
  std::vector<Outcome> alone;
  {
    ModelEngine running(backend, options_of(32, 512));
    alone = run_alone(running, requests_for(running.load_adapters()));
  }
  for (const Outcome& outcome : alone) CHECK(outcome.reason == FinishReason::kLength);
  check_together("in one batch with all others", options_of(14, 512), 0, alone);
  check_together("with prompts cut into small chunks", options_of(4, 5), 0, alone);
  check_together("with chunks that match no page", options_of(8, 17), 0, alone);
  check_together("with a pool that holds few adapters", options_of(32, 512, 40), 0, alone);
  check_together("evicted again and again", options_of(32, 512), kMoves, alone);
  check_prefixes(alone);
}
