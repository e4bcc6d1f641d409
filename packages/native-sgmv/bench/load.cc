// What it costs to bring adapters to the device: the time of a copy, the time between two tokens of
// other requests meanwhile, and the time to the first token where the adapters in use are twice as
// many as fit. On random weights.
//
//   bench_load MODEL_FOLDER [-r RANK] [-s REQUESTS_PER_S] [-n REQUESTS]
#include <atomic>
#include <cmath>
#include <random>
#include <thread>

#include "support/arguments.h"
#include "support/results.h"
#include "support/served.h"
#include "support/step_rig.h"

using namespace sgmv;

namespace {

constexpr int kBatch = 32;
constexpr int kContext = 512;
constexpr int kCopies = 41;
constexpr int kTurns = 3;
constexpr int kStepsPerTurn = 200;
constexpr int kStepsPerCopy = 4;

constexpr int kResidentAdapters = 32;
constexpr int kPromptTokens = 128;
constexpr int kNewTokens = 64;
constexpr int kPageSize = 16;

// ---- the copy alone ----

double copy_ms(StepRig& rig) {
  const auto begin = BenchClock::now();
  const auto adapter = rig.backend().place_adapter(rig.host_adapter(), rig.first_free_slot());
  while (!rig.backend().adapter_ready(*adapter)) {
  }
  return std::chrono::duration<double, std::milli>(BenchClock::now() - begin).count();
}

void measure_copy(StepRig& rig, Results& results) {
  std::vector<double> times;
  for (int i = 0; i < kCopies; ++i) times.push_back(copy_ms(rig));
  const double median = quantile(times, 0.5);
  const double megabytes = static_cast<double>(rig.adapter_bytes()) / 1e6;
  results.add({{"copy", "host to device"},
               {"adapter_mb", megabytes},
               {"median_ms", median},
               {"p99_ms", quantile(times, 0.99)},
               {"gb_per_s", megabytes / median}});
}

// ---- others meanwhile ----

enum class Beside { kNothing, kCopies, kHostLoads };

// Adapters that are read into host memory, one after the other, for as long as this lives.
class HostLoads {
 public:
  HostLoads(StepRig& rig, int rank)
      : thread_([this, &rig, rank] {
          for (uint64_t seed = 0; !stopping_; ++seed) {
            const auto adapter = random_adapter(rig.config(), rank, kAllModules, seed);
            rig.backend().prepare_adapter(*adapter);
          }
        }) {}
  ~HostLoads() { stopping_ = true; }

