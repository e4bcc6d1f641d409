// Compares the model on the CPU backend with golden files that Hugging Face Transformers and PEFT
// wrote (golden/make_golden.py): logits of prefill, decode and chunked prefill, batches of mixed
// adapters, and greedy continuations. Runs in packages/native-sgmv.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "check.h"
#include "harness.h"
#include "model/convert.h"
#include "model/json.h"
#include "model/safetensors.h"

namespace sgmv {
namespace {

constexpr double kTolerance = 1e-3;
constexpr int kMaxRows = 512;
constexpr int kWhole = kMaxRows;

struct Case {
  std::string name;
  std::string adapter;
  std::vector<int32_t> prompt;
  std::vector<int32_t> continuation;
  std::vector<int32_t> steps;  // of the continuation, whose logits are kept
};

std::vector<int32_t> to_ints(const Json& json) {
  std::vector<int32_t> ints;
  for (const Json& entry : std::get<Json::Array>(json.value)) {
    ints.push_back(static_cast<int32_t>(std::get<double>(entry.value)));
  }
  return ints;
}

std::vector<Case> read_cases(const std::string& folder) {
  std::vector<Case> cases;
  const Json json = read_json_file(folder + "/golden.json", 1 << 20);
  for (const Json& entry : std::get<Json::Array>(json.find("cases")->value)) {
    cases.push_back({std::get<std::string>(entry.find("name")->value),
                     std::get<std::string>(entry.find("adapter")->value),
                     to_ints(*entry.find("prompt")), to_ints(*entry.find("continuation")),
                     to_ints(*entry.find("steps"))});
  }
  return cases;
}

double norm(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += double{value} * value;
  return std::sqrt(sum);
}

// One folder of golden files, and the model and adapters they are about, ready to run.
class Fixture {
 public:
  Fixture(const std::string& folder, const std::string& model_folder,
          const std::string& adapters_folder, const CpuOptions& options)
      : folder_(folder),
        cases_(read_cases(folder)),
        golden_(Safetensors::open_file(folder + "/golden.safetensors")),
        harness_(create_cpu_backend(options), {.folder = model_folder, .max_rows = kMaxRows},
                 /*num_slots=*/2000) {
    for (const Case& c : cases_) {
      if (c.adapter.empty() || adapters_.contains(c.adapter)) continue;
      adapters_[c.adapter] =
          harness_.add_adapter(read_adapter(adapters_folder + "/" + c.adapter, harness_.config()));
    }
  }

  void run() {
    for (const Case& c : cases_) {
      for (const int chunk_size : {kWhole, 1, 3, 7}) check_alone(c, chunk_size);
    }
    for (const int chunk_size : {kWhole, 7}) check_mixed(chunk_size);
    std::printf("%s: largest relative error %.2g\n", folder_.c_str(), largest_error_);
  }

 private:
  TestSequence start(const Case& c) const {
    return {c.adapter.empty() ? nullptr : adapters_.at(c.adapter), c.prompt, 0, {}};
  }

  // `logits` are the last rows of the golden tensor `name`, or hold it as their own last rows.
  void check_logits(const std::string& name, std::span<const float> logits, int num_rows) {
    const int vocab_size = harness_.config().vocab_size;
    const std::vector<float> golden = to_f32(golden_.matrix(name, num_rows, vocab_size));
    CHECK(logits.size() >= golden.size());
    const std::span<const float> last = logits.last(golden.size());
    for (int row = 0; row < num_rows; ++row) {
      const std::span<const float> expected(golden.data() + row * vocab_size, vocab_size);
      std::vector<float> difference(expected.begin(), expected.end());
      for (int i = 0; i < vocab_size; ++i) difference[i] -= last[row * vocab_size + i];
      const double error = norm(difference) / norm(expected);
      largest_error_ = std::max(largest_error_, error);
      if (!(error <= kTolerance)) {
        std::fprintf(stderr, "%s %s row %d: relative error %g\n", folder_.c_str(), name.c_str(),
                     row, error);
        std::exit(1);
      }
    }
  }

  void check_continuation(const Case& c, const TestSequence& sequence) const {
    const std::vector<int32_t> got(sequence.tokens.begin() + static_cast<int>(c.prompt.size()),
                                   sequence.tokens.end());
    if (got == c.continuation) return;
    std::fprintf(stderr, "%s %s: another continuation\n", folder_.c_str(), c.name.c_str());
    std::exit(1);
  }

