// Operations of the CUDA backend against the CPU backend on random shapes (attention and sampling
// have files of their own): values that f16
// holds go in, and what comes out must agree to what rounding to f16 leaves. Outputs hold NaN
// before, and so do pages that nothing wrote.
#include <algorithm>
#include <thread>

#include "cuda_adapters.h"
#include "cuda_pair.h"

using namespace sgmv;

namespace {

constexpr float kEps = 1e-5f;

void test_norms(Pair& pair, std::mt19937& random) {
  pair.set_shape(small_shape());
  for (const int num_cols : {8, 72, 256, 4096, 5120, 14336, 32768}) {
    const int num_rows = uniform(random, 1, 40);
    const OwnedMatrix w = random_matrix(1, num_cols, DType::kF32, random);
    const auto cpu_w = pair.cpu->load_vector(w.values);
    const auto cuda_w = pair.cuda->load_vector(w.values);
    const StepArrays step = rows_of(num_rows);
    compare("rms_norm", *pair.cpu, *pair.cuda, step.batch(), step.batch(),
            {random_activations(num_rows, num_cols, random, num_cols + 8),
             operands(poisoned(num_rows, num_cols))},
            [&](Backend& backend, std::vector<Matrix>& m) {
              backend.rms_norm(m[1], m[0], &backend == pair.cpu.get() ? *cpu_w : *cuda_w, kEps);
            });
    compare(
        "add_rms_norm", *pair.cpu, *pair.cuda, step.batch(), step.batch(),
        {random_activations(num_rows, num_cols, random),
         random_activations(num_rows, num_cols, random), operands(poisoned(num_rows, num_cols))},
        [&](Backend& backend, std::vector<Matrix>& m) {
          backend.add_rms_norm(m[2], m[1], m[0], &backend == pair.cpu.get() ? *cpu_w : *cuda_w,
                               kEps);
        });
  }
}

void test_head_norm(Pair& pair, std::mt19937& random) {
  for (const int head_dim : {16, 20, 64, 128, 256}) {
    ModelShape shape = small_shape();
    shape.head_dim = head_dim;
    pair.set_shape(shape);
    const int num_rows = uniform(random, 1, 40);
    const OwnedMatrix w = random_matrix(1, head_dim, DType::kF32, random);
    const auto cpu_w = pair.cpu->load_vector(w.values);
    const auto cuda_w = pair.cuda->load_vector(w.values);
    const StepArrays step = rows_of(num_rows);
    compare("head_rms_norm", *pair.cpu, *pair.cuda, step.batch(), step.batch(),
            {random_activations(num_rows, 6 * head_dim, random, 7 * head_dim)},
            [&](Backend& backend, std::vector<Matrix>& m) {
              backend.head_rms_norm(m[0], &backend == pair.cpu.get() ? *cpu_w : *cuda_w, kEps);
            });
  }
}

void test_silu_mul(Pair& pair, std::mt19937& random) {
  for (const int num_cols : {8, 104, 11008}) {
    const int num_rows = uniform(random, 1, 70);
    Activations gate_up = random_activations(num_rows, 2 * num_cols, random);
    gate_up.at(0, 0) = -200;  // where e^-x overflows
    gate_up.at(num_rows - 1, num_cols - 1) = 200;
    const StepArrays step = rows_of(num_rows);
    compare("silu_mul", *pair.cpu, *pair.cuda, step.batch(), step.batch(),
            {gate_up, TestMatrix(poisoned(num_rows, num_cols), OperandRange::kProduct)},
            [](Backend& backend, std::vector<Matrix>& m) { backend.silu_mul(m[1], m[0]); });
  }
}

void test_embed(Pair& pair, std::mt19937& random) {
  constexpr int kVocabSize = 50;
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const int num_cols = 8 * uniform(random, 1, 300);
    const int num_rows = uniform(random, 1, 40);
    const OwnedMatrix table = random_matrix(kVocabSize, num_cols, dtype, random);
    const auto cpu_table = pair.cpu->load_embedding(table.host);
    const auto cuda_table = pair.cuda->load_embedding(table.host);
    StepArrays step = rows_of(num_rows);
    for (int32_t& token : step.tokens) token = uniform(random, 0, kVocabSize - 1);
    compare("embed", *pair.cpu, *pair.cuda, step.batch(), step.batch(),
            {poisoned(num_rows, num_cols)}, [&](Backend& backend, std::vector<Matrix>& m) {
              backend.embed(m[0], &backend == pair.cpu.get() ? *cpu_table : *cuda_table);
            });
  }
}

