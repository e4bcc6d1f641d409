#include "engine/check_request.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/sequence.h"

namespace sgmv {
namespace {

constexpr int kMaxStopTokens = 64;
constexpr int kMaxLogitBias = 1024;
constexpr int kMaxLogprobs = 20;
constexpr size_t kMaxCacheKeyBytes = 256;

[[noreturn]] void refuse(const std::string& message) {
  throw EngineError("invalid_request", message);
}

template <typename Number>
std::string text(Number value) {
  char buffer[32];
  return {buffer, std::to_chars(buffer, buffer + sizeof(buffer), value).ptr};
}

// Written so that NaN is out of every range.
template <typename Number>
void check_range(const char* field, Number value, Number min, Number max) {
  if (value >= min && value <= max) return;
  refuse(std::string(field) + " is " + text(value) + "; it must be from " + text(min) + " to " +
         text(max) + ".");
}

void check_above_zero(const char* field, float value, float max) {
  if (value > 0 && value <= max) return;
  refuse(std::string(field) + " is " + text(value) + "; it must be above 0 and at most " +
         text(max) + ".");
}

void check_vocabulary(const char* field, std::span<const int32_t> tokens, int vocab_size) {
  for (size_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i] >= 0 && tokens[i] < vocab_size) continue;
    refuse(std::string(field) + "[" + text(i) + "] is " + text(tokens[i]) +
           "; the model's token ids are 0 to " + text(vocab_size - 1) + ".");
  }
}

void check_count(const char* field, size_t count, size_t max) {
  if (count <= max) return;
  refuse(std::string(field) + " has " + text(count) + " entries; at most " + text(max) +
         " are allowed.");
}

void check_tokens(const Request& request, const ModelConfig& config) {
  if (request.tokens.empty()) refuse("tokens is empty; a request needs at least one token.");
  const auto num_tokens = static_cast<int64_t>(request.tokens.size());
  if (num_tokens >= config.max_positions) {
    refuse("tokens has " + text(num_tokens) + " entries; the model's context of " +
           text(config.max_positions) +
           " positions must have room for one more. Shorten the prompt.");
  }
  check_vocabulary("tokens", request.tokens, config.vocab_size);
  if (request.num_prompt_tokens < 1 || request.num_prompt_tokens > num_tokens) {
    refuse("numPromptTokens is " + text(request.num_prompt_tokens) +
           "; it must be from 1 to the number of tokens, " + text(num_tokens) + ".");
  }
  const int64_t num_generated = num_tokens - request.num_prompt_tokens;
  if (request.max_new_tokens <= num_generated) {
    refuse("maxNewTokens is " + text(request.max_new_tokens) + "; it must be above " +
           text(num_generated) + ", the tokens generated so far.");
  }
  check_count("stopTokens", request.stop_tokens.size(), kMaxStopTokens);
  check_vocabulary("stopTokens", request.stop_tokens, config.vocab_size);
}

void check_sampling(const SamplingParams& sampling, int vocab_size) {
  check_range("sampling.temperature", sampling.temperature, 0.0F, 2.0F);
  check_range("sampling.topK", sampling.top_k, 0, INT32_MAX);
  check_above_zero("sampling.topP", sampling.top_p, 1);
  check_range("sampling.minP", sampling.min_p, 0.0F, 1.0F);
  check_above_zero("sampling.repetitionPenalty", sampling.repetition_penalty, 2);
  check_range("sampling.presencePenalty", sampling.presence_penalty, -2.0F, 2.0F);
  check_range("sampling.frequencyPenalty", sampling.frequency_penalty, -2.0F, 2.0F);
  check_range("sampling.numLogprobs", sampling.num_logprobs, -1,
              std::min(kMaxLogprobs, vocab_size));
  check_count("sampling.logitBias", sampling.logit_bias.size(), kMaxLogitBias);
  std::vector<int32_t> biased;
  for (const auto& [token, bias] : sampling.logit_bias) {
    biased.push_back(token);
    check_range("A bias of sampling.logitBias", bias, -100.0F, 100.0F);
  }
  check_vocabulary("sampling.logitBias", biased, vocab_size);
}

}  // namespace

void check_request(const Request& request, const ModelConfig& config) {
  check_tokens(request, config);
  check_sampling(request.sampling, config.vocab_size);
  if (request.ignore_eos && !request.grammar.empty()) {
    refuse("ignoreEos is true; an answer that is held to a grammar ends with its text.");
  }
  if (request.cache_key.size() > kMaxCacheKeyBytes) {
    refuse("cacheKey has " + text(request.cache_key.size()) + " bytes; at most " +
           text(kMaxCacheKeyBytes) + " are allowed.");
  }
}

void check_fits(const Request& request, const ModelConfig& config, int num_slots, int adapter_slots,
                int page_size) {
  const int64_t num_tokens =
      std::min<int64_t>(config.max_positions,
                        static_cast<int64_t>(request.num_prompt_tokens) + request.max_new_tokens);
  // The last token generated is never computed.
  const int num_pages = pages_for(static_cast<int>(num_tokens) - 1, page_size);
  if (num_pages + adapter_slots <= num_slots) return;
  throw EngineError("request_too_large",
                    "The request may grow to " + text(num_tokens) + " tokens, " + text(num_pages) +
                        " KV pages, and its adapter takes " + text(adapter_slots) +
                        " slots; the pool has " + text(num_slots) +
                        ". Shorten the prompt, lower maxNewTokens, or raise poolBytes.");
}

}  // namespace sgmv
