// The operations on rows (embed, norms, silu_mul, logits) against double loops, on every
// instruction set, and the same bits on any number of threads.
#include <cmath>

#include "cpu_fixture.h"

using namespace sgmv;

namespace {

constexpr float kEps = 1e-5f;

// As many rows as make the work worth several threads, and as few as do not.
const int row_counts[] = {1, 3, 700};
const int col_counts[] = {1, 15, 72, 256};

struct Case {
  CpuIsa isa;
  int num_threads;
  int num_rows;
  int num_cols;
};

void for_each_case(const std::function<void(const Case&, Backend&)>& test) {
  for_each_isa([&](CpuIsa isa) {
    for (const int num_threads : {1, 3}) {
      const auto backend = create_cpu_backend({.num_threads = num_threads, .max_isa = isa});
      for (const int num_rows : row_counts) {
        for (const int num_cols : col_counts) {
          test({isa, num_threads, num_rows, num_cols}, *backend);
        }
      }
    }
  });
}

double inverse_rms(const Activations& x, int t, int first_col, int n) {
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += std::pow(x.at(t, first_col + i), 2);
  return 1 / std::sqrt(sum / n + kEps);
}

void test_rms_norm(const Case& c, Backend& backend) {
  std::mt19937 random(4);
  Activations x = Activations::random(c.num_rows, c.num_cols, random, c.num_cols + 1);
  const Activations residual = Activations::random(c.num_rows, c.num_cols, random);
  const OwnedMatrix w = random_matrix(1, c.num_cols, DType::kF32, random);
  const auto weights = backend.load_vector(w.values);
  Activations y(c.num_rows, c.num_cols);
  Activations sum = residual;
  Activations sum_y(c.num_rows, c.num_cols);
  run(backend, StepArrays({{0, c.num_rows, {}}}), [&] {
    backend.rms_norm(y.matrix(), x.matrix(), *weights, kEps);
    backend.add_rms_norm(sum_y.matrix(), sum.matrix(), x.matrix(), *weights, kEps);
  });
  for (int t = 0; t < c.num_rows; ++t) {
    for (int i = 0; i < c.num_cols; ++i) {
      CHECK(is_close(y.at(t, i), w.at(0, i) * x.at(t, i) * inverse_rms(x, t, 0, c.num_cols), 1e-6));
      CHECK(sum.at(t, i) == residual.at(t, i) + x.at(t, i));
      CHECK(is_close(sum_y.at(t, i), w.at(0, i) * sum.at(t, i) * inverse_rms(sum, t, 0, c.num_cols),
                     1e-6));
    }
  }
}

void test_head_rms_norm(const Case& c, Backend& backend) {
  std::mt19937 random(5);
  constexpr int kNumHeads = 3;
  ModelShape shape{};
  shape.head_dim = c.num_cols;
  backend.set_shape(shape);
  Activations x =
      Activations::random(c.num_rows, kNumHeads * c.num_cols, random, kNumHeads * c.num_cols + 7);
  const Activations before = x;
  const OwnedMatrix w = random_matrix(1, c.num_cols, DType::kF32, random);
  const auto weights = backend.load_vector(w.values);
  run(backend, StepArrays({{0, c.num_rows, {}}}),
      [&] { backend.head_rms_norm(x.matrix(), *weights, kEps); });
  for (int t = 0; t < c.num_rows; ++t) {
    for (int col = 0; col < x.num_cols; ++col) {
      const int head = col / c.num_cols;
      const double inverse = inverse_rms(before, t, head * c.num_cols, c.num_cols);
      CHECK(is_close(x.at(t, col), w.at(0, col % c.num_cols) * before.at(t, col) * inverse, 1e-6));
    }
    for (int col = x.num_cols; col < x.stride; ++col) CHECK(x.at(t, col) == before.at(t, col));
  }
}

void test_silu_mul(const Case& c, Backend& backend) {
  std::mt19937 random(6);
  Activations gate_up = Activations::random(c.num_rows, 2 * c.num_cols, random);
  gate_up.at(0, 0) = -200;  // where e^-x overflows
  gate_up.at(c.num_rows - 1, c.num_cols - 1) = 200;
  Activations y(c.num_rows, c.num_cols);
  run(backend, StepArrays({{0, c.num_rows, {}}}),
      [&] { backend.silu_mul(y.matrix(), gate_up.matrix()); });
  for (int t = 0; t < c.num_rows; ++t) {
    for (int i = 0; i < c.num_cols; ++i) {
      const double gate = gate_up.at(t, i);
      const double expected = gate / (1 + std::exp(-gate)) * gate_up.at(t, c.num_cols + i);
      CHECK(is_close(y.at(t, i), expected, 1e-6));
    }
  }
}

void test_embed(const Case& c, Backend& backend) {
  std::mt19937 random(7);
  constexpr int kVocabSize = 50;
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF16}) {
    const OwnedMatrix table = random_matrix(kVocabSize, c.num_cols, dtype, random);
    const auto embedding = backend.load_embedding(table.host);
    StepArrays step({{0, c.num_rows, {}}});
    for (int t = 0; t < c.num_rows; ++t) step.tokens[t] = t * 7 % kVocabSize;
    Activations y(c.num_rows, c.num_cols);
    run(backend, step, [&] { backend.embed(y.matrix(), *embedding); });
    for (int t = 0; t < c.num_rows; ++t) {
      for (int i = 0; i < c.num_cols; ++i) CHECK(y.at(t, i) == table.at(step.tokens[t], i));
    }
  }
}