void test_linear(Pair& pair, std::mt19937& random) {
  for (const int num_rows : {1, 2, 7, 8, 31, 64, 130, 300}) {
    for (const DType dtype : {DType::kBF16, DType::kF32, DType::kF16}) {
      const int d_in = 8 * uniform(random, 1, 60);
      const OwnedMatrix parts[2] = {
          random_matrix(8 * uniform(random, 1, 60), d_in, dtype, random, 0.1f),
          random_matrix(8 * uniform(random, 1, 20), d_in, dtype, random, 0.1f)};
      const HostMatrix hosts[2] = {parts[0].host, parts[1].host};
      const int d_out = hosts[0].num_rows + hosts[1].num_rows;
      std::vector<float> bias;
      if (num_rows % 2 == 0) {
        for (int i = 0; i < d_out; ++i) bias.push_back(round_to_bf16(std::sin(i)));
      }
      const auto cpu_w = pair.cpu->load_linear(hosts, bias);
      const auto cuda_w = pair.cuda->load_linear(hosts, bias);
      const StepArrays step = rows_of(num_rows);
      compare("linear", *pair.cpu, *pair.cuda, step.batch(), step.batch(),
              {TestMatrix(random_activations(num_rows, d_in, random),
                          num_rows % 3 == 0 ? OperandRange::kProduct : OperandRange::kBounded),
               poisoned(num_rows, d_out)},
              [&](Backend& backend, std::vector<Matrix>& m) {
                backend.linear(m[1], m[0], &backend == pair.cpu.get() ? *cpu_w : *cuda_w);
              });
    }
  }
}

// ---- adapters ----

void test_sgmv(Pair& pair, std::mt19937& random) {
  const ModelShape shape = adapter_shape();
  pair.set_shape(shape);
  const AdapterPool adapters(pair, shape, 0, random);
  constexpr Group kAll[] = {Group::kQkv, Group::kO, Group::kGateUp, Group::kDown};
  for (int round = 0; round < 40; ++round) {
    std::vector<int> lengths;
    for (int i = uniform(random, 1, 8); i > 0; --i) {
      lengths.push_back(uniform(random, 0, round % 4 == 3 ? 90 : 3));
    }
    int num_rows = 0;
    for (const int length : lengths) num_rows += length;
    if (num_rows == 0) continue;
    StepArrays cpu_step = rows_of(num_rows);
    StepArrays cuda_step = cpu_step;
    adapters.add_segments(cpu_step, cuda_step, lengths, random);
    for (const Group group : kAll) {
      const ModuleRange modules = modules_of(group);
      int num_cols = 0;
      for (int m = modules.first; m < modules.end; ++m) num_cols += dims_of(shape, m).out;
      compare(
          "sgmv", *pair.cpu, *pair.cuda, cpu_step.batch(), cuda_step.batch(),
          {TestMatrix(random_activations(num_rows, dims_of(shape, modules.first).in, random),
                      group == Group::kDown ? OperandRange::kProduct : OperandRange::kBounded),
           random_activations(num_rows, num_cols, random)},
          [&](Backend& backend, std::vector<Matrix>& m) {
            backend.sgmv_shrink(m[0], 1, group);
            backend.sgmv_expand(m[1], 1, group);
          },
          1e-3);
    }
  }
}

void test_memory_that_is_not_there_is_named(Pair& pair) {
  ModelShape shape = small_shape();
  shape.page_size = 256;
  shape.num_layers = 64;
  shape.num_kv_heads = 64;
  shape.num_heads = 64;
  shape.head_dim = 128;
  shape.hidden_size = 8192;
  pair.set_shape(shape);
  std::string message;
  try {
    pair.cuda->reserve_pool(1'000'000);
  } catch (const std::exception& error) {
    message = error.what();
  }
  CHECK(message.find("lower poolBytes") != std::string::npos);
}

}  // namespace

int main() {
  if (!has_gpu()) return 0;
  Pair pair;
  std::mt19937 random(11);
  const auto section = [](const char* name) { std::printf("%s\n", name), std::fflush(stdout); };
  section(pair.cuda->describe().c_str());
  test_norms(pair, random);
  test_head_norm(pair, random);
  test_silu_mul(pair, random);
  test_embed(pair, random);
  section("linear");
  test_linear(pair, random);
  section("sgmv");
  test_sgmv(pair, random);
  test_memory_that_is_not_there_is_named(pair);
  section("ok");
}
