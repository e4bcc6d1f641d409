// The bits of a row on the CUDA backend must not depend on what is computed beside it: dense
// products of any number of rows, and attention by either kernel, however a sequence was cut into
// steps.
#include <cmath>
#include <numeric>

#include "cuda_pair.h"

using namespace sgmv;

namespace {

std::vector<float> values_of(const DeviceActivations& m, int num_rows, int num_cols) {
  Activations out(num_rows, num_cols);
  m.read(out);
  return out.values;
}

void run_once(Backend& cuda, const StepArrays& step, const std::function<void()>& operation) {
  cuda.run_step(step.batch(), operation, {});
}

// ---- dense products ----

void test_products(Backend& cuda, std::mt19937& random) {
  constexpr int kMaxRows = 300;
  const std::pair<int, int> shapes[] = {{4096, 11008}, {12288, 4096}, {4096, 4096}, {24, 72}};
  cuda.set_shape(small_shape());
  for (const auto& [num_outputs, num_inputs] : shapes) {
    const OwnedMatrix w = random_matrix(num_outputs, num_inputs, DType::kF16, random, 0.02f);
    const auto weights = cuda.load_linear({&w.host, 1}, {});
    const Activations x = random_activations(kMaxRows, num_inputs, random);
    std::vector<float> expected;
    for (const int num_rows : {kMaxRows, 1, 5, 17, 32, 33, 64, 100, 129, 256}) {
      const DeviceActivations device_x(cuda, operands(x));
      const DeviceActivations y(cuda, poisoned(kMaxRows, num_outputs));
      Matrix x_rows = device_x.matrix();
      Matrix y_rows = y.matrix();
      x_rows.num_rows = y_rows.num_rows = num_rows;
      run_once(cuda, rows_of(num_rows), [&] { cuda.linear(y_rows, x_rows, *weights); });
      const std::vector<float> actual = values_of(y, kMaxRows, num_outputs);
      if (expected.empty()) expected = actual;
      const size_t size = static_cast<size_t>(num_rows) * num_outputs;
      if (std::equal(actual.begin(), actual.begin() + size, expected.begin())) continue;
      std::fprintf(stderr, "a product of %d outputs and %d inputs: %d rows differ from %d\n",
                   num_outputs, num_inputs, num_rows, kMaxRows);
      std::exit(1);
    }
  }
}

// ---- attention ----

struct Heads {
  int num_heads;
  int num_kv_heads;
  int head_dim;
  int sliding_window;
};

constexpr int kLength = 600;
constexpr int kPageSize = 16;
constexpr int kPages = (kLength + kPageSize - 1) / kPageSize;

class AttentionBits {
 public:
  AttentionBits(Backend& cuda, const Heads& heads, std::mt19937& random)
      : cuda_(cuda),
        q_cols_(heads.num_heads * heads.head_dim),
        kv_cols_(heads.num_kv_heads * heads.head_dim),
        qkv_(random_activations(kLength, q_cols_ + 2 * kv_cols_, random)) {
    ModelShape shape = small_shape();
    shape.num_heads = heads.num_heads;
    shape.num_kv_heads = heads.num_kv_heads;
    shape.head_dim = heads.head_dim;
    shape.hidden_size = q_cols_;
    shape.sliding_window = heads.sliding_window;
    shape.max_positions = kLength;
    cuda.set_shape(shape);
    std::vector<float> cos, sin;
    for (int i = 0; i < kLength * heads.head_dim / 2; ++i) {
      cos.push_back(std::cos(static_cast<float>(i)));
      sin.push_back(std::sin(static_cast<float>(i)));
    }
    cuda.load_rope(cos, sin);
    cuda.reserve_pool(2 * kPages);
  }

  // Attention's outputs, [kLength, q_cols], of steps that end at the positions `ends`.
  std::vector<float> outputs(const std::vector<int>& ends, int first_page) {
    std::vector<int32_t> pages(kPages);
    std::iota(pages.begin(), pages.end(), first_page);
    std::vector<float> all;
    int first = 0;
    for (const int end : ends) {
      const int num_rows = end - first;
      Activations rows(num_rows, qkv_.num_cols);
      const float* from = &qkv_.values[static_cast<size_t>(first) * qkv_.num_cols];
      std::copy_n(from, rows.values.size(), rows.values.begin());
      const DeviceActivations qkv(cuda_, rows);
      const DeviceActivations y(cuda_, operands(poisoned(num_rows, q_cols_)));
      const Matrix q = columns(qkv.matrix(), 0, q_cols_);
      run_once(cuda_, StepArrays({{first, num_rows, pages}}), [&] {
        cuda_.rope_append(q, columns(qkv.matrix(), q_cols_, kv_cols_),
                          columns(qkv.matrix(), q_cols_ + kv_cols_, kv_cols_), 0);
        cuda_.attention(y.matrix(), q, 0);
      });
      const std::vector<float> part = values_of(y, num_rows, q_cols_);
      all.insert(all.end(), part.begin(), part.end());
      first = end;
    }
    return all;
  }

 private:
  Backend& cuda_;
  int q_cols_;
  int kv_cols_;
  Activations qkv_;
};

void test_attention(Backend& cuda, std::mt19937& random) {
  const Heads layouts[] = {{4, 4, 128, 0}, {8, 2, 64, 0},   {32, 4, 128, 0},  {12, 1, 128, 0},
                           {6, 2, 20, 0},  {8, 8, 128, 77}, {14, 2, 64, 300}, {2, 1, 256, 0}};
  for (const Heads& heads : layouts) {
    AttentionBits attention(cuda, heads, random);
    const std::vector<float> at_once = attention.outputs({kLength}, 0);
    // A prompt in pieces, then a token after another, over the chunks' borders.
    std::vector<int> ends{7, 100, 165};
    while (ends.back() < 300) ends.push_back(ends.back() + 1);
    ends.push_back(500);
    while (ends.back() < kLength) ends.push_back(ends.back() + 1);
    if (attention.outputs(ends, kPages) == at_once) continue;
    std::fprintf(stderr, "attention of %d heads, %d KV heads of %d, window %d, differs by steps\n",
                 heads.num_heads, heads.num_kv_heads, heads.head_dim, heads.sliding_window);
    std::exit(1);
  }
}

}  // namespace

int main() {
  if (!has_gpu()) return 0;
  const std::unique_ptr<Backend> cuda = create_cuda();
  std::mt19937 random(23);
  test_products(*cuda, random);
  test_attention(*cuda, random);
  std::printf("ok\n");
}
