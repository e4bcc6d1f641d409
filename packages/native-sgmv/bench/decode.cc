// Milliseconds of a whole decode step (forward pass, sampling and what the host does between) for
// batches, contexts and the paper's mixes of adapters, on random weights, beside the time that the
// bytes alone take.
//
//   bench_decode MODEL_FOLDER [-r RANK] [-g GB_PER_S] [-o OUT.json] [-p PLUGIN_OPTIONS] [-q]
//   [--cpu]
//
// MODEL_FOLDER needs config.json alone. GB_PER_S is the rate at which the card reads memory. -q
// measures batch 32 at context 512 alone.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "backend/create_backend.h"
#include "model/model.h"

using namespace sgmv;

namespace {

constexpr int kPageSize = 16;
constexpr int kMaxRows = 1024;
constexpr int kMaxContext = 1024;
constexpr int kWarmUpSteps = 4;
constexpr int kTimedSteps = 25;

constexpr Module kAllModules[] = {Module::kQ,    Module::kK,  Module::kV,   Module::kO,
                                  Module::kGate, Module::kUp, Module::kDown};

struct Arguments {
  std::string folder;
  BackendOptions backend{.kind = "cuda"};
  int rank = 16;
  double gb_per_s = 3020;
  std::string out;
  std::vector<int> batch_sizes{1, 8, 16, 32, 64};
  std::vector<int> contexts{128, 512, 1024};
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--cpu") {
      arguments.backend.kind = "cpu";
    } else if (argument == "-q") {
      arguments.batch_sizes = {32};
      arguments.contexts = {512};
    } else if (argument == "-r" && has_value) {
      arguments.rank = std::atoi(argv[++i]);
    } else if (argument == "-g" && has_value) {
      arguments.gb_per_s = std::atof(argv[++i]);
    } else if (argument == "-o" && has_value) {
      arguments.out = argv[++i];
    } else if (argument == "-p" && has_value) {
      arguments.backend.plugin_options = argv[++i];
    } else {
      arguments.folder = argument;
    }
  }
  return arguments;
}

// Rows of each adapter.
std::vector<int> segment_lengths(const std::string& mix, int batch) {
  if (mix == "base" || mix == "identical") return {batch};
  if (mix == "distinct") return std::vector<int>(batch, 1);
  std::vector<int> lengths;
  if (mix == "uniform") {
    const int count = static_cast<int>(std::ceil(std::sqrt(batch)));
    for (int i = 0; i < count; ++i) lengths.push_back((batch + i) / count);
    return lengths;
  }
  int left = batch;  // skewed: each adapter has 1.5 times the rows of the next
  for (double size = 1; left > 0; size *= 1.5) {
    lengths.push_back(std::min(left, static_cast<int>(size)));
    left -= lengths.back();
  }
  return lengths;
}

class Bench {
 public:
  explicit Bench(const Arguments& arguments)
      : rank_(arguments.rank),
        max_batch_(*std::ranges::max_element(arguments.batch_sizes)),
        pages_per_seq_(*std::ranges::max_element(arguments.contexts) / kPageSize + 1),
        backend_(create_backend(arguments.backend)),
        model_(load_model(*backend_, {.folder = arguments.folder,
                                      .source = WeightSource::kRandom,
                                      .max_rows = kMaxRows,
                                      .page_size = kPageSize})) {
    place_adapters();
    fill_pages(*std::ranges::max_element(arguments.contexts));
  }

  std::string describe() const { return backend_->describe(); }

  // The median of the steps of one kind, in milliseconds.
  double measure(const std::string& mix, int batch, int context) {
    const std::vector<int> segments = segment_lengths(mix, batch);
    std::vector<double> times;
    for (int i = 0; i < kWarmUpSteps + kTimedSteps; ++i) {
      const auto start = std::chrono::steady_clock::now();
      step(segments, mix != "base", batch, 1, context - 1);
      const auto end = std::chrono::steady_clock::now();
      if (i >= kWarmUpSteps) {
        times.push_back(std::chrono::duration<double, std::milli>(end - start).count());
      }
    }
    std::ranges::nth_element(times, times.begin() + kTimedSteps / 2);
    return times[kTimedSteps / 2];
  }

  // Bytes that a step must read: weights, keys and values, and every adapter of the batch once.
  double bytes(const std::string& mix, int batch, int context) const {
    const ModelConfig& c = model_->config();
    const double q = double(c.num_heads) * c.head_dim;
    const double kv = double(c.num_kv_heads) * c.head_dim;
    const double layer = double(c.hidden_size) * (2 * q + 2 * kv + 3.0 * c.intermediate_size);
    const double weights = 2 * (layer * c.num_layers + double(c.vocab_size) * c.hidden_size);
    const double cache = 4 * kv * c.num_layers * batch * context;
    const double adapters =
        mix == "base" ? 0 : double(adapter_bytes_) * segment_lengths(mix, batch).size();
    return weights + cache + adapters;
  }

