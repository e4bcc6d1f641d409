#include "backend/cpu/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "backend/philox.h"

namespace sgmv {
namespace {

// Below this a logit divided by the temperature may overflow; the choice is greedy by then anyway.
constexpr float kMinTemperature = 1e-5f;

using Candidate = SamplerScratch::Candidate;

bool is_likelier(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

bool changes_logits(const SamplingParams& p) {
  return p.repetition_penalty != 1 || p.presence_penalty != 0 || p.frequency_penalty != 0 ||
         !p.logit_bias.empty();
}

bool is_allowed(std::span<const uint32_t> allowed, int32_t token) {
  return (allowed[token / 32] >> (token % 32) & 1) != 0;
}

// Leaves the tokens of `allowed` and makes the others impossible; false where that is all.
bool keep_allowed(std::span<float> logits, std::span<const uint32_t> allowed) {
  bool is_any = false;
  for (int32_t token = 0; token < static_cast<int32_t>(logits.size()); ++token) {
    if (is_allowed(allowed, token)) {
      is_any = true;
    } else {
      logits[token] = -std::numeric_limits<float>::infinity();
    }
  }
  return is_any;
}

// Adds penalties and bias to `logits`.
void change_logits(std::span<float> logits, const SampleRow& row,
                   std::vector<SamplerScratch::Counts>& counts) {
  const SamplingParams& p = *row.params;
  counts.resize(logits.size());
  const int num_tokens = static_cast<int>(row.tokens.size());
  for (int i = 0; i < num_tokens; ++i) {
    SamplerScratch::Counts& count = counts[row.tokens[i]];
    ++count.all;
    if (i >= row.num_prompt_tokens) ++count.generated;
  }
  for (const int32_t token : row.tokens) {
    SamplerScratch::Counts& count = counts[token];
    if (count.all == 0) continue;  // Its other occurrence has been here.
    float& logit = logits[token];
    logit = logit > 0 ? logit / p.repetition_penalty : logit * p.repetition_penalty;
    if (count.generated > 0) {
      logit -= p.presence_penalty + p.frequency_penalty * static_cast<float>(count.generated);
    }
    count = {};
  }
  for (const auto& [token, bias] : p.logit_bias) logits[token] += bias;
}

int32_t first_index_of(std::span<const float> values, float value) {
  return static_cast<int32_t>(std::find(values.begin(), values.end(), value) - values.begin());
}

// The vocabulary from its likeliest token on, as far as it was asked for. Sorting everything would
// cost more than all else, and what is asked for is mostly short: so the tokens above a threshold
// are sorted, and the threshold falls when they do not suffice.
class Ranking {
 public:
  Ranking(std::span<const float> logits, std::span<const float> weights,
          std::vector<Candidate>& candidates)
      : logits_(logits), weights_(weights), candidates_(candidates) {
    candidates_.clear();
  }

  int size() const { return static_cast<int>(weights_.size()); }

  const Candidate& operator[](int index) {
    while (index >= static_cast<int>(candidates_.size())) extend();
    return candidates_[index];
  }

 private:
  // Every token below the threshold is less likely than all candidates, so what is there stays.
  void extend() {
    const float upper = threshold_;
    threshold_ = upper > kLastThreshold ? upper * kThresholdStep : kNone;
    const auto num_sorted = static_cast<std::ptrdiff_t>(candidates_.size());
    for (int32_t token = 0; token < size(); ++token) {
      const float weight = weights_[token];
      if (weight > threshold_ && weight <= upper) {
        candidates_.push_back({logits_[token], weight, token});
      }
    }
    std::sort(candidates_.begin() + num_sorted, candidates_.end(), is_likelier);
  }

  static constexpr float kThresholdStep = 1.0f / 32;
  static constexpr float kLastThreshold = 1e-12f;
  static constexpr float kNone = -1;

  std::span<const float> logits_;
  std::span<const float> weights_;
  std::vector<Candidate>& candidates_;
  float threshold_ = 2;  // Weights are at most 1.
};

int32_t choose(Ranking& ranking, std::span<const float> weights, const SampleRow& row) {
  const SamplingParams& p = *row.params;
  const int num_top = p.top_k > 0 ? std::min(p.top_k, ranking.size()) : ranking.size();

  double total = 0;  // of the top k
  if (num_top == ranking.size()) {
    total = std::accumulate(weights.begin(), weights.end(), 0.0);
  } else {
    for (int i = 0; i < num_top; ++i) total += ranking[i].weight;
  }

  int num_kept = num_top;
  double kept = total;
  if (p.top_p < 1 || p.min_p > 0) {
    const double mass = p.top_p < 1 ? p.top_p * total : std::numeric_limits<double>::infinity();
    // The likeliest token stays whatever the limits; its weight is 1.
    num_kept = 1;
    kept = ranking[0].weight;
    while (num_kept < num_top && kept < mass && ranking[num_kept].weight >= p.min_p) {
      kept += ranking[num_kept++].weight;
    }
  }

  const double target = philox_uniform(p.seed, row.position) * kept;
  double sum = 0;
  for (int i = 0; i < num_kept; ++i) {
    sum += ranking[i].weight;
    if (sum > target) return ranking[i].token;
  }
  // `kept` was summed in another order and is larger by an ulp. What has no weight is not allowed.
  while (num_kept > 1 && ranking[num_kept - 1].weight == 0) --num_kept;
  return ranking[num_kept - 1].token;
}

void add_logprobs(Sample& result, std::span<const float> logits, float max, const SampleRow& row,
                  SamplerScratch& scratch, const Kernels& kernels) {
  const int size = static_cast<int>(logits.size());
  scratch.weights.resize(size);
  kernels.exp(scratch.weights.data(), logits.data(), size, max, 1.0f);
  const double sum = std::accumulate(scratch.weights.begin(), scratch.weights.end(), 0.0);
  const double log_sum = max + std::log(sum);
  const auto logprob = [&](int32_t token) { return static_cast<float>(logits[token] - log_sum); };

  result.logprob = logprob(result.token);
  const int num_top = std::min(row.params->num_logprobs, size);
  result.top.reserve(num_top);
  Ranking ranking(logits, scratch.weights, scratch.candidates);
  for (int i = 0; i < num_top; ++i) {
    const int32_t token = ranking[i].token;
    result.top.push_back({token, logprob(token)});
  }
}

}  // namespace

Sample sample(std::span<const float> raw_logits, const SampleRow& row, SamplerScratch& scratch,
              const Kernels& kernels) {
  const SamplingParams& p = *row.params;
  const int size = static_cast<int>(raw_logits.size());
  const Summary raw = kernels.summarize(raw_logits.data(), size);
  if (!raw.all_finite) return {.is_valid = false};

  std::span<const float> logits = raw_logits;
  float max = raw.max;
  if (changes_logits(p) || !row.allowed.empty()) {
    scratch.logits.assign(raw_logits.begin(), raw_logits.end());
    if (changes_logits(p)) change_logits(scratch.logits, row, scratch.counts);
    if (!row.allowed.empty() && !keep_allowed(scratch.logits, row.allowed)) {
      return {.is_valid = false};
    }
    logits = scratch.logits;
    max = kernels.summarize(logits.data(), size).max;
  }

  Sample result;
  if (p.temperature < kMinTemperature) {
    result.token = first_index_of(logits, max);
  } else {
    scratch.weights.resize(size);
    kernels.exp(scratch.weights.data(), logits.data(), size, max, 1.0f / p.temperature);
    Ranking ranking(logits, scratch.weights, scratch.candidates);
    result.token = choose(ranking, scratch.weights, row);
  }
  if (p.num_logprobs >= 0) add_logprobs(result, raw_logits, raw.max, row, scratch, kernels);
  return result;
}

}  // namespace sgmv