// Logits of some rows, in the order of the samples, greedy tokens and their log-probabilities.
void test_logits(const Case& c, Backend& backend) {
  std::mt19937 random(8);
  constexpr int kVocabSize = 77;
  const OwnedMatrix w = random_matrix(kVocabSize, c.num_cols, DType::kBF16, random);
  const auto lm_head = backend.load_linear({&w.host, 1}, {});
  Activations x = Activations::random(c.num_rows, c.num_cols, random);
  const SamplingParams greedy{.num_logprobs = 0};
  std::vector<SampleRow> rows;
  for (int t = c.num_rows - 1; t >= 0; t -= 2) rows.push_back({t, &greedy, 0, {}, 0});
  const StepArrays step({{0, c.num_rows, {}}});
  Batch batch = step.batch();
  batch.samples = rows;
  std::vector<Sample> samples(rows.size());
  backend.run_step(
      batch, [&] { backend.logits(x.matrix(), *lm_head); }, samples);

  std::vector<float> logits(rows.size() * kVocabSize);
  backend.read_logits(logits);
  for (size_t i = 0; i < rows.size(); ++i) {
    const float* row = logits.data() + i * kVocabSize;
    double total = 0;
    for (int token = 0; token < kVocabSize; ++token) {
      double expected = 0;
      for (int k = 0; k < c.num_cols; ++k) expected += x.at(rows[i].row, k) * w.at(token, k);
      CHECK(is_close(row[token], expected, 1e-4));
      total += std::exp(static_cast<double>(row[token]));
    }
    CHECK(samples[i].token == std::max_element(row, row + kVocabSize) - row);
    CHECK(is_close(samples[i].logprob, row[samples[i].token] - std::log(total), 1e-5));
  }
}

void test_same_bits_on_any_number_of_threads() {
  std::mt19937 random(9);
  constexpr int kNumRows = 900;
  constexpr int kNumCols = 96;
  Activations x = Activations::random(kNumRows, 2 * kNumCols, random);
  const std::vector<float> w(2 * kNumCols, 1.25f);
  std::vector<std::vector<float>> results;
  for (const int num_threads : {1, 2, 4}) {
    const auto backend = create_cpu_backend({.num_threads = num_threads});
    const auto weights = backend->load_vector(w);
    Activations y(kNumRows, 2 * kNumCols);
    Activations z(kNumRows, kNumCols);
    run(*backend, StepArrays({{0, kNumRows, {}}}), [&] {
      backend->rms_norm(y.matrix(), x.matrix(), *weights, kEps);
      backend->silu_mul(z.matrix(), y.matrix());
    });
    results.push_back(z.values);
  }
  CHECK(is_identical(results[0], results[1]));
  CHECK(is_identical(results[0], results[2]));
}

}  // namespace

int main() {
  for_each_case(test_rms_norm);
  for_each_case(test_head_rms_norm);
  for_each_case(test_silu_mul);
  for_each_case(test_embed);
  for_each_case(test_logits);
  test_same_bits_on_any_number_of_threads();
}
