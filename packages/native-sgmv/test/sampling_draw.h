// What a test says of a row that two backends sample differently: the row's parameters, and where
// in the distribution each of the two tokens lies.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "backend/batch.h"
#include "backend/philox.h"

namespace sgmv {

inline std::string describe(const SampleRow& row) {
  const SamplingParams& p = *row.params;
  std::string biases;
  for (const auto& [token, bias] : p.logit_bias) {
    biases += " " + std::to_string(token) + ":" + std::to_string(bias);
  }
  char text[512];
  std::snprintf(text, sizeof text,
                "row %d at position %d: temperature %g, top_k %d, top_p %g, min_p %g, repetition "
                "%g, presence %g, frequency %g, %zu tokens of which %d of the prompt, bias {%s }, "
                "%s mask, %d logprobs, seed %llu",
                row.row, row.position, p.temperature, p.top_k, p.top_p, p.min_p,
                p.repetition_penalty, p.presence_penalty, p.frequency_penalty, row.tokens.size(),
                row.num_prompt_tokens, biases.c_str(), row.allowed.empty() ? "no" : "a",
                p.num_logprobs, static_cast<unsigned long long>(p.seed));
  return text;
}

// A row's choice by cpu/sampler.h, all in float64. The draw is a number from 0 to 1, and tokens
// that are kept have consecutive intervals there, the likeliest first.
class Draw {
 public:
  Draw(std::span<const float> raw, const SampleRow& row)
      : logits_(raw.begin(), raw.end()), uniform_(philox_uniform(row.params->seed, row.position)) {
    change(row);
    rank();
    keep(*row.params);
  }

  // Whether the two tokens are neighbours and the draw is so near the boundary between them that
  // rounding of the weights in f32 may decide.
  bool is_open(int32_t a, int32_t b) const {
    constexpr double kRounding = 1e-6;
    const size_t first = std::min(rank_of(a), rank_of(b));
    const size_t second = std::max(rank_of(a), rank_of(b));
    return second == first + 1 && second < ends_.size() &&
           std::abs(uniform_ - ends_[first]) <= kRounding;
  }

  std::string describe(int32_t token) const {
    const size_t rank = rank_of(token);
    std::string text = "token " + std::to_string(token);
    if (rank >= order_.size()) return text + " is none of the vocabulary";
    text += " has logit " + std::to_string(logits_[token]) + " and comes " + std::to_string(rank);
    if (rank >= ends_.size())
      return text + ", beyond the " + std::to_string(ends_.size()) + " kept";
    const double begin = rank == 0 ? 0 : ends_[rank - 1];
    char distances[128];
    std::snprintf(distances, sizeof distances,
                  "; the draw %.9f is %.3g after its begin, %.3g before "
                  "its end",
                  uniform_, uniform_ - begin, ends_[rank] - uniform_);
    return text + distances;
  }

 private:
  size_t rank_of(int32_t token) const { return std::ranges::find(order_, token) - order_.begin(); }

  void change(const SampleRow& row) {
    const SamplingParams& p = *row.params;
    std::vector<int> all(logits_.size()), generated(logits_.size());
    for (int i = 0; i < static_cast<int>(row.tokens.size()); ++i) {
      ++all[row.tokens[i]];
      if (i >= row.num_prompt_tokens) ++generated[row.tokens[i]];
    }
    for (size_t i = 0; i < logits_.size(); ++i) {
      double& logit = logits_[i];
      if (all[i] > 0)
        logit = logit > 0 ? logit / p.repetition_penalty : logit * p.repetition_penalty;
      if (generated[i] > 0)
        logit -= p.presence_penalty + double{p.frequency_penalty} * generated[i];
    }
    for (const auto& [token, bias] : p.logit_bias) logits_[token] += bias;
    for (size_t i = 0; i < logits_.size() && !row.allowed.empty(); ++i) {
      if ((row.allowed[i / 32] >> (i % 32) & 1) == 0) logits_[i] = -INFINITY;
    }
  }

  void rank() {
    order_.resize(logits_.size());
    std::iota(order_.begin(), order_.end(), 0);
    std::ranges::stable_sort(order_, [&](int32_t a, int32_t b) { return logits_[a] > logits_[b]; });
  }

  void keep(const SamplingParams& p) {
    const size_t size = order_.size();
    const size_t num_top = p.top_k > 0 ? std::min<size_t>(p.top_k, size) : size;
    const double temperature = std::max(double{p.temperature}, 1e-5);
    for (size_t i = 0; i < num_top; ++i) {
      const double weight = std::exp((logits_[order_[i]] - logits_[order_[0]]) / temperature);
      if (i > 0 && weight < p.min_p) break;
      ends_.push_back(weight + (i == 0 ? 0 : ends_.back()));
    }
    // top_p is of the top k, whatever min_p leaves of them.
    double total = ends_.back();
    for (size_t i = ends_.size(); i < num_top; ++i) {
      total += std::exp((logits_[order_[i]] - logits_[order_[0]]) / temperature);
    }
    if (p.top_p < 1) {
      const auto last = std::ranges::lower_bound(ends_, p.top_p * total);
      if (last != ends_.end()) ends_.erase(last + 1, ends_.end());
    }
    const double kept = ends_.back();
    for (double& end : ends_) end /= kept;
  }

  std::vector<double> logits_;
  const double uniform_;
  std::vector<int32_t> order_;  // of all tokens
  std::vector<double> ends_;    // of the intervals of those that are kept
};

}  // namespace sgmv
