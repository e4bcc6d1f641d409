// Every operation of the CUDA backend against the CPU backend on random shapes: values that f16
// holds go in, and what comes out must agree to what rounding to f16 leaves. Outputs hold NaN
// before, and so do pages that nothing wrote.
#include <algorithm>
#include <thread>

#include "cuda_adapters.h"
#include "cuda_pair.h"
#include "sampling_draw.h"

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

// ---- attention ----

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

// ---- adapters ----

void test_sgmv(Pair& pair, std::mt19937& random) {
  ModelShape shape = small_shape();
  shape.num_layers = 2;
  shape.num_heads = 8;
  shape.head_dim = 32;
  shape.hidden_size = 136;
  shape.intermediate_size = 200;
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

// ---- sampling ----

// Weights that bf16 and f16 both hold exactly: below 2^-17 f16 has not all the bits of bf16.
OwnedMatrix random_logits(int num_rows, int num_cols, std::mt19937& random, float deviation) {
  OwnedMatrix m = random_matrix(num_rows, num_cols, DType::kBF16, random, deviation);
  for (size_t i = 0; i < m.values.size(); ++i) {
    if (std::abs(m.values[i]) >= 0x1p-17f) continue;
    m.values[i] = 0;
    std::memset(m.bytes.data() + i * sizeof(uint16_t), 0, sizeof(uint16_t));
  }
  return m;
}

// Logits are single weights, since x is one-hot: both backends have the same, exactly.
class SamplingTest {
 public:
  SamplingTest(Pair& pair, int vocab_size, float deviation, std::mt19937& random)
      : pair_(pair),
        vocab_size_(vocab_size),
        deviation_(deviation),
        w_(random_logits(vocab_size, kHidden, random, deviation)) {
    ModelShape shape = small_shape();
    shape.vocab_size = vocab_size;
    pair.set_shape(shape);
    cpu_w_ = pair.cpu->load_linear({&w_.host, 1}, {});
    cuda_w_ = pair.cuda->load_linear({&w_.host, 1}, {});
  }

  void check(const std::vector<SampleRow>& rows) {
    StepArrays step = rows_of(kHidden);
    Batch batch = step.batch();
    batch.samples = rows;
    Activations x(kHidden, kHidden);
    for (int i = 0; i < kHidden; ++i) x.at(i, i) = 1;
    const DeviceActivations device_x(*pair_.cuda, operands(x));
    std::vector<Sample> expected(rows.size()), actual(rows.size());
    pair_.cpu->run_step(
        batch, [&] { pair_.cpu->logits(x.matrix(), *cpu_w_); }, expected);
    pair_.cuda->run_step(
        batch, [&] { pair_.cuda->logits(device_x.matrix(), *cuda_w_); }, actual);
    check_logits(rows);
    for (size_t i = 0; i < rows.size(); ++i) check_sample(rows[i], actual[i], expected[i]);
  }

  // Draws so far that rounding decided.
  int num_open() const { return num_open_; }

  static constexpr int kHidden = 64;

 private:
  void check_logits(const std::vector<SampleRow>& rows) const {
    const size_t size = rows.size() * vocab_size_;
    std::vector<float> expected(size), actual(size);
    pair_.cpu->read_logits(expected);
    pair_.cuda->read_logits(actual);
    for (size_t i = 0; i < size; ++i) {
      if (actual[i] == expected[i]) continue;
      std::fprintf(stderr, "logit %zu of sample %zu of %zu is %.9g, not %.9g\n", i % vocab_size_,
                   i / vocab_size_, rows.size(), actual[i], expected[i]);
      std::exit(1);
    }
  }

  void check_sample(const SampleRow& row, const Sample& actual, const Sample& expected) {
    const char* what = difference(row, actual, expected);
    if (what == nullptr) return;
    std::string draws;
    if (actual.is_valid && expected.is_valid) {
      std::vector<float> logits;
      for (int token = 0; token < vocab_size_; ++token) logits.push_back(w_.at(token, row.row));
      const Draw draw(logits, row);
      const bool is_drawn = actual.token != expected.token && row.params->temperature > 0;
      if (is_drawn && draw.is_open(actual.token, expected.token)) {
        ++num_open_;
        return;
      }
      draws = "CUDA: " + draw.describe(actual.token) + "\nCPU: " + draw.describe(expected.token);
    }
    std::fprintf(stderr, "%s differs: vocabulary of %d, deviation %g, %s\n%s\n", what, vocab_size_,
                 deviation_, describe(row).c_str(), draws.c_str());
    std::exit(1);
  }

  // What differs in a sample; null if nothing does.
  static const char* difference(const SampleRow& row, const Sample& actual,
                                const Sample& expected) {
    if (actual.is_valid != expected.is_valid) return "is_valid";
    if (!expected.is_valid) return nullptr;
    if (actual.top.size() != expected.top.size()) return "number of log-probabilities";
    for (size_t i = 0; i < actual.top.size(); ++i) {
      if (actual.top[i].token != expected.top[i].token) return "likeliest tokens";
      if (!is_close(actual.top[i].logprob, expected.top[i].logprob, 1e-5)) {
        return "log-probabilities";
      }
    }
    if (actual.token != expected.token) return "token";
    if (row.params->num_logprobs < 0) return nullptr;
    return is_close(actual.logprob, expected.logprob, 1e-5) ? nullptr : "log-probability";
  }

  Pair& pair_;
  const int vocab_size_;
  const float deviation_;
  int num_open_ = 0;
  OwnedMatrix w_;
  std::unique_ptr<Weights> cpu_w_, cuda_w_;
};

SamplingParams random_params(int vocab_size, std::mt19937& random) {
  const auto one_of = [&](auto... choices) {
    const float values[] = {static_cast<float>(choices)...};
    return values[uniform(random, 0, sizeof...(choices) - 1)];
  };
  SamplingParams p;
  p.temperature = one_of(0, 0.3, 1, 1.7);
  p.top_k = static_cast<int>(one_of(0, 1, 5, 40, 100000));
  p.top_p = one_of(1, 1, 0, 0.5, 0.95);
  p.min_p = one_of(0, 0, 0.1, 1);
  p.repetition_penalty = one_of(1, 1, 1.3);
  p.presence_penalty = one_of(0, 0, 0.7);
  p.frequency_penalty = one_of(0, 0, 0.2, -0.5);
  for (int i = uniform(random, -3, 3); i > 0; --i) {
    p.logit_bias.emplace_back(i * 7 % vocab_size, one_of(-100, 2.5));
  }
  p.num_logprobs = static_cast<int>(one_of(-1, 0, 3, 20));
  p.seed = random();
  return p;
}

// Of a few tokens, of about half of them, or of none.
std::vector<uint32_t> random_mask(int vocab_size, std::mt19937& random) {
  std::vector<uint32_t> mask((vocab_size + 31) / 32);
  if (uniform(random, 0, 3) == 0) {
    for (uint32_t& word : mask) word = random();
  } else {
    for (int i = uniform(random, 0, 5); i > 0; --i) {
      const int token = uniform(random, 0, vocab_size - 1);
      mask[token / 32] |= 1u << (token % 32);
    }
  }
  return mask;
}

void test_sampling(Pair& pair, std::mt19937& random) {
  int num_open = 0;
  for (const int vocab_size : {17, 1000, 32000, 128256}) {
    for (const float deviation : {0.0f, 0.5f, 3.0f}) {
      SamplingTest test(pair, vocab_size, deviation, random);
      for (int round = 0; round < 4; ++round) {
        std::vector<SamplingParams> params;
        std::vector<std::vector<int32_t>> tokens;
        std::vector<std::vector<uint32_t>> masks;
        for (int i = 0; i < SamplingTest::kHidden; ++i) {
          masks.push_back(uniform(random, 0, 2) == 0 ? random_mask(vocab_size, random)
                                                     : std::vector<uint32_t>{});
          params.push_back(random_params(vocab_size, random));
          tokens.emplace_back(uniform(random, 0, 2000));
          for (int32_t& token : tokens.back()) token = uniform(random, 0, vocab_size - 1);
        }
        std::vector<SampleRow> rows;
        for (int i = SamplingTest::kHidden - 1; i >= 0; i -= 1 + round) {
          const int num_tokens = static_cast<int>(tokens[i].size());
          rows.push_back({i, &params[i], uniform(random, 0, 5000), tokens[i],
                          uniform(random, 0, num_tokens), masks[i]});
        }
        test.check(rows);
      }
      num_open += test.num_open();
    }
  }
  constexpr int kMaxOpen = 2;  // of 1608 rows
  if (num_open > 0) std::printf("%d draws were decided by rounding\n", num_open);
  CHECK(num_open <= kMaxOpen);
}

void test_non_finite_logits_choose_no_token(Pair& pair) {
  ModelShape shape = small_shape();
  pair.set_shape(shape);
  std::vector<float> values(64 * 64, 0.5f);
  values[65] = kNaN;
  const HostMatrix host{values.data(), DType::kF32, 64, 64};
  const auto w = pair.cuda->load_linear({&host, 1}, {});
  Activations x(1, 64);
  x.at(0, 1) = 1;
  const DeviceActivations device_x(*pair.cuda, operands(x));
  const SamplingParams greedy;
  const std::vector<SampleRow> rows{{0, &greedy, 0, {}, 0}};
  StepArrays step = rows_of(1);
  Batch batch = step.batch();
  batch.samples = rows;
  std::vector<Sample> samples(1);
  pair.cuda->run_step(
      batch, [&] { pair.cuda->logits(device_x.matrix(), *w); }, samples);
  CHECK(!samples[0].is_valid);
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
  section("attention");
  test_attention(pair, random);
  section("sgmv");
  test_sgmv(pair, random);
  section("sampling");
  test_sampling(pair, random);
  test_non_finite_logits_choose_no_token(pair);
  test_memory_that_is_not_there_is_named(pair);
  section("ok");
}
