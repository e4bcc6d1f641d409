// A projection with its adapters and the operation that reads it next, on the CUDA backend against
// the CPU backend: for few rows what the adapters add lies beside the projection's outputs until
// then. Rows without adapter, adapters that target some modules only, and, for comparison, more
// rows than that.
#include "cuda_adapters.h"
#include "cuda_pair.h"

using namespace sgmv;

namespace {

constexpr float kEps = 1e-5f;
constexpr int kLayer = 1;
constexpr int kMaxRows = 48;
constexpr double kTolerance = 2e-3;
constexpr double kAttentionTolerance = 5e-3;

// Weights, and the outputs of a product, on both backends. Outputs are not compared: on the GPU
// they are whole only together with what lies beside them.
struct Projection {
  Projection(Pair& pair, int num_outputs, int num_inputs, std::mt19937& random)
      : w(random_matrix(num_outputs, num_inputs, DType::kBF16, random, 0.1f)),
        cpu_w(pair.cpu->load_linear({&w.host, 1}, {})),
        cuda_w(pair.cuda->load_linear({&w.host, 1}, {})),
        cpu_y(poisoned(kMaxRows, num_outputs)),
        cuda_y(*pair.cuda, poisoned(kMaxRows, num_outputs)) {}

  OwnedMatrix w;
  std::unique_ptr<Weights> cpu_w, cuda_w;
  Activations cpu_y;
  DeviceActivations cuda_y;
};

class DeltaTest {
 public:
  DeltaTest(Pair& pair, std::mt19937& random) : pair_(pair), random_(random) {
    pair.set_shape(shape_);
    std::vector<float> cos, sin;
    for (int i = 0; i < shape_.max_positions * shape_.head_dim / 2; ++i) {
      cos.push_back(static_cast<float>(std::cos(i)));
      sin.push_back(static_cast<float>(std::sin(i)));
    }
    for (Backend* backend : {pair.cpu.get(), pair.cuda.get()}) backend->load_rope(cos, sin);
    adapters_.emplace(pair, shape_, kNumPages, random);
    for (const Group group : {Group::kQkv, Group::kO, Group::kGateUp, Group::kDown}) {
      const ModuleRange modules = modules_of(group);
      int num_outputs = 0;
      for (int m = modules.first; m < modules.end; ++m) num_outputs += dims_of(shape_, m).out;
      projections_.emplace_back(pair, num_outputs, dims_of(shape_, modules.first).in, random);
    }
    const std::vector<float> hidden =
        random_matrix(1, shape_.hidden_size, DType::kF32, random).values;
    const std::vector<float> head = random_matrix(1, shape_.head_dim, DType::kF32, random).values;
    cpu_norm_ = pair.cpu->load_vector(hidden);
    cuda_norm_ = pair.cuda->load_vector(hidden);
    cpu_head_norm_ = pair.cpu->load_vector(head);
    cuda_head_norm_ = pair.cuda->load_vector(head);
  }

  // All groups of one batch.
  void step(const std::vector<int>& lengths) {
    num_rows_ = 0;
    for (const int length : lengths) num_rows_ += length;
    cpu_step_ = StepArrays({{0, num_rows_, {2, 0, 1}}});
    cuda_step_ = cpu_step_;
    adapters_->add_segments(cpu_step_, cuda_step_, lengths, random_);
    check_qkv(false);
    check_qkv(true);
    check_norm(Group::kO);
    check_gate_up();
    check_norm(Group::kDown);
  }

 private:
  static constexpr int kNumPages = 3;

  bool on_cpu(const Backend& backend) const { return &backend == pair_.cpu.get(); }

  TestMatrix random_x(Group group) {
    const int num_cols = projections_[static_cast<int>(group)].w.host.num_cols;
    return {random_activations(num_rows_, num_cols, random_),
            group == Group::kDown ? OperandRange::kProduct : OperandRange::kBounded};
  }

  TestMatrix no_operands(int num_cols, OperandRange range = OperandRange::kBounded) {
    return {poisoned(num_rows_, num_cols), range};
  }

