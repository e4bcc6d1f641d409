// Tokens a second of the paper's text generation: 1000 requests, 32 at a time, first come first
// served, for each mix of adapters. On random weights. (Punica, section 7.2.)
//
//   bench_textgen MODEL_FOLDER [-r RANK] [-n REQUESTS] [-l LENGTHS] [-m MIX]
//
// LENGTHS: "paper", prompts of mean 24 and 101 tokens in all, which is what the paper states for
// its 1000 requests; "punica", as the paper's published generator draws them: the same prompts, but
// totals uniform up to 2047; "sharegpt", prompts of mean 161 and answers of mean 338.
//
// Every step is checked: its segments must be the distinct adapters of the requests in it. In the
// mix "distinct" no two requests under way share an adapter.
#include <algorithm>
#include <cmath>
#include <deque>
#include <random>
#include <set>
#include <stdexcept>

#include "support/arguments.h"
#include "support/mixes.h"
#include "support/results.h"
#include "support/served.h"
#include "support/step_rig.h"

using namespace sgmv;

namespace {

constexpr int kBatch = 32;
constexpr int kWaiting = 4;        // submitted beside the batch, so that none of its places is idle
constexpr int kMaxAdapters = 128;  // in host memory; "distinct" takes them by turns
constexpr int kMaxTokens = 2048;   // of a request

struct Lengths {
  int num_prompt_tokens;
  int num_new_tokens;
};

int clamped(double value, int low, int high) {
  return static_cast<int>(std::clamp<double>(std::round(value), low, high));
}

class LengthSource {
 public:
  explicit LengthSource(std::string kind) : kind_(std::move(kind)) {
    if (kind_ != "paper" && kind_ != "punica" && kind_ != "sharegpt") {
      throw std::invalid_argument("lengths are paper, punica or sharegpt, not " + kind_);
    }
  }

  Lengths draw() {
    if (kind_ == "sharegpt") {
      return {clamped(log_normal(161), 4, 1024), clamped(log_normal(338), 1, 1024)};
    }
    const int prompt = clamped(log_normal(24), 2, 1024);
    if (kind_ == "paper") return {prompt, clamped(log_normal(77), 1, 1024)};
    const int total = static_cast<int>(random_() % kMaxTokens);
    return {prompt, std::max(1, total - prompt)};
  }

 private:
  // With the standard deviation of its logarithm 1.
  double log_normal(double mean) {
    return std::lognormal_distribution<double>(std::log(mean) - 0.5, 1)(random_);
  }

  std::string kind_;
  std::mt19937_64 random_{2024};
};

// Which adapter the next request is for.
class AdapterSource {
 public:
  AdapterSource(const std::string& mix, int num_requests, std::vector<AdapterHandle> adapters)
      : mix_(mix), adapters_(adapters.begin(), adapters.end()) {
    if (mix == "base" || mix == "distinct") return;
    const std::vector<int> counts = requests_by_adapter(mix, num_requests);
    for (size_t i = 0; i < counts.size(); ++i) order_.insert(order_.end(), counts[i], adapters[i]);
    std::ranges::shuffle(order_, std::mt19937_64(5));
  }

  AdapterHandle next() {
    if (mix_ == "base") return 0;
    std::deque<AdapterHandle>& from = mix_ == "distinct" ? adapters_ : order_;
    const AdapterHandle adapter = from.front();
    from.pop_front();
    return adapter;
  }
  // A request is over. In the mix "distinct" its adapter is the last to be used again.
  void give_back(AdapterHandle adapter) {
    if (mix_ == "distinct") adapters_.push_back(adapter);
  }

 private:
  std::string mix_;
  std::deque<AdapterHandle> adapters_;
  std::deque<AdapterHandle> order_;
};

// Counts steps and holds each to its segments.
class StepCheck {
 public:
  StepCheck(Server& server, std::string mix) : server_(server), mix_(std::move(mix)) {}

  // A step in which every request decodes gives each a token, so its tokens name its adapters.
  void observe(const StepReport& report) {
    if (report.num_prefill_tokens > 0 || report.num_decode_rows == 0) return;
    std::set<AdapterHandle> adapters;
    for (const RequestId id : report.token_request) adapters.insert(server_.adapter_of(id));
    adapters.erase(0);
    const int distinct = static_cast<int>(adapters.size());
    if (report.num_adapters != distinct ||
        (mix_ == "distinct" && distinct != report.num_decode_rows)) {
      problem_ = "a step of " + std::to_string(report.num_decode_rows) + " requests with " +
                 std::to_string(distinct) + " adapters had " + std::to_string(report.num_adapters) +
                 " segments";
    }
    ++num_steps_;
    num_rows_ += report.num_decode_rows;
    num_adapters_ += distinct;
    step_ms_.push_back(report.duration_ms);
  }