  // Prefill in chunks of `chunk_size`, then greedy decoding.
  void check_alone(const Case& c, int chunk_size) {
    harness_.reset();
    TestSequence sequence = start(c);
    const int prompt_size = static_cast<int>(c.prompt.size());
    std::vector<float> prefill;
    int32_t token = 0;
    while (sequence.num_cached < prompt_size) {
      const Chunk chunk{&sequence, std::min(chunk_size, prompt_size - sequence.num_cached)};
      const ChunkResult result = harness_.step({&chunk, 1})[0];
      prefill.insert(prefill.end(), result.logits.begin(), result.logits.end());
      token = result.token;
    }
    const int num_golden = num_golden_prefill_rows(c);
    check_logits(c.name + ".prefill", prefill, num_golden);

    std::vector<float> decode;
    size_t next = 0;
    for (size_t step = 0;; ++step) {
      sequence.tokens.push_back(token);
      if (step + 1 == c.continuation.size()) break;
      const Chunk chunk{&sequence, 1};
      const ChunkResult result = harness_.step({&chunk, 1})[0];
      token = result.token;
      if (next < c.steps.size() && static_cast<int>(step) + 1 == c.steps[next]) {
        decode.insert(decode.end(), result.logits.begin(), result.logits.end());
        ++next;
      }
    }
    CHECK(next == c.steps.size());
    check_logits(c.name + ".decode", decode, static_cast<int>(c.steps.size()));
    check_continuation(c, sequence);
  }

  int num_golden_prefill_rows(const Case& c) const {
    return static_cast<int>(golden_.tensors().at(c.name + ".prefill").shape[0]);
  }

  // All cases in one batch: some still prefill while others decode.
  void check_mixed(int chunk_size) {
    harness_.reset();
    std::vector<TestSequence> sequences;
    for (const Case& c : cases_) sequences.push_back(start(c));
    std::vector<float> last(cases_.size() * harness_.config().vocab_size);
    for (bool running = true; running;) {
      std::vector<Chunk> chunks;
      std::vector<size_t> chunk_case;
      for (size_t i = 0; i < cases_.size(); ++i) {
        const Case& c = cases_[i];
        TestSequence& sequence = sequences[i];
        if (sequence.tokens.size() == c.prompt.size() + c.continuation.size()) continue;
        const int uncached = static_cast<int>(sequence.tokens.size()) - sequence.num_cached;
        chunks.push_back({&sequence, std::min(uncached, chunk_size)});
        chunk_case.push_back(i);
      }
      running = !chunks.empty();
      if (running) advance(chunks, chunk_case, last);
    }
    check_logits("mixed.last", last, static_cast<int>(cases_.size()));
    for (size_t i = 0; i < cases_.size(); ++i) check_continuation(cases_[i], sequences[i]);
  }

  // One step of check_mixed(); `last` gets the logits of every prompt's last position.
  void advance(std::span<const Chunk> chunks, std::span<const size_t> chunk_case,
               std::span<float> last) {
    const size_t vocab_size = harness_.config().vocab_size;
    const std::vector<ChunkResult> results = harness_.step(chunks);
    for (size_t i = 0; i < chunks.size(); ++i) {
      TestSequence& sequence = *chunks[i].sequence;
      const size_t num_tokens = sequence.tokens.size();
      if (sequence.num_cached < static_cast<int>(num_tokens)) continue;
      if (num_tokens == cases_[chunk_case[i]].prompt.size()) {
        std::copy(results[i].logits.end() - static_cast<int64_t>(vocab_size),
                  results[i].logits.end(), last.begin() + chunk_case[i] * vocab_size);
      }
      sequence.tokens.push_back(results[i].token);
    }
  }

  std::string folder_;
  std::vector<Case> cases_;
  Safetensors golden_;
  Harness harness_;
  std::map<std::string, const DeviceAdapter*> adapters_;
  double largest_error_ = 0;
};

void run_all(const CpuOptions& options) {
  for (const char* name :
       {"llama-gqa", "llama3-rope", "llama-linear-bias", "mistral-window", "qwen2", "qwen3"}) {
    const std::string folder = std::string("test/golden/data/") + name;
    Fixture(folder, folder + "/model", folder + "/adapters", options).run();
  }
  Fixture("test/golden/data/demo", "../../models/base", "../../models/adapters", options).run();
}

}  // namespace
}  // namespace sgmv

int main() {
  sgmv::run_all({.num_threads = 2});
  sgmv::run_all({.num_threads = 1, .max_isa = sgmv::CpuIsa::kPortable});
}
