// rope_append() and attention() against double loops, over head layouts, page sizes and windows, on
// every instruction set; and the same bits however the prompt is cut into steps and whoever else is
// in the batch. Unwritten pages hold NaN, which nothing may read.
#include <limits>

#include "cpu_fixture.h"

using namespace sgmv;

namespace {

struct Case {
  int num_heads;
  int num_kv_heads;
  int head_dim;
  int page_size;
  int sliding_window;
};

const Case cases[] = {
    {8, 4, 32, 16, 0},   {4, 4, 8, 16, 0},  {6, 2, 20, 4, 0},   {7, 1, 64, 24, 0},
    {16, 1, 128, 32, 0}, {8, 4, 32, 16, 5}, {4, 2, 16, 16, 37}, {2, 2, 80, 10, 13},
};

constexpr int kNumLayers = 2;
constexpr int kLayer = 1;
constexpr int kLength = 61;

ModelShape shape_of(const Case& c) {
  return {.num_layers = kNumLayers,
          .hidden_size = c.num_heads * c.head_dim,
          .num_heads = c.num_heads,
          .num_kv_heads = c.num_kv_heads,
          .head_dim = c.head_dim,
          .intermediate_size = 8,
          .vocab_size = 8,
          .max_positions = kLength,
          .sliding_window = c.sliding_window,
          .page_size = c.page_size};
}

struct Rope {
  std::vector<float> cos, sin;

