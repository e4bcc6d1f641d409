// Sampling: penalties worked by hand, truncations against a full sort in float64, frequencies
// against exact probabilities, and Philox against the published vectors.
#include "backend/cpu/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>

#include "backend/philox.h"
#include "check.h"

using namespace sgmv;

namespace {

const Kernels& kernels = select_kernels(std::nullopt);

Sample sample_at(const std::vector<float>& logits, const SamplingParams& params, int position,
                 const std::vector<int32_t>& tokens = {}, int num_prompt_tokens = 0) {
  static SamplerScratch scratch;  // One for all, to see that nothing is left in it.
  return sample(logits, {0, &params, position, tokens, num_prompt_tokens}, scratch, kernels);
}

void test_philox() {
  const Philox zero = philox(0, {{0, 0, 0, 0}});
  CHECK(zero.x[0] == 0x6627e8d5 && zero.x[1] == 0xe169c58d);
  CHECK(zero.x[2] == 0xbc57ac4c && zero.x[3] == 0x9b00dbd8);
  const Philox pi = philox(0x299f31d0a4093822, {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}});
  CHECK(pi.x[0] == 0xd16cfe09 && pi.x[1] == 0x94fdcceb);
  CHECK(pi.x[2] == 0x5001e420 && pi.x[3] == 0x24126ea1);
}

void test_greedy() {
  CHECK(sample_at({1, 5, 2, 5}, {}, 0).token == 1);  // The lowest among equals.
  CHECK(sample_at({-3}, {}, 0).token == 0);
  CHECK(sample_at({1, 2, 3}, {.temperature = 1e-8f}, 0).token == 2);
}

void test_penalties() {
  const std::vector<float> logits{4, 3.5f, -1, 0};
  // 4 / 2 = 2, however often and wherever the token is.
  const SamplingParams repetition{.repetition_penalty = 2};
  CHECK(sample_at(logits, repetition, 2, {0, 0}, 2).token == 1);
  CHECK(sample_at(logits, repetition, 2, {0, 1}, 1).token == 0);  // 2 and 1.75
  // -1 * 2 = -2: a penalty makes negative logits smaller.
  CHECK(sample_at({-1.5f, -1}, repetition, 1, {1}, 1).token == 0);
  // Presence and frequency do not count the prompt.
  const SamplingParams presence{.presence_penalty = 0.6f};
  CHECK(sample_at(logits, presence, 1, {0}, 1).token == 0);
  CHECK(sample_at(logits, presence, 1, {0}, 0).token == 1);        // 3.4
  CHECK(sample_at(logits, presence, 2, {0, 1, 0}, 0).token == 0);  // 3.4 and 2.9: once a token
  const SamplingParams frequency{.frequency_penalty = 0.2f};
  CHECK(sample_at(logits, frequency, 2, {0, 0}, 0).token == 0);     // 3.6
  CHECK(sample_at(logits, frequency, 3, {0, 0, 0}, 0).token == 1);  // 3.4
  CHECK(sample_at(logits, frequency, 4, {0, 0, 0, 0}, 1).token == 1);
  CHECK(sample_at(logits, {.logit_bias = {{3, 4.5f}, {0, -1.0f}}}, 0).token == 3);
  // All at once on token 0: 4 / 2 - 0.6 - 2 * 0.2 + 3 = 4.
  const SamplingParams all{.repetition_penalty = 2,
                           .presence_penalty = 0.6f,
                           .frequency_penalty = 0.2f,
                           .logit_bias = {{0, 3.0f}, {1, 0.45f}}};
  CHECK(sample_at(logits, all, 3, {0, 0, 0}, 1).token == 0);
  CHECK(sample_at(logits, all, 3, {0, 0, 0, 0}, 1).token == 1);  // 3.8 and 3.95
}

// The distribution that `params` leave, by a full sort in float64.
std::vector<double> exact_probabilities(const std::vector<float>& logits,
                                        const SamplingParams& params) {
  const int size = static_cast<int>(logits.size());
  std::vector<int> order(size);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logits[a] > logits[b]; });
  std::vector<double> p(size);
  for (int i = 0; i < size; ++i) {
    p[i] = std::exp((static_cast<double>(logits[i]) - logits[order[0]]) / params.temperature);
  }
  int kept = params.top_k > 0 ? std::min(params.top_k, size) : size;
  double total = 0;
  for (int i = 0; i < kept; ++i) total += p[order[i]];
  if (params.top_p < 1) {
    double sum = 0;
    int i = 0;
    while (i < kept && (i == 0 || sum < params.top_p * total)) sum += p[order[i++]];
    kept = i;
  }
  while (kept > 1 && p[order[kept - 1]] < params.min_p) --kept;
  double mass = 0;
  for (int i = 0; i < kept; ++i) mass += p[order[i]];
  std::vector<double> result(size);
  for (int i = 0; i < kept; ++i) result[order[i]] = p[order[i]] / mass;
  return result;
}

// Frequencies over many positions, within five standard deviations of what they should be.
void check_frequencies(const std::vector<float>& logits, SamplingParams params) {
  constexpr int kNumDraws = 20000;
  params.seed = 42;
  const std::vector<double> expected = exact_probabilities(logits, params);
  std::vector<int> counts(logits.size());
  for (int position = 0; position < kNumDraws; ++position) {
    ++counts[sample_at(logits, params, position).token];
  }
  for (size_t token = 0; token < logits.size(); ++token) {
    const double p = expected[token];
    if (p == 0) CHECK(counts[token] == 0);
    const double deviation = std::sqrt(kNumDraws * p * (1 - p));
    CHECK(std::abs(counts[token] - kNumDraws * p) <= 5 * deviation + 1);
  }
}