 private:
  // Every row of a batch has an adapter of its own in memory; two in host memory are enough.
  void place_adapters() {
    for (int i = 0; i < 2; ++i) {
      hosts_.push_back(random_adapter(model_->config(), rank_, kAllModules, i));
      backend_->prepare_adapter(*hosts_.back());
    }
    adapter_bytes_ = backend_->adapter_bytes(*hosts_[0]);
    const int num_slots =
        static_cast<int>((adapter_bytes_ + backend_->page_bytes() - 1) / backend_->page_bytes());
    const int first_slot = max_batch_ * pages_per_seq_;
    backend_->reserve_pool(first_slot + max_batch_ * num_slots);
    for (int i = 0; i < max_batch_; ++i) {
      adapters_.push_back(backend_->place_adapter(*hosts_[i % 2], first_slot + i * num_slots));
    }
    for (const auto& adapter : adapters_) {
      while (!backend_->adapter_ready(*adapter)) std::this_thread::yield();
    }
  }

  // Computes keys and values of every sequence.
  void fill_pages(int context) {
    const auto start = std::chrono::steady_clock::now();
    for (int seq = 0; seq < max_batch_; ++seq) {
      for (int first = 0; first < context; first += kMaxRows) {
        first_seq_ = seq;
        step({1}, false, 1, std::min(kMaxRows, context - first), first);
      }
    }
    first_seq_ = 0;
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    std::printf("prefill, base model: %.0f tokens a second\n", max_batch_ * context / took.count());
  }

  void step(const std::vector<int>& segments, bool has_adapters, int num_seqs, int num_rows,
            int first_position) {
    std::vector<int32_t> tokens, positions, row_start{0}, context_len, page_start{0}, pages, s{0};
    std::vector<const DeviceAdapter*> segment_adapters;
    std::vector<SampleRow> rows;
    for (int seq = 0; seq < num_seqs; ++seq) {
      for (int i = 0; i < num_rows; ++i) {
        tokens.push_back((seq * 31 + i * 7 + first_position) % model_->config().vocab_size);
        positions.push_back(first_position + i);
      }
      const auto end = static_cast<int32_t>(tokens.size());
      row_start.push_back(end);
      context_len.push_back(first_position + num_rows);
      for (int i = 0; i < pages_per_seq_; ++i) {
        pages.push_back((first_seq_ + seq) * pages_per_seq_ + i);
      }
      page_start.push_back(static_cast<int32_t>(pages.size()));
      rows.push_back({end - 1, &greedy_, first_position + num_rows, {}, 0});
    }
    for (size_t i = 0; i < segments.size(); ++i) {
      s.push_back(s.back() + segments[i] * num_rows);
      segment_adapters.push_back(has_adapters ? adapters_[i].get() : nullptr);
    }
    const Batch batch{.num_rows = static_cast<int>(tokens.size()),
                      .num_seqs = num_seqs,
                      .tokens = tokens.data(),
                      .positions = positions.data(),
                      .row_start = row_start.data(),
                      .context_len = context_len.data(),
                      .page_start = page_start.data(),
                      .pages = pages.data(),
                      .segments = {s.data(), static_cast<int>(segments.size())},
                      .adapters = segment_adapters.data(),
                      .samples = rows};
    std::vector<Sample> samples(rows.size());
    model_->step(batch, samples);
  }

  int rank_;
  int max_batch_;
  int pages_per_seq_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  std::vector<std::unique_ptr<HostAdapter>> hosts_;
  std::vector<std::unique_ptr<DeviceAdapter>> adapters_;
  size_t adapter_bytes_ = 0;
  SamplingParams greedy_;
  int first_seq_ = 0;
};

void run(const Arguments& arguments) {
  Bench bench(arguments);
  std::printf("%s\n%6s %8s %10s %9s %9s %6s\n", bench.describe().c_str(), "batch", "context", "mix",
              "ms", "floor ms", "ratio");
  std::string json;
  for (const int batch : arguments.batch_sizes) {
    for (const int context : arguments.contexts) {
      for (const char* mix : {"base", "identical", "uniform", "skewed", "distinct"}) {
        const double ms = bench.measure(mix, batch, context);
        const double floor_ms = bench.bytes(mix, batch, context) / (arguments.gb_per_s * 1e6);
        std::printf("%6d %8d %10s %9.3f %9.3f %6.2f\n", batch, context, mix, ms, floor_ms,
                    ms / floor_ms);
        char line[200];
        std::snprintf(line, sizeof line,
                      "%s  {\"batch\": %d, \"context\": %d, \"mix\": \"%s\", \"ms\": %.4f, "
                      "\"floor_ms\": %.4f}",
                      json.empty() ? "" : ",\n", batch, context, mix, ms, floor_ms);
        json += line;
      }
    }
  }
  if (arguments.out.empty()) return;
  std::FILE* file = std::fopen(arguments.out.c_str(), "w");
  if (file == nullptr) throw std::runtime_error("cannot write " + arguments.out);
  std::fprintf(file, "[\n%s\n]\n", json.c_str());
  std::fclose(file);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  if (arguments.folder.empty()) {
    std::fprintf(stderr,
                 "usage: %s MODEL_FOLDER [-r RANK] [-g GB_PER_S] [-o OUT.json] "
                 "[-p PLUGIN_OPTIONS] [-q] [--cpu]\n",
                 argv[0]);
    return 2;
  }
  try {
    run(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
