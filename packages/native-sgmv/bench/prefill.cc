// Milliseconds of steps that prefill: prompts of 64 tokens with the paper's mixes of adapters, one
// long prompt, and a chunk beside 32 sequences that decode. On random weights; the floor is the
// greater of what the bytes and what the operations take.
//
//   bench_prefill MODEL_FOLDER [-r RANK] [-f TFLOPS]
//
// TFLOPS is what the card multiplies at; the default is an H100's rate on its data sheet (bf16,
// dense).
#include <algorithm>
#include <cmath>
#include <functional>

#include "support/arguments.h"
#include "support/mixes.h"
#include "support/results.h"
#include "support/step_rig.h"

using namespace sgmv;

namespace {

constexpr int kMaxRows = 2048;
constexpr int kPromptRows = 64;
constexpr int kDecodeBatch = 32;
constexpr int kDecodeContext = 512;
constexpr int kWarmUpSteps = 3;
constexpr int kTimedSteps = 11;
constexpr double kH100Tflops = 989;

double median_of(const std::function<double()>& step) {
  std::vector<double> times;
  for (int i = 0; i < kWarmUpSteps + kTimedSteps; ++i) {
    const double ms = step();
    if (i >= kWarmUpSteps) times.push_back(ms);
  }
  return quantile(times, 0.5);
}

class Prefill {
 public:
  explicit Prefill(const Arguments& arguments)
      : tflops_(arguments.number("-f", kH100Tflops)),
        rig_({.folder = arguments.model_folder(),
              .backend = arguments.backend(),
              .rank = static_cast<int>(arguments.number("-r", 16)),
              .max_sequences = kDecodeBatch + 1,
              .max_context = kMaxRows,
              .max_rows = kMaxRows,
              .num_adapters = kDecodeBatch + 1}),
        results_("prefill", arguments, rig_.backend()) {
    rig_.fill(kDecodeContext);
  }

  void run() {
    for (const int rows : {64, 128, 256, 512, 1024, kMaxRows}) {
      for (const std::string& mix : kMixes) prompts(rows, mix);
    }
    for (const int rows : {64, 128, 256, 512, 1024, kMaxRows}) {
      for (const char* mix : {"base", "identical"}) one_prompt(rows, mix);
    }
    for (const int rows : {64, 128, 256, 512, 1024}) {
      for (const char* mix : {"base", "distinct"}) beside_decode(rows, mix);
    }
    results_.write();
  }

 private:
  void prompts(int rows, const std::string& mix) {
    const int count = rows / kPromptRows;
    std::vector<Stretch> stretches;
    for (int i = 0; i < count; ++i) stretches.push_back({i, 0, kPromptRows});
    measure("prompts of 64", mix, stretches, requests_by_adapter(mix, count));
  }

  void one_prompt(int rows, const std::string& mix) {
    measure("one prompt", mix, {{0, 0, rows}}, {1});
  }

  // `rows` in all, of which 32 decode.
  void beside_decode(int rows, const std::string& mix) {
    std::vector<Stretch> stretches;
    for (int i = 0; i < kDecodeBatch; ++i) stretches.push_back({i, kDecodeContext - 1, 1});
    stretches.push_back({kDecodeBatch, 0, rows - kDecodeBatch});
    measure("beside 32 decodes", mix, stretches, requests_by_adapter(mix, kDecodeBatch + 1));
  }

  void measure(const char* what, const std::string& mix, const std::vector<Stretch>& stretches,
               const std::vector<int>& segments) {
    const bool has_adapters = mix != "base";
    const double ms = median_of([&] { return rig_.step(stretches, segments, has_adapters); });
    double rows = 0;
    double cached = 0;
    double pairs = 0;
    for (const Stretch& s : stretches) {
      rows += s.num_rows;
      cached += s.first_position;
      pairs += s.num_rows * (s.first_position + (s.num_rows + 1) / 2.0);
    }
    const int num_adapters = has_adapters ? static_cast<int>(segments.size()) : 0;
    const double flops = rig_.step_flops(rows, static_cast<double>(stretches.size()), pairs);
    const double floor_ms =
        std::max(rig_.step_bytes(num_adapters, cached) / (results_.gb_per_s() * 1e6),
                 flops / (tflops_ * 1e9));
    results_.add({{"step", what},
                  {"rows", rows},
                  {"mix", mix},
                  {"adapters", num_adapters},
                  {"ms", ms},
                  {"floor_ms", floor_ms},
                  {"ratio", ms / floor_ms},
                  {"rows_per_s", std::round(rows / ms * 1e3)},
                  {"tflops", flops / (ms * 1e9)}});
  }

  double tflops_;
  StepRig rig_;
  Results results_;
};

void bench(int argc, char** argv) {
  Prefill(Arguments(argc, argv, "[-r RANK] [-f TFLOPS]", {"-r", "-f"}, {})).run();
}

}  // namespace

int main(int argc, char** argv) { return run_bench(bench, argc, argv); }