  void add_to(std::vector<Field>& row) {
    if (!problem_.empty()) throw std::runtime_error(problem_);
    row.emplace_back("decode_steps", num_steps_);
    row.emplace_back("mean_batch", num_rows_ / num_steps_);
    row.emplace_back("mean_segments", num_adapters_ / num_steps_);
    row.emplace_back("median_step_ms", quantile(step_ms_, 0.5));
  }

 private:
  Server& server_;
  std::string mix_;
  std::string problem_;
  int num_steps_ = 0;
  double num_rows_ = 0;
  double num_adapters_ = 0;
  std::vector<double> step_ms_;
};

class TextGen {
 public:
  explicit TextGen(const Arguments& arguments)
      : arguments_(arguments), num_requests_(static_cast<int>(arguments.number("-n", 1000))) {
    std::unique_ptr<Backend> backend = create_backend(arguments.backend());
    results_ = std::make_unique<Results>("textgen", arguments, *backend);
    EngineOptions options;
    options.model = {.folder = arguments.model_folder(), .source = WeightSource::kRandom};
    options.max_batch_size = kBatch;
    options.memory_fraction = 0.9;
    if (arguments.has("--cpu")) options.pool_bytes = size_t{1} << 30;
    options.host_adapter_bytes = size_t{12} << 30;
    server_ = std::make_unique<Server>(std::move(backend), options,
                                       [this](const Served& served) { next(served); });
    adapters_ = server_->load_adapters(std::min(kMaxAdapters, std::max(num_requests_, kBatch + 8)),
                                       static_cast<int>(arguments.number("-r", 16)));
  }

  void run() {
    const std::string only = arguments_.text("-m", "");
    for (const std::string& mix : kMixes) {
      if (only.empty() || only == mix) measure(mix);
    }
    results_->write();
  }

 private:
  void measure(const std::string& mix) {
    lengths_ = std::make_unique<LengthSource>(arguments_.text("-l", "paper"));
    source_ = std::make_unique<AdapterSource>(mix, num_requests_, adapters_);
    StepCheck check(*server_, mix);
    server_->on_step = [&check](const StepReport& report) { check.observe(report); };
    const uint64_t copies_before = server_->engine().stats().num_adapter_copies;
    const auto begin = BenchClock::now();
    num_submitted_ = std::min(num_requests_, kBatch + kWaiting);
    for (int i = 0; i < num_submitted_; ++i) submit_one();
    const std::vector<Served> served = server_->finish(num_requests_);
    const double seconds = std::chrono::duration<double>(BenchClock::now() - begin).count();
    server_->on_step = nullptr;

    double prompt = 0;
    double generated = 0;
    for (const Served& one : served) {
      prompt += one.num_prompt_tokens;
      generated += one.num_new_tokens;
    }
    const uint64_t copies = server_->engine().stats().num_adapter_copies - copies_before;
    std::vector<Field> row = {{"mix", mix},
                              {"requests", num_requests_},
                              {"prompt_tokens", prompt},
                              {"new_tokens", generated},
                              {"seconds", seconds},
                              {"tokens_per_s", std::round((prompt + generated) / seconds)},
                              {"copies", static_cast<double>(copies)}};
    check.add_to(row);
    results_->add(row);
  }

  // On the engine's thread.
  void next(const Served& served) {
    source_->give_back(served.adapter);
    if (num_submitted_ == num_requests_) return;
    ++num_submitted_;
    submit_one();
  }

  void submit_one() {
    const Lengths lengths = lengths_->draw();
    server_->submit(source_->next(), lengths.num_prompt_tokens, lengths.num_new_tokens);
  }

  const Arguments& arguments_;
  int num_requests_;
  std::unique_ptr<Results> results_;
  std::unique_ptr<LengthSource> lengths_;
  std::unique_ptr<AdapterSource> source_;
  std::vector<AdapterHandle> adapters_;
  int num_submitted_ = 0;
  std::unique_ptr<Server> server_;  // last, so that its thread ends first
};

void bench(int argc, char** argv) {
  const Arguments arguments(argc, argv, "[-r RANK] [-n REQUESTS] [-l LENGTHS] [-m MIX]",
                            {"-r", "-n", "-l", "-m"}, {});
  TextGen(arguments).run();
}

}  // namespace

int main(int argc, char** argv) { return run_bench(bench, argc, argv); }
