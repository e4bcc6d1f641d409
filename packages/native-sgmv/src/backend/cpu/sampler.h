#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "backend/batch.h"
#include "backend/cpu/kernels.h"

namespace sgmv {

// Memory that one thread's sampling reuses from row to row.
struct SamplerScratch {
  struct Counts {
    int32_t all = 0;
    int32_t generated = 0;
  };
  struct Candidate {
    float logit;
    float weight;
    int32_t token;
  };
  std::vector<float> logits;          // of the row, after penalties and bias
  std::vector<float> weights;         // e^((logit - max) / temperature)
  std::vector<Counts> counts;         // of each token of the vocabulary; zero between calls
  std::vector<Candidate> candidates;  // a head of the vocabulary sorted by (logit, -token)
};

// Chooses the next token from one row of logits.
//
// In this order: repetition penalty over prompt and generated tokens (Keskar et al. 2019: positive
// logits divided, others multiplied), presence and frequency penalty over generated tokens (OpenAI:
// subtracted once, and once a count), logit bias, and what is not allowed left out. Greedy then
// takes the largest, and the lowest token id among equals. Otherwise the logits are divided by the
// temperature; top_k keeps the k likeliest tokens; top_p of these, as renormalised, the fewest
// likeliest that make up top_p; min_p those at least min_p times as likely as the likeliest. Among
// the kept, sorted by (probability descending, token ascending), Philox(seed, position) chooses by
// inverse CDF.
//
// Log-probabilities are of the raw logits. Where any of these is NaN or infinite, or no token is
// allowed, the sample is not valid.
Sample sample(std::span<const float> logits, const SampleRow& row, SamplerScratch& scratch,
              const Kernels& kernels);

}  // namespace sgmv
