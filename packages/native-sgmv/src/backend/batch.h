#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "backend/lora.h"
#include "backend/tensor.h"

namespace sgmv {

// How the next token of one sequence is chosen. The defaults are greedy decoding.
struct SamplingParams {
  float temperature = 0;  // 0: greedy
  int top_k = 0;          // 0: off
  float top_p = 1;
  float min_p = 0;
  float repetition_penalty = 1;  // over prompt and generated tokens (Keskar et al. 2019)
  float presence_penalty = 0;    // over generated tokens, as in OpenAI's API
  float frequency_penalty = 0;   // over generated tokens, as in OpenAI's API
  std::vector<std::pair<int32_t, float>> logit_bias{};
  int num_logprobs = -1;  // -1: none; 0: of the chosen token; n: of the n most likely ones too
  uint64_t seed = 0;
};

// One row of logits to sample from.
struct SampleRow {
  int row;  // of the batch
  const SamplingParams* params;
  int32_t position;                 // of the token to be chosen; with the seed, all its randomness
  std::span<const int32_t> tokens;  // prompt and generated tokens so far
  int num_prompt_tokens;
  // Bit (t % 32) of word t / 32: whether token t may be chosen. Empty: all may.
  std::span<const uint32_t> allowed{};
};

struct TokenLogprob {
  int32_t token;
  float logprob;  // natural logarithm, of the distribution before temperature and truncation
};

struct Sample {
  // false: the logits of this row are not finite, or no token is allowed, and none was chosen.
  // Weights of one tenant can do that; the other rows are none the worse for it.
  bool is_valid = true;
  int32_t token = 0;
  float logprob = 0;                // set when num_logprobs >= 0
  std::vector<TokenLogprob> top{};  // num_logprobs entries, most likely first
};

// The rows of one step: prefill chunks and decode rows together, sorted by adapter, so that each
// adapter is one segment. All arrays are in host memory and live until the step is over.
struct Batch {
  int num_rows;
  int num_seqs;
  const int32_t* tokens;       // [num_rows]
  const int32_t* positions;    // [num_rows]
  const int32_t* row_start;    // [num_seqs + 1]: rows of each sequence
  const int32_t* context_len;  // [num_seqs]: tokens in the KV cache once this step's are added
  const int32_t* page_start;   // [num_seqs + 1]
  const int32_t* pages;        // [page_start[num_seqs]]: page numbers, in order of position
  Segments segments;
  const DeviceAdapter* const* adapters;  // [num_segments]; null: rows of the base model alone
  std::span<const SampleRow> samples;
};

}  // namespace sgmv
