// Sampling on the CUDA backend against the CPU backend, on random parameters and vocabularies.
#include <algorithm>

#include "cuda_pair.h"
#include "sampling_draw.h"

using namespace sgmv;

namespace {

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

}  // namespace

int main() {
  if (!has_gpu()) return 0;
  Pair pair;
  std::mt19937 random(11);
  test_sampling(pair, random);
  test_non_finite_logits_choose_no_token(pair);
  std::printf("ok\n");
}
