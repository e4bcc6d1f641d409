// Attention on the CUDA backend, by decode and prefill, against the CPU backend on random layouts.
// Outputs hold NaN before, and so do pages that nothing wrote.
#include <cmath>
#include <thread>

#include "cuda_pair.h"

using namespace sgmv;

namespace {

struct Layout {
  int num_heads;
  int num_kv_heads;
  int head_dim;
  int page_size;
  int sliding_window;
};

constexpr Layout layouts[] = {{8, 4, 32, 16, 0},   {4, 4, 64, 16, 0},   {6, 2, 20, 4, 0},
                              {32, 8, 128, 16, 0}, {20, 1, 128, 32, 0}, {8, 4, 32, 16, 5},
                              {4, 2, 16, 16, 137}, {2, 2, 80, 10, 13},  {2, 1, 256, 16, 0},
                              {16, 2, 64, 1, 300}};
constexpr int kMaxLength = 700;

struct Sequence {
  int length;  // tokens in the cache
  std::vector<int32_t> pages;
};

class AttentionTest {
 public:
  AttentionTest(Pair& pair, const Layout& layout, std::mt19937& random)
      : pair_(pair), layout_(layout), random_(random) {
    ModelShape shape = small_shape();
    shape.num_layers = 2;
    shape.num_heads = layout.num_heads;
    shape.num_kv_heads = layout.num_kv_heads;
    shape.head_dim = layout.head_dim;
    shape.hidden_size = layout.num_heads * layout.head_dim;
    shape.page_size = layout.page_size;
    shape.sliding_window = layout.sliding_window;
    shape.max_positions = kMaxLength;
    pair.set_shape(shape);
    std::vector<float> cos, sin;
    for (int position = 0; position < kMaxLength; ++position) {
      for (int i = 0; i < layout.head_dim / 2; ++i) {
        const double angle = position * std::pow(10000.0, -2.0 * i / layout.head_dim);
        cos.push_back(static_cast<float>(std::cos(angle)));
        sin.push_back(static_cast<float>(std::sin(angle)));
      }
    }
    pages_per_seq_ = (kMaxLength + layout.page_size - 1) / layout.page_size;
    for (Backend* backend : {pair.cpu.get(), pair.cuda.get()}) {
      backend->load_rope(cos, sin);
      backend->reserve_pool(kNumSequences * pages_per_seq_);
    }
    fill_pool_with_nan();
    for (int seq = 0; seq < kNumSequences; ++seq) {
      Sequence& sequence = sequences_.emplace_back();
      for (int i = pages_per_seq_; i > 0; --i) {
        sequence.pages.push_back((i - 1) * kNumSequences + seq);
      }
    }
  }

  // Sequence i gets so many rows more.
  void step(const std::vector<int>& num_rows) {
    std::vector<StepSequence> steps;
    for (size_t seq = 0; seq < num_rows.size(); ++seq) {
      if (num_rows[seq] == 0) continue;
      Sequence& sequence = sequences_[seq];
      steps.push_back({sequence.length, num_rows[seq], sequence.pages});
      sequence.length += num_rows[seq];
    }
    const StepArrays arrays(steps);
    const int total = static_cast<int>(arrays.tokens.size());
    const int q_cols = layout_.num_heads * layout_.head_dim;
    const int kv_cols = layout_.num_kv_heads * layout_.head_dim;
    compare(
        "attention", *pair_.cpu, *pair_.cuda, arrays.batch(), arrays.batch(),
        {random_activations(total, q_cols + 2 * kv_cols, random_),
         operands(poisoned(total, q_cols))},
        [&](Backend& backend, std::vector<Matrix>& m) {
          const Matrix q = columns(m[0], 0, q_cols);
          backend.rope_append(q, columns(m[0], q_cols, kv_cols),
                              columns(m[0], q_cols + kv_cols, kv_cols), 1);
          backend.attention(m[1], q, 1);
        },
        2e-3);
  }

 private:
  static constexpr int kNumSequences = 4;

  // Adapters of NaN that take all of the CUDA backend's pool, each not more than a tenth.
  void fill_pool_with_nan() {
    const size_t page_bytes = pair_.cuda->page_bytes();
    const int num_slots = kNumSequences * pages_per_seq_;
    const int width = layout_.num_heads * layout_.head_dim;
    std::vector<float> nan(static_cast<size_t>(kMaxRank) * width, kNaN);
    HostAdapter adapter;
    adapter.layers.resize(2);
    adapter.layers[0][static_cast<int>(Module::kO)] = {
        .rank = kMaxRank,
        .scale = 1,
        .a = {nan.data(), DType::kF32, kMaxRank, width},
        .b = {nan.data(), DType::kF32, width, kMaxRank}};
    const size_t num_bytes = pair_.cuda->adapter_bytes(adapter);
    const int taken = static_cast<int>((num_bytes + page_bytes - 1) / page_bytes);
    for (int slot = 0; slot + taken <= num_slots; slot += taken) {
      const auto placed = pair_.cuda->place_adapter(adapter, slot);
      while (!pair_.cuda->adapter_ready(*placed)) std::this_thread::yield();
    }
  }

  Pair& pair_;
  const Layout layout_;
  std::mt19937& random_;
  int pages_per_seq_;
  std::vector<Sequence> sequences_;
};

void test_attention(Pair& pair, std::mt19937& random) {
  for (const Layout& layout : layouts) {
    AttentionTest test(pair, layout, random);
    test.step({37, 0, 260, 1});
    test.step({1, 300, 1, 1});
    test.step({1, 1, 1, 1});
    test.step({90, 1, 129, 3});
    test.step({0, 64, 1, 200});
    for (int i = 0; i < 5; ++i) test.step({1, 1, 1, 1});
    test.step({1, 1, 0, 2});
  }
}

}  // namespace

int main() {
  if (!has_gpu()) return 0;
  Pair pair;
  std::mt19937 random(11);
  test_attention(pair, random);
  std::printf("ok\n");
}
