// Tokens a second of the CPU backend on a model with several adapters in one batch: decode steps
// and prefill.
//
//   bench_cpu_decode MODEL_FOLDER [ADAPTER_FOLDER ...] [-t THREADS] [-b BATCH] [-c CONTEXT]
//   [--bf16]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "model/model.h"

using namespace sgmv;

namespace {

constexpr int kPageSize = 16;
constexpr int kMaxRows = 512;
constexpr int kNumSteps = 200;

struct Arguments {
  std::vector<std::string> folders;  // the model's, then the adapters'
  int num_threads = 0;
  int batch_size = 24;
  int context = 192;
  bool bf16 = false;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto number = [&] { return std::atoi(argv[++i]); };
    if (argument == "--bf16") {
      arguments.bf16 = true;
    } else if (argument == "-t" && i + 1 < argc) {
      arguments.num_threads = number();
    } else if (argument == "-b" && i + 1 < argc) {
      arguments.batch_size = number();
    } else if (argument == "-c" && i + 1 < argc) {
      arguments.context = number();
    } else {
      arguments.folders.push_back(argument);
    }
  }
  return arguments;
}

struct Seconds {
  double best;
  double median;
};

class Bench {
 public:
  explicit Bench(const Arguments& arguments) : arguments_(arguments) {
    backend_ =
        create_cpu_backend({.num_threads = arguments.num_threads, .bf16_compute = arguments.bf16});
    model_ = load_model(
        *backend_, {.folder = arguments.folders[0], .max_rows = kMaxRows, .page_size = kPageSize});
    num_pages_ = (arguments.context + kNumSteps) / kPageSize + 1;
    place_adapters();
  }

  std::string describe() const { return backend_->describe(); }

  // Seconds of a step of `num_rows` rows a sequence, from `first_position` on.
  Seconds measure(int num_seqs, int num_rows, int first_position, int num_steps) {
    std::vector<double> seconds;
    for (int i = 0; i < num_steps; ++i) {
      const auto start = std::chrono::steady_clock::now();
      step(num_seqs, num_rows, num_rows == 1 ? first_position + i : first_position);
      const auto end = std::chrono::steady_clock::now();
      seconds.push_back(std::chrono::duration<double>(end - start).count());
    }
    std::sort(seconds.begin(), seconds.end());
    return {seconds[0], seconds[num_steps / 2]};
  }

 private:
  void place_adapters() {
    std::vector<int> first_slots;
    int num_slots = arguments_.batch_size * num_pages_;
    for (size_t i = 1; i < arguments_.folders.size(); ++i) {
      hosts_.push_back(read_adapter(arguments_.folders[i], model_->config()));
      first_slots.push_back(num_slots);
      const size_t num_bytes = backend_->adapter_bytes(*hosts_.back());
      num_slots += static_cast<int>(num_bytes / backend_->page_bytes() + 1);
    }
    backend_->reserve_pool(num_slots);
    for (size_t i = 0; i < hosts_.size(); ++i) {
      adapters_.push_back(backend_->place_adapter(*hosts_[i], first_slots[i]));
      while (!backend_->adapter_ready(*adapters_.back())) std::this_thread::yield();
    }
  }

  // Sequences are dealt to the adapters evenly, those of one adapter side by side.
  void step(int num_seqs, int num_rows, int first_position) {
    std::vector<int32_t> tokens, positions, row_start{0}, context_len, page_start{0}, pages, s{0};
    std::vector<const DeviceAdapter*> segment_adapters;
    std::vector<SampleRow> sample_rows;
    const int num_adapters = std::max<int>(1, static_cast<int>(adapters_.size()));
    for (int seq = 0; seq < num_seqs; ++seq) {
      for (int i = 0; i < num_rows; ++i) {
        tokens.push_back((seq * 31 + i * 7 + first_position) % model_->config().vocab_size);
        positions.push_back(first_position + i);
      }
      const auto num_so_far = static_cast<int32_t>(tokens.size());
      row_start.push_back(num_so_far);
      context_len.push_back(first_position + num_rows);
      for (int i = 0; i < num_pages_; ++i) pages.push_back(seq * num_pages_ + i);
      page_start.push_back(static_cast<int32_t>(pages.size()));
      const int adapter = seq * num_adapters / num_seqs;
      if (seq + 1 == num_seqs || (seq + 1) * num_adapters / num_seqs != adapter) {
        s.push_back(num_so_far);
        segment_adapters.push_back(adapters_.empty() ? nullptr : adapters_[adapter].get());
      }
      sample_rows.push_back({num_so_far - 1, &sampling_, first_position, {}, 0});
    }
    const Batch batch{.num_rows = static_cast<int>(tokens.size()),
                      .num_seqs = num_seqs,
                      .tokens = tokens.data(),
                      .positions = positions.data(),
                      .row_start = row_start.data(),
                      .context_len = context_len.data(),
                      .page_start = page_start.data(),
                      .pages = pages.data(),
                      .segments = {s.data(), static_cast<int>(segment_adapters.size())},
                      .adapters = segment_adapters.data(),
                      .samples = sample_rows};
    std::vector<Sample> samples(sample_rows.size());
    model_->step(batch, samples);
  }

  Arguments arguments_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  std::vector<std::unique_ptr<HostAdapter>> hosts_;
  std::vector<std::unique_ptr<DeviceAdapter>> adapters_;
  SamplingParams sampling_;
  int num_pages_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  if (arguments.folders.empty()) {
    std::fprintf(stderr,
                 "usage: %s MODEL_FOLDER [ADAPTER_FOLDER ...] [-t THREADS] [-b BATCH] "
                 "[-c CONTEXT] [--bf16]\n",
                 argv[0]);
    return 2;
  }
  Bench bench(arguments);
  const int batch_size = arguments.batch_size;
  std::printf("%s; %zu adapters, %d sequences\n", bench.describe().c_str(),
              arguments.folders.size() - 1, batch_size);
  const int rows = std::min(kMaxRows / batch_size, arguments.context);
  const auto report = [](const char* what, int num_tokens, Seconds s) {
    std::printf("%s: median %.2f ms, %.0f tokens/s; best %.2f ms, %.0f tokens/s\n", what,
                s.median * 1e3, num_tokens / s.median, s.best * 1e3, num_tokens / s.best);
  };
  report("prefill", batch_size * rows, bench.measure(batch_size, rows, 0, 20));
  report("decode", batch_size, bench.measure(batch_size, 1, arguments.context, kNumSteps));
}