 private:
  std::atomic<bool> stopping_{false};
  std::jthread thread_;
};

std::vector<double> step_times(StepRig& rig, Beside beside, int rank) {
  std::unique_ptr<HostLoads> loads;
  if (beside == Beside::kHostLoads) loads = std::make_unique<HostLoads>(rig, rank);
  std::vector<double> times;
  std::unique_ptr<DeviceAdapter> copied;
  for (int i = 0; i < kStepsPerTurn; ++i) {
    if (beside == Beside::kCopies && i % kStepsPerCopy == 0) {
      copied = rig.backend().place_adapter(rig.host_adapter(), rig.first_free_slot());
    }
    times.push_back(rig.decode("distinct", kBatch, kContext));
  }
  return times;
}

void measure_others(StepRig& rig, Results& results, int rank) {
  const std::pair<Beside, const char*> kinds[] = {{Beside::kNothing, "nothing"},
                                                  {Beside::kCopies, "a copy every 4 steps"},
                                                  {Beside::kHostLoads, "reading into host memory"}};
  std::vector<double> times[3];
  for (int turn = 0; turn < kTurns; ++turn) {
    for (int kind = 0; kind < 3; ++kind) {
      const std::vector<double> more = step_times(rig, kinds[kind].first, rank);
      times[kind].insert(times[kind].end(), more.begin(), more.end());
    }
  }
  const double alone = quantile(times[0], 0.99);
  for (int kind = 0; kind < 3; ++kind) {
    results.add({{"beside", std::string(kinds[kind].second)},
                 {"steps", static_cast<int>(times[kind].size())},
                 {"median_ms", quantile(times[kind], 0.5)},
                 {"p99_ms", quantile(times[kind], 0.99)},
                 {"p99_over_alone", quantile(times[kind], 0.99) / alone}});
  }
}

// ---- a working set beyond the budget ----

struct Load {
  int num_requests;
  double per_second;
};

// Requests arrive at random times (Poisson), each for an adapter of the first `num_adapters`, all
// equally likely, which is the worst there is for a cache.
std::vector<Served> serve(Server& server, const std::vector<AdapterHandle>& adapters,
                          size_t num_adapters, const Load& load) {
  std::mt19937_64 random(7);
  std::exponential_distribution<double> seconds(load.per_second);
  auto next = BenchClock::now();
  for (int i = 0; i < load.num_requests; ++i) {
    std::this_thread::sleep_until(next);
    server.submit(adapters[random() % num_adapters], kPromptTokens, kNewTokens);
    next += std::chrono::duration_cast<BenchClock::duration>(
        std::chrono::duration<double>(seconds(random)));
  }
  return server.finish(load.num_requests);
}

double add_working_set(Results& results, Server& server, std::vector<Served> served,
                       uint64_t copies_before, int num_adapters, size_t budget,
                       double resident_ms) {
  std::vector<double> first;
  std::vector<double> gaps;
  for (const Served& one : served) {
    first.push_back(one.first_token_ms);
    gaps.insert(gaps.end(), one.gaps_ms.begin(), one.gaps_ms.end());
  }
  const double median = quantile(first, 0.5);
  const auto copies = static_cast<double>(server.engine().stats().num_adapter_copies);
  results.add({{"adapters_in_use", num_adapters},
               {"adapters_that_fit", static_cast<int>(budget)},
               {"copies", copies - static_cast<double>(copies_before)},
               {"median_ttft_ms", median},
               {"p99_ttft_ms", quantile(first, 0.99)},
               {"over_resident", resident_ms == 0 ? 1 : median / resident_ms},
               {"median_itl_ms", quantile(gaps, 0.5)},
               {"p99_itl_ms", quantile(gaps, 0.99)}});
  return median;
}

void measure_working_set(const Arguments& arguments, Results& results, size_t page_bytes,
                         size_t adapter_bytes) {
  const Load load{static_cast<int>(arguments.number("-n", 400)), arguments.number("-s", 20)};
  const size_t adapter_slots = (adapter_bytes + page_bytes - 1) / page_bytes;
  constexpr int kPages = (kPromptTokens + kNewTokens + kPageSize - 1) / kPageSize + 1;
  const size_t num_slots = kResidentAdapters * adapter_slots + kBatch * kPages;
  // Pages that no request has hold adapters too, so all of the pool counts as theirs.
  const size_t budget = num_slots / adapter_slots;
  EngineOptions options;
  options.model = {
      .folder = arguments.model_folder(), .source = WeightSource::kRandom, .page_size = kPageSize};
  options.max_batch_size = kBatch;
  options.pool_bytes = page_bytes * num_slots;
  options.host_adapter_bytes = 2 * (budget + 1) * adapter_slots * page_bytes;
  Server server(create_backend(arguments.backend()), options);
  const std::vector<AdapterHandle> adapters = server.load_adapters(
      static_cast<int>(2 * budget), static_cast<int>(arguments.number("-r", 16)));
  // Brings those that stay to the device, and the step's shapes to their graphs.
  serve(server, adapters, kResidentAdapters, {200, 4 * load.per_second});
  double resident_ms = 0;
  for (const size_t in_use : {size_t{kResidentAdapters}, 2 * budget}) {
    const uint64_t before = server.engine().stats().num_adapter_copies;
    resident_ms = add_working_set(results, server, serve(server, adapters, in_use, load), before,
                                  static_cast<int>(in_use), budget, resident_ms);
  }
}

void bench(int argc, char** argv) {
  const Arguments arguments(argc, argv, "[-r RANK] [-s REQUESTS_PER_S] [-n REQUESTS]",
                            {"-r", "-s", "-n"}, {});
  const int rank = static_cast<int>(arguments.number("-r", 16));
  auto rig = std::make_unique<StepRig>(RigOptions{.folder = arguments.model_folder(),
                                                  .backend = arguments.backend(),
                                                  .rank = rank,
                                                  .max_sequences = kBatch,
                                                  .max_context = kContext,
                                                  .num_adapters = kBatch});
  Results results("load", arguments, rig->backend());
  rig->fill(kContext);
  measure_copy(*rig, results);
  measure_others(*rig, results, rank);
  const size_t page_bytes = rig->backend().page_bytes();
  const size_t adapter_bytes = rig->adapter_bytes();
  rig.reset();
  measure_working_set(arguments, results, page_bytes, adapter_bytes);
  results.write();
}

}  // namespace

int main(int argc, char** argv) { return run_bench(bench, argc, argv); }