  explicit Rope(int head_dim) {
    for (int position = 0; position < kLength; ++position) {
      for (int i = 0; i < head_dim / 2; ++i) {
        const double angle = position * std::pow(10000.0, -2.0 * i / head_dim);
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
  }
};

class Attention {
 public:
  Attention(const CpuOptions& options, const Case& c)
      : case_(c), pages_per_seq_((kLength + c.page_size - 1) / c.page_size) {
    backend_ = create_cpu_backend(options);
    backend_->set_shape(shape_of(c));
    const Rope rope(c.head_dim);
    backend_->load_rope(rope.cos, rope.sin);
    backend_->reserve_pool(2 * pages_per_seq_);
    fill_pool_with_nan();
  }

  // The pages of two sequences lie between each other, in descending order.
  std::vector<int32_t> pages(int seq) const {
    std::vector<int32_t> result;
    for (int i = 0; i < pages_per_seq_; ++i) result.push_back(2 * (pages_per_seq_ - 1 - i) + seq);
    return result;
  }

  // Runs rows of qkv [kLength, q | k | v] at the positions that the step says; writes rows of y.
  void run_rows(const std::vector<StepSequence>& sequences, Activations& qkv, Activations& y,
                const std::vector<int>& rows) {
    const int q_cols = case_.num_heads * case_.head_dim;
    const int kv_cols = case_.num_kv_heads * case_.head_dim;
    const int count = static_cast<int>(rows.size());
    Activations in(count, qkv.num_cols);
    Activations out(count, q_cols);
    for (int i = 0; i < count; ++i) {
      for (int col = 0; col < qkv.num_cols; ++col) in.at(i, col) = qkv.at(rows[i], col);
    }
    run(*backend_, StepArrays(sequences), [&] {
      const Matrix q = in.cols(0, q_cols);
      backend_->rope_append(q, in.cols(q_cols, kv_cols), in.cols(q_cols + kv_cols, kv_cols),
                            kLayer);
      backend_->attention(out.matrix(), q, kLayer);
    });
    for (int i = 0; i < count; ++i) {
      for (int col = 0; col < q_cols; ++col) y.at(rows[i], col) = out.at(i, col);
    }
  }

 private:
  // An adapter of NaN that takes all of the pool.
  void fill_pool_with_nan() {
    const size_t num_bytes = 2 * pages_per_seq_ * backend_->page_bytes();
    const int d_in = static_cast<int>(num_bytes / (kPanelRows * sizeof(float)));
    const int width = case_.num_heads * case_.head_dim;
    std::vector<float> nan(static_cast<size_t>(d_in) * kPanelRows + width,
                           std::numeric_limits<float>::quiet_NaN());
    HostAdapter adapter;
    adapter.layers.resize(1);
    adapter.layers[0][0] = {.rank = kPanelRows,
                            .scale = 1,
                            .a = {nan.data(), DType::kF32, kPanelRows, d_in},
                            .b = {nan.data(), DType::kF32, 0, 1}};
    CHECK(backend_->adapter_bytes(adapter) <= num_bytes);
    backend_->adapter_ready(*backend_->place_adapter(adapter, 0));
  }

  Case case_;
  int pages_per_seq_;
  std::unique_ptr<Backend> backend_;
};

std::vector<double> rotated(const Activations& qkv, int position, int col, int head_dim,
                            const Rope& rope) {
  const int half = head_dim / 2;
  std::vector<double> x(head_dim);
  for (int i = 0; i < half; ++i) {
    const double a = qkv.at(position, col + i);
    const double b = qkv.at(position, col + i + half);
    const double cos = rope.cos[position * half + i];
    const double sin = rope.sin[position * half + i];
    x[i] = a * cos - b * sin;
    x[i + half] = b * cos + a * sin;
  }
  return x;
}

void check_against_double(const Case& c, const Activations& qkv, const Activations& y) {
  const Rope rope(c.head_dim);
  const int q_cols = c.num_heads * c.head_dim;
  const int kv_cols = c.num_kv_heads * c.head_dim;
  for (int t = 0; t < kLength; ++t) {
    for (int head = 0; head < c.num_heads; ++head) {
      const int kv_head = head / (c.num_heads / c.num_kv_heads);
      const auto q = rotated(qkv, t, head * c.head_dim, c.head_dim, rope);
      const int begin = c.sliding_window > 0 ? std::max(0, t - c.sliding_window + 1) : 0;
      std::vector<double> sum(c.head_dim);
      double total = 0;
      for (int j = begin; j <= t; ++j) {
        const auto k = rotated(qkv, j, q_cols + kv_head * c.head_dim, c.head_dim, rope);
        double score = 0;
        for (int d = 0; d < c.head_dim; ++d) score += q[d] * k[d];
        const double weight = std::exp(score / std::sqrt(c.head_dim));
        total += weight;
        for (int d = 0; d < c.head_dim; ++d) {
          sum[d] += weight * qkv.at(j, q_cols + kv_cols + kv_head * c.head_dim + d);
        }
      }
      for (int d = 0; d < c.head_dim; ++d) {
        CHECK(is_close(y.at(t, head * c.head_dim + d), sum[d] / total, 2e-5));
      }
    }
  }
}

std::vector<int> range(int first, int count) {
  std::vector<int> rows(count);
  for (int i = 0; i < count; ++i) rows[i] = first + i;
  return rows;
}

Activations in_chunks(const CpuOptions& options, const Case& c, Activations& qkv, int chunk) {
  Attention attention(options, c);
  Activations y(kLength, c.num_heads * c.head_dim);
  for (int t = 0; t < kLength; t += chunk) {
    const int count = std::min(chunk, kLength - t);
    attention.run_rows({{t, count, attention.pages(0)}}, qkv, y, range(t, count));
  }
  return y;
}

// Token by token, beside another sequence that prefills.
Activations in_company(const CpuOptions& options, const Case& c, Activations& qkv) {
  Attention attention(options, c);
  Activations y(kLength, c.num_heads * c.head_dim);
  Activations ignored = y;
  attention.run_rows({{0, 3, attention.pages(1)}}, qkv, ignored, range(0, 3));
  for (int t = 0; t < kLength; ++t) {
    std::vector<int> rows{t};
    const int other = 3 + 2 * t;
    std::vector<StepSequence> sequences{{t, 1, attention.pages(0)}};
    if (other + 2 <= kLength) {
      sequences.insert(sequences.begin(), {other, 2, attention.pages(1)});
      rows = {other, other + 1, t};
    }
    Activations step_y = y;
    attention.run_rows(sequences, qkv, step_y, rows);
    for (int col = 0; col < y.num_cols; ++col) y.at(t, col) = step_y.at(t, col);
  }
  return y;
}

}  // namespace

int main() {
  std::mt19937 random(3);
  for (const Case& c : cases) {
    const int num_cols = (c.num_heads + 2 * c.num_kv_heads) * c.head_dim;
    Activations qkv = Activations::random(kLength, num_cols, random);
    for_each_isa([&](CpuIsa isa) {
      const CpuOptions options{.num_threads = 1, .max_isa = isa};
      const Activations whole = in_chunks(options, c, qkv, kLength);
      check_against_double(c, qkv, whole);
      for (const int chunk : {1, 3, 7, 16, 40}) {
        CHECK(is_identical(in_chunks(options, c, qkv, chunk).values, whole.values));
      }
      const CpuOptions threaded{.num_threads = 3, .max_isa = isa};
      CHECK(is_identical(in_chunks(threaded, c, qkv, 50).values, whole.values));
      CHECK(is_identical(in_company(threaded, c, qkv).values, whole.values));
    });
  }
}