  // The projection of x, as the model calls it.
  Matrix project(Backend& backend, Matrix x, Group group) {
    Projection& projection = projections_[static_cast<int>(group)];
    Matrix y = on_cpu(backend) ? projection.cpu_y.matrix() : projection.cuda_y.matrix();
    y.num_rows = num_rows_;
    backend.sgmv_shrink(x, kLayer, group);
    backend.linear(y, x, on_cpu(backend) ? *projection.cpu_w : *projection.cuda_w);
    backend.sgmv_expand(y, kLayer, group);
    return y;
  }

  void check(const char* name, std::vector<TestMatrix> matrices, const Operation& operation,
             double tolerance = kTolerance) {
    compare(name, *pair_.cpu, *pair_.cuda, cpu_step_.batch(), cuda_step_.batch(),
            std::move(matrices), operation, tolerance);
  }

  void check_qkv(bool has_head_norms) {
    const int q_cols = shape_.num_heads * shape_.head_dim;
    const int kv_cols = shape_.num_kv_heads * shape_.head_dim;
    check(
        "rope_append after qkv", {random_x(Group::kQkv), no_operands(q_cols)},
        [&](Backend& backend, std::vector<Matrix>& m) {
          const Matrix y = project(backend, m[0], Group::kQkv);
          const Matrix q = columns(y, 0, q_cols);
          const Matrix k = columns(y, q_cols, kv_cols);
          const Matrix v = columns(y, q_cols + kv_cols, kv_cols);
          if (has_head_norms) {
            const Weights& w = on_cpu(backend) ? *cpu_head_norm_ : *cuda_head_norm_;
            backend.head_rms_norm(q, w, kEps);
            backend.head_rms_norm(k, w, kEps);
          }
          backend.rope_append(q, k, v, kLayer);
          backend.attention(m[1], q, kLayer);
        },
        kAttentionTolerance);
  }

  void check_norm(Group group) {
    const int num_cols = shape_.hidden_size;
    check(group == Group::kO ? "add_rms_norm after o" : "add_rms_norm after down",
          {random_x(group), random_activations(num_rows_, num_cols, random_), no_operands(num_cols),
           no_operands(num_cols)},
          [&](Backend& backend, std::vector<Matrix>& m) {
            const Weights& w = on_cpu(backend) ? *cpu_norm_ : *cuda_norm_;
            const Matrix y = project(backend, m[0], group);
            backend.rms_norm(m[2], m[1], w, kEps);  // of another matrix, to which nothing belongs
            backend.add_rms_norm(m[3], m[1], y, w, kEps);
          });
  }

  void check_gate_up() {
    check("silu_mul after gate and up",
          {random_x(Group::kGateUp), no_operands(shape_.intermediate_size, OperandRange::kProduct)},
          [&](Backend& backend, std::vector<Matrix>& m) {
            backend.silu_mul(m[1], project(backend, m[0], Group::kGateUp));
          });
  }

  Pair& pair_;
  std::mt19937& random_;
  const ModelShape shape_ = adapter_shape();
  std::optional<AdapterPool> adapters_;
  std::vector<Projection> projections_;
  std::unique_ptr<Weights> cpu_norm_, cuda_norm_, cpu_head_norm_, cuda_head_norm_;
  int num_rows_ = 0;
  StepArrays cpu_step_{{}}, cuda_step_{{}};
};

}  // namespace

// A number sets the rounds, for compute-sanitizer.
int main(int argc, char** argv) {
  if (!has_gpu()) return 0;
  const int num_rounds = argc > 1 ? std::stoi(argv[1]) : 30;
  Pair pair;
  std::mt19937 random(17);
  DeltaTest test(pair, random);
  for (int round = 0; round < num_rounds; ++round) {
    std::vector<int> lengths;
    for (int i = uniform(random, 0, 7); i > 0; --i) lengths.push_back(uniform(random, 0, 4));
    lengths.push_back(uniform(random, 1, round % 5 == 4 ? 20 : 4));
    test.step(lengths);
  }
  test.step({kMaxRows});
  std::printf("ok\n");
}
