#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/create_backend.h"
#include "model/model.h"

namespace sgmv {

struct RigOptions {
  std::string folder;  // config.json alone is read
  BackendOptions backend;
  int rank = 16;  // of every adapter, on all seven projections
  int max_sequences = 0;
  int max_context = 0;  // tokens of a sequence, those of its last step included
  int max_rows = 1024;  // of a step
  int num_adapters = 0;
};

// Rows of one sequence in a step, from `first_position` on.
struct Stretch {
  int sequence;
  int first_position;
  int num_rows;
};

// A model of random weights with its pool and adapters, for running steps of any make-up straight
// on the backend, without the engine's policies.
class StepRig {
 public:
  explicit StepRig(const RigOptions& options);

  Backend& backend() { return *backend_; }
  const ModelConfig& config() const { return model_->config(); }
  size_t adapter_bytes() const { return adapter_bytes_; }
  const HostAdapter& host_adapter() const { return *hosts_[0]; }
  int first_free_slot() const { return first_free_slot_; }  // one adapter more fits there

  // Computes keys and values of every sequence up to `context`.
  void fill(int context);

  // One step. Stretches come in the order of their adapters: segment i has `segments[i]` of them
  // and adapter i, or the base model where `has_adapters` is false. Returns its milliseconds, from
  // the call to the sampled tokens.
  double step(const std::vector<Stretch>& stretches, const std::vector<int>& segments,
              bool has_adapters);

  // Each of the first `num_sequences` sequences decodes one token at the end of `context`.
  double decode(const std::string& mix, int num_sequences, int context);

  // Bytes that a step reads at least: weights, `num_adapters` adapters, keys and values of
  // `num_cached` tokens.
  double step_bytes(int num_adapters, double num_cached) const;
  // Multiply-adds times two of a step's dense products, `num_samples` rows of which go through the
  // head, and of its attention over `num_pairs` pairs of query and key.
  double step_flops(double num_rows, double num_samples, double num_pairs) const;

 private:
  void place_adapters(const RigOptions& options);

  int max_rows_;
  int max_sequences_;
  int pages_per_sequence_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  std::vector<std::unique_ptr<HostAdapter>> hosts_;
  std::vector<std::unique_ptr<DeviceAdapter>> adapters_;
  size_t adapter_bytes_ = 0;
  int first_free_slot_ = 0;
  SamplingParams greedy_;
};

// The projections that the paper adapts: all seven.
inline const std::vector<Module> kAllModules = {
    Module::kQ, Module::kK, Module::kV, Module::kO, Module::kGate, Module::kUp, Module::kDown};

}  // namespace sgmv
