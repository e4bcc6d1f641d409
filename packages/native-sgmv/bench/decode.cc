// Milliseconds of a whole decode step (forward pass, sampling and what the host does between) for
// batches, contexts and the paper's mixes of adapters, on random weights, beside the time that the
// bytes alone take at the rate at which the card reads memory.
//
//   bench_decode MODEL_FOLDER [-r RANK] [--quick] [--overhead]
//
// --quick: batch 32 at context 512 alone. --overhead: that step without adapters in it, where
// adapters are loaded and where there are none, by turns.
#include "support/arguments.h"
#include "support/mixes.h"
#include "support/results.h"
#include "support/step_rig.h"

using namespace sgmv;

namespace {

constexpr int kWarmUpSteps = 4;
constexpr int kTimedSteps = 25;
constexpr int kOverheadSteps = 400;

double median_of_decode(StepRig& rig, const std::string& mix, int batch, int context) {
  std::vector<double> times;
  for (int i = 0; i < kWarmUpSteps + kTimedSteps; ++i) {
    const double ms = rig.decode(mix, batch, context);
    if (i >= kWarmUpSteps) times.push_back(ms);
  }
  return quantile(times, 0.5);
}

void measure_table(const Arguments& arguments) {
  const bool quick = arguments.has("--quick");
  const std::vector<int> batches = quick ? std::vector{32} : std::vector{1, 8, 16, 32, 64};
  const std::vector<int> contexts = quick ? std::vector{512} : std::vector{128, 512, 1024};
  StepRig rig({.folder = arguments.model_folder(),
               .backend = arguments.backend(),
               .rank = static_cast<int>(arguments.number("-r", 16)),
               .max_sequences = batches.back(),
               .max_context = contexts.back(),
               .num_adapters = batches.back()});
  Results results("decode", arguments, rig.backend());
  rig.fill(contexts.back());
  for (const int batch : batches) {
    for (const int context : contexts) {
      for (const std::string& mix : kMixes) {
        const int num_adapters =
            mix == "base" ? 0 : static_cast<int>(requests_by_adapter(mix, batch).size());
        const double ms = median_of_decode(rig, mix, batch, context);
        const double num_cached = double{1} * batch * context;
        const double floor_ms =
            rig.step_bytes(num_adapters, num_cached) / (results.gb_per_s() * 1e6);
        results.add({{"batch", batch},
                     {"context", context},
                     {"mix", mix},
                     {"adapters", num_adapters},
                     {"ms", ms},
                     {"floor_ms", floor_ms},
                     {"ratio", ms / floor_ms}});
      }
    }
  }
  results.write();
}

void measure_overhead(const Arguments& arguments) {
  constexpr int kBatch = 32;
  constexpr int kContext = 512;
  RigOptions options{.folder = arguments.model_folder(),
                     .backend = arguments.backend(),
                     .max_sequences = kBatch,
                     .max_context = kContext};
  StepRig without(options);
  options.num_adapters = kBatch;
  StepRig with(options);
  Results results("decode --overhead", arguments, with.backend());
  std::vector<double> times[2];
  for (StepRig* rig : {&without, &with}) rig->fill(kContext);
  with.decode("distinct", kBatch, kContext);
  for (int i = 0; i < kWarmUpSteps + kOverheadSteps; ++i) {
    // Who goes first takes turns too.
    for (const int turn : {i % 2, 1 - i % 2}) {
      const double ms = (turn == 0 ? without : with).decode("base", kBatch, kContext);
      if (i >= kWarmUpSteps) times[turn].push_back(ms);
    }
  }
  const double without_ms = quantile(times[0], 0.5);
  const double with_ms = quantile(times[1], 0.5);
  results.add({{"batch", kBatch},
               {"context", kContext},
               {"without_lora_ms", without_ms},
               {"base_only_ms", with_ms},
               {"ratio", with_ms / without_ms}});
  results.write();
}

void bench(int argc, char** argv) {
  const Arguments arguments(argc, argv, "[-r RANK] [--quick] [--overhead]", {"-r"},
                            {"--quick", "--overhead"});
  arguments.has("--overhead") ? measure_overhead(arguments) : measure_table(arguments);
}

}  // namespace

int main(int argc, char** argv) { return run_bench(bench, argc, argv); }
