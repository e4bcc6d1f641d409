// Reports of steps: which tokens have log-probabilities, and two reports made one.
#include "engine/step_report.h"

#include <cmath>
#include <vector>

#include "check.h"

using namespace sgmv;

namespace {

Request request_of(RequestId id, int num_logprobs) {
  Request request{};
  request.id = id;
  request.tokens = {1, 2, 3};
  request.num_prompt_tokens = 2;
  request.sampling.num_logprobs = num_logprobs;
  return request;
}

Sample sample_of(int32_t token) { return {.token = token, .logprob = -1, .top = {}}; }

void logprobs_are_one_a_token_or_none() {
  StepReport report{};
  add_token(report, request_of(1, -1), sample_of(10));
  CHECK(report.logprobs.empty() && report.token_index == std::vector<int32_t>{1});
  add_token(report, request_of(2, 0), sample_of(20));
  add_token(report, request_of(3, -1), sample_of(30));
  CHECK(report.logprobs.size() == 3);
  CHECK(std::isnan(report.logprobs[0].logprob) && std::isnan(report.logprobs[2].logprob));
  CHECK(report.logprobs[1].logprob == -1);
}

void merged_reports_keep_tokens_and_ends_in_order() {
  StepReport first{};
  first.step = 7;
  first.num_decode_rows = 2;
  add_token(first, request_of(1, -1), sample_of(10));
  add_end(first, 1, FinishReason::kLength, false);

  StepReport second{};
  second.step = 8;
  second.num_decode_rows = 3;
  second.num_adapters = 2;
  add_token(second, request_of(2, 1), sample_of(20));
  add_end(second, 3, FinishReason::kEvicted, true);
  add_error(second, "failed");

  merge(first, std::move(second));
  CHECK(first.step == 8 && first.num_decode_rows == 5 && first.num_adapters == 2);
  CHECK(first.token == std::vector<int32_t>({10, 20}));
  CHECK(first.token_request == std::vector<RequestId>({1, 2}));
  CHECK(first.logprobs.size() == 2 && std::isnan(first.logprobs[0].logprob));
  CHECK(first.end_request == std::vector<RequestId>({1, 3}));
  CHECK(first.end_by_pressure == std::vector<bool>({false, true}));
  CHECK(first.error == "failed");
}

}  // namespace

int main() {
  logprobs_are_one_a_token_or_none();
  merged_reports_keep_tokens_and_ends_in_order();
}
