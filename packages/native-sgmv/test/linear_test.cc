// linear(): against a double loop over odd and even shapes, types, stacked parts and bias, on every
// instruction set; and the same bits for a row alone, in any batch, on any number of threads.
#include "cpu_fixture.h"

using namespace sgmv;

namespace {

struct Case {
  int num_rows;
  int d_in;
  std::vector<int> d_out;  // of each part
  DType dtype;
  bool has_bias;
};

const Case cases[] = {
    {1, 1, {1}, DType::kF32, false},          {1, 1, {1}, DType::kBF16, true},
    {7, 72, {33, 5, 16}, DType::kBF16, true}, {7, 72, {33, 5, 16}, DType::kF32, true},
    {13, 31, {65}, DType::kBF16, false},      {13, 31, {65}, DType::kF16, true},
    {24, 256, {512}, DType::kBF16, false},    {130, 129, {200, 24}, DType::kF32, false},
    {9, 2051, {40}, DType::kBF16, true},      {9, 2050, {40}, DType::kF32, false},
};

struct Problem {
  std::vector<OwnedMatrix> parts;
  std::vector<float> bias;
  Activations x;

  Problem(const Case& c, std::mt19937& random)
      : x(Activations::random(c.num_rows, c.d_in, random, c.d_in + 3)) {
    for (const int d_out : c.d_out) {
      parts.push_back(random_matrix(d_out, c.d_in, c.dtype, random));
      for (int i = 0; i < d_out && c.has_bias; ++i) bias.push_back(static_cast<float>(i) - 1.5f);
    }
  }

  int num_cols() const {
    int sum = 0;
    for (const OwnedMatrix& part : parts) sum += part.host.num_rows;
    return sum;
  }

  std::unique_ptr<Weights> load(Backend& backend) const {
    std::vector<HostMatrix> hosts;
    for (const OwnedMatrix& part : parts) hosts.push_back(part.host);
    return backend.load_linear(hosts, bias);
  }

  double expected(int t, int col) const {
    double sum = bias.empty() ? 0 : bias[col];
    for (const OwnedMatrix& part : parts) {
      if (col < part.host.num_rows) {
        for (int k = 0; k < x.num_cols; ++k) sum += part.at(col, k) * x.at(t, k);
        return sum;
      }
      col -= part.host.num_rows;
    }
    return sum;
  }
};

Activations multiply(const CpuOptions& options, Problem& problem, int chunk_rows) {
  const auto backend = create_cpu_backend(options);
  const auto w = problem.load(*backend);
  const int num_cols = problem.num_cols();
  Activations y(problem.x.num_rows, num_cols, num_cols + 1);
  const StepArrays step({{0, problem.x.num_rows, {0}}});
  run(*backend, step, [&] {
    for (int t = 0; t < y.num_rows; t += chunk_rows) {
      const int count = std::min(chunk_rows, y.num_rows - t);
      backend->linear(y.rows(t, count), problem.x.rows(t, count), *w);
    }
  });
  for (int t = 0; t < y.num_rows; ++t) CHECK(y.at(t, num_cols) == 0);  // No write past the row.
  return y;
}

void check_case(const Case& c, std::mt19937& random) {
  Problem problem(c, random);
  for_each_isa([&](CpuIsa isa) {
    const Activations y = multiply({.num_threads = 1, .max_isa = isa}, problem, c.num_rows);
    for (int t = 0; t < y.num_rows; ++t) {
      for (int col = 0; col < y.num_cols; ++col) {
        CHECK(is_close(y.at(t, col), problem.expected(t, col), 1e-5 * std::sqrt(c.d_in)));
      }
    }
    for (const int num_threads : {1, 3}) {
      for (const int chunk_rows : {1, 2, 3, 5, 50}) {
        const Activations other =
            multiply({.num_threads = num_threads, .max_isa = isa}, problem, chunk_rows);
        CHECK(is_identical(other.values, y.values));
      }
    }
  });

  const CpuOptions bf16{.num_threads = 1, .bf16_compute = true};
  const Activations y = multiply(bf16, problem, c.num_rows);
  for (int t = 0; t < y.num_rows; ++t) {
    for (int col = 0; col < y.num_cols; ++col) {
      CHECK(is_close(y.at(t, col), problem.expected(t, col), 1e-2 * std::sqrt(c.d_in)));
    }
  }
  for (const int chunk_rows : {1, 4}) {
    CHECK(is_identical(multiply(bf16, problem, chunk_rows).values, y.values));
  }
}

}  // namespace

int main() {
  std::mt19937 random(1);
  for (const Case& c : cases) check_case(c, random);
}
