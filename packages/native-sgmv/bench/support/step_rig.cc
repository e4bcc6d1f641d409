#include "support/step_rig.h"

#include <chrono>
#include <thread>

#include "support/mixes.h"

namespace sgmv {
namespace {

constexpr int kPageSize = 16;
constexpr size_t kHostAdapterBytes = size_t{4} << 30;

// The arrays behind a Batch.
struct Arrays {
  std::vector<int32_t> tokens, positions, row_start{0}, context_len, page_start{0}, pages, s{0};
  std::vector<const DeviceAdapter*> adapters;
  std::vector<SampleRow> samples;
};

}  // namespace

StepRig::StepRig(const RigOptions& options)
    : max_rows_(options.max_rows),
      max_sequences_(options.max_sequences),
      pages_per_sequence_((options.max_context + kPageSize - 1) / kPageSize),
      backend_(create_backend(options.backend)),
      model_(load_model(*backend_, {.folder = options.folder,
                                    .source = WeightSource::kRandom,
                                    .max_rows = options.max_rows,
                                    .page_size = kPageSize})) {
  place_adapters(options);
}

// Every adapter has memory of its own on the device; two in host memory are enough.
void StepRig::place_adapters(const RigOptions& options) {
  backend_->reserve_host_adapters(kHostAdapterBytes);
  for (int i = 0; i < 2; ++i) {
    hosts_.push_back(random_adapter(model_->config(), options.rank, kAllModules, i));
    backend_->prepare_adapter(*hosts_.back());
  }
  adapter_bytes_ = backend_->adapter_bytes(*hosts_[0]);
  const int num_slots =
      static_cast<int>((adapter_bytes_ + backend_->page_bytes() - 1) / backend_->page_bytes());
  const int first_slot = max_sequences_ * pages_per_sequence_;
  first_free_slot_ = first_slot + options.num_adapters * num_slots;
  backend_->reserve_pool(first_free_slot_ + num_slots);
  for (int i = 0; i < options.num_adapters; ++i) {
    adapters_.push_back(backend_->place_adapter(*hosts_[i % 2], first_slot + i * num_slots));
  }
  for (const auto& adapter : adapters_) {
    while (!backend_->adapter_ready(*adapter)) std::this_thread::yield();
  }
}

void StepRig::fill(int context) {
  for (int sequence = 0; sequence < max_sequences_; ++sequence) {
    for (int first = 0; first < context; first += max_rows_) {
      step({{sequence, first, std::min(max_rows_, context - first)}}, {1}, false);
    }
  }
}

double StepRig::step(const std::vector<Stretch>& stretches, const std::vector<int>& segments,
                     bool has_adapters) {
  Arrays a;
  for (const Stretch& stretch : stretches) {
    for (int i = 0; i < stretch.num_rows; ++i) {
      const int position = stretch.first_position + i;
      a.tokens.push_back((stretch.sequence * 31 + position * 7) % model_->config().vocab_size);
      a.positions.push_back(position);
    }
    const auto end = static_cast<int32_t>(a.tokens.size());
    a.row_start.push_back(end);
    a.context_len.push_back(stretch.first_position + stretch.num_rows);
    for (int i = 0; i < pages_per_sequence_; ++i) {
      a.pages.push_back(stretch.sequence * pages_per_sequence_ + i);
    }
    a.page_start.push_back(static_cast<int32_t>(a.pages.size()));
    a.samples.push_back({end - 1, &greedy_, a.context_len.back(), {}, 0});
  }
  size_t next = 0;
  for (size_t i = 0; i < segments.size(); ++i) {
    next += segments[i];
    a.s.push_back(a.row_start[next]);
    a.adapters.push_back(has_adapters ? adapters_.at(i).get() : nullptr);
  }
  const Batch batch{.num_rows = static_cast<int>(a.tokens.size()),
                    .num_seqs = static_cast<int>(stretches.size()),
                    .tokens = a.tokens.data(),
                    .positions = a.positions.data(),
                    .row_start = a.row_start.data(),
                    .context_len = a.context_len.data(),
                    .page_start = a.page_start.data(),
                    .pages = a.pages.data(),
                    .segments = {a.s.data(), static_cast<int>(a.adapters.size())},
                    .adapters = a.adapters.data(),
                    .samples = a.samples};
  std::vector<Sample> samples(a.samples.size());
  const auto begin = std::chrono::steady_clock::now();
  model_->step(batch, samples);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  return took.count();
}

double StepRig::decode(const std::string& mix, int num_sequences, int context) {
  std::vector<Stretch> stretches;
  for (int i = 0; i < num_sequences; ++i) stretches.push_back({i, context - 1, 1});
  return step(stretches, requests_by_adapter(mix, num_sequences), mix != "base");
}

double StepRig::step_bytes(int num_adapters, double num_cached) const {
  const ModelConfig& c = model_->config();
  const double kv = double{1} * c.num_kv_heads * c.head_dim;
  const double weights = step_flops(1, 1, 0);  // two bytes a weight, two operations
  const double adapters = static_cast<double>(adapter_bytes_) * num_adapters;
  return weights + 4 * kv * c.num_layers * num_cached + adapters;
}

double StepRig::step_flops(double num_rows, double num_samples, double num_pairs) const {
  const ModelConfig& c = model_->config();
  const double q = double{1} * c.num_heads * c.head_dim;
  const double kv = double{1} * c.num_kv_heads * c.head_dim;
  const double layer = double{1} * c.hidden_size * (2 * q + 2 * kv + 3.0 * c.intermediate_size);
  const double head = double{1} * c.vocab_size * c.hidden_size;
  return 2 * (layer * num_rows + 2 * q * num_pairs) * c.num_layers + 2 * head * num_samples;
}

}  // namespace sgmv