void test_distributions() {
  const std::vector<float> few{1.0f, 2.5f, 0.3f, -1.0f, 2.5f, 1.9f, -30.0f};
  std::vector<float> many(500);
  std::mt19937 random(10);
  std::normal_distribution<float> normal(0, 2);
  for (float& logit : many) logit = normal(random);
  const SamplingParams cases[] = {
      {.temperature = 1},
      {.temperature = 0.5f},
      {.temperature = 20},
      {.temperature = 1, .top_k = 1},
      {.temperature = 1, .top_k = 3},
      {.temperature = 1, .top_k = 100000},
      {.temperature = 1, .top_p = 0},
      {.temperature = 1, .top_p = 0.01f},
      {.temperature = 1, .top_p = 0.8f},
      {.temperature = 1, .min_p = 0.2f},
      {.temperature = 1, .min_p = 1},
      {.temperature = 1.3f, .top_k = 4, .top_p = 0.9f, .min_p = 0.1f},
  };
  for (const SamplingParams& params : cases) {
    check_frequencies(few, params);
    check_frequencies(many, params);
  }
  check_frequencies(std::vector<float>(64, 0.0f), {.temperature = 1});  // All equal.
}

void test_seed_and_position_decide() {
  const std::vector<float> logits(1000, 0.0f);
  SamplingParams params{.temperature = 1};
  int num_same_by_position = 0;
  int num_same_by_seed = 0;
  for (int position = 0; position < 100; ++position) {
    params.seed = 7;
    const int32_t token = sample_at(logits, params, position).token;
    CHECK(sample_at(logits, params, position, {1, 2}, 1).token == token);
    num_same_by_position += sample_at(logits, params, position + 1).token == token ? 1 : 0;
    params.seed = uint64_t{7} << 32;
    num_same_by_seed += sample_at(logits, params, position).token == token ? 1 : 0;
  }
  CHECK(num_same_by_position < 3 && num_same_by_seed < 3);
  // Inverse CDF over the tokens by descending probability, then ascending id.
  const auto expected = static_cast<int32_t>(1000 * philox_uniform(params.seed, 5));
  CHECK(sample_at(logits, params, 5).token == expected);
}

void test_logprobs() {
  const std::vector<float> logits{0, 3, -2, 3, 1};
  double total = 0;
  for (const float logit : logits) total += std::exp(static_cast<double>(logit));
  const auto is_logprob = [&](float value, int token) {
    return std::abs(value - (logits[token] - std::log(total))) < 1e-6;
  };
  // Of the raw logits, whatever made the choice.
  const SamplingParams params{
      .temperature = 0, .repetition_penalty = 9, .logit_bias = {{2, 50.0f}}, .num_logprobs = 3};
  const Sample result = sample_at(logits, params, 0, {1}, 1);
  CHECK(result.token == 2 && is_logprob(result.logprob, 2));
  CHECK(result.top.size() == 3);
  const int32_t likeliest[] = {1, 3, 4};
  for (int i = 0; i < 3; ++i) {
    CHECK(result.top[i].token == likeliest[i] && is_logprob(result.top[i].logprob, likeliest[i]));
  }
  CHECK(sample_at(logits, {.num_logprobs = 99}, 0).top.size() == logits.size());
  CHECK(sample_at(logits, {.num_logprobs = 0}, 0).top.empty());
}

void test_non_finite_logits_give_no_token() {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const size_t at : {0, 16, 30, 32}) {
      std::vector<float> logits(33, 1.0f);
      logits[at] = bad;
      CHECK(!sample_at(logits, {}, 0).is_valid);
    }
  }
}

void test_allowed() {
  const std::vector<float> logits{3, 9, 1, 2};
  static SamplerScratch scratch;
  const auto sample_of = [&](const SamplingParams& params, std::vector<uint32_t> allowed, int at) {
    const SampleRow row{.row = 0,
                        .params = &params,
                        .position = at,
                        .tokens = {},
                        .num_prompt_tokens = 0,
                        .allowed = allowed};
    return sample(logits, row, scratch, kernels);
  };
  CHECK(sample_of({}, {0b1101}, 0).token == 0);
  CHECK(sample_of({.logit_bias = {{1, 50.0f}, {3, 2.0f}}}, {0b1101}, 0).token == 3);
  CHECK(!sample_of({}, {0}, 0).is_valid);
  const SamplingParams params{.temperature = 2, .top_k = 3, .num_logprobs = 0, .seed = 5};
  int counts[4] = {};
  for (int i = 0; i < 2000; ++i) ++counts[sample_of(params, {0b1001}, i).token];
  CHECK(counts[1] == 0 && counts[2] == 0 && counts[0] > counts[3] && counts[3] > 500);
  // Log-probabilities are of all tokens, as without it.
  CHECK(sample_of(params, {0b1000}, 0).logprob < -7);
}

}  // namespace

int main() {
  test_philox();
  test_greedy();
  test_allowed();
  test_penalties();
  test_distributions();
  test_seed_and_position_decide();
  test_logprobs();
  test_non_finite_logits_give_no_token();
}
