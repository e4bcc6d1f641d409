// The models and adapters of the golden files on the CUDA backend in f16, beside the CPU backend
// in f32, which golden_test holds to those files: the logits, and the greedy token wherever the two
// likeliest are not close. Prefill in chunks, decode, and batches of mixed adapters. And a
// sequence's logits are the same bits alone and in company, by graphs and without.
//
// The fixtures whose sizes are no multiples of 8 are not for this backend.
// Runs in packages/native-sgmv.
#include <map>

#include "cuda_fixture.h"
#include "harness.h"
#include "model/json.h"

using namespace sgmv;

namespace {

constexpr int kMaxRows = 512;
constexpr int kNumSlots = 2000;

struct Case {
  std::string adapter;
  std::vector<int32_t> tokens;  // prompt and continuation
  int prompt_size;
};

std::vector<int32_t> to_ints(const Json& json) {
  std::vector<int32_t> ints;
  for (const Json& entry : std::get<Json::Array>(json.value)) {
    ints.push_back(static_cast<int32_t>(std::get<double>(entry.value)));
  }
  return ints;
}

std::vector<Case> read_cases(const std::string& folder) {
  std::vector<Case> cases;
  const Json json = read_json_file(folder + "/golden.json", 1 << 20);
  for (const Json& entry : std::get<Json::Array>(json.find("cases")->value)) {
    std::vector<int32_t> tokens = to_ints(*entry.find("prompt"));
    const int prompt_size = static_cast<int>(tokens.size());
    for (const int32_t token : to_ints(*entry.find("continuation"))) tokens.push_back(token);
    cases.push_back({std::get<std::string>(entry.find("adapter")->value), tokens, prompt_size});
  }
  return cases;
}

// Rounds what an adapter holds as f32 to f16, as the GPU does when it loads it: a golden file's
// random networks make more of that than of all other rounding.
void round_to_f16(HostMatrix& matrix) {
  if (matrix.dtype != DType::kF32) return;
  auto* values = static_cast<float*>(const_cast<void*>(matrix.data));
  std::vector<uint16_t> halves = to_f16(matrix);
  const int size = static_cast<int>(halves.size());
  std::ranges::copy(to_f32({halves.data(), DType::kF16, 1, size}), values);
}

std::unique_ptr<HostAdapter> read_rounded_adapter(const std::string& folder,
                                                  const ModelConfig& config) {
  std::unique_ptr<HostAdapter> adapter = read_adapter(folder, config);
  for (auto& layer : adapter->layers) {
    for (LoraWeights& lora : layer) {
      if (lora.rank == 0) continue;
      round_to_f16(lora.a);
      round_to_f16(lora.b);
    }
  }
  return adapter;
}

// One of the two backends with its model, adapters and the sequences of a test.
struct Side {
  Side(std::unique_ptr<Backend> backend, const std::string& model_folder)
      : harness(std::move(backend), {.folder = model_folder, .max_rows = kMaxRows}, kNumSlots) {}

  const DeviceAdapter* adapter(const std::string& folder, const std::string& name) {
    if (name.empty()) return nullptr;
    const DeviceAdapter*& adapter = adapters[name];
    if (adapter == nullptr) {
      adapter = harness.add_adapter(read_rounded_adapter(folder + "/" + name, harness.config()));
    }
    return adapter;
  }

  std::vector<ChunkResult> step(const std::vector<std::pair<int, int>>& sequence_rows) {
    std::vector<Chunk> chunks;
    for (const auto& [index, num_rows] : sequence_rows) {
      chunks.push_back({&sequences[index], num_rows});
    }
    return harness.step(chunks);
  }

  Harness harness;
  std::map<std::string, const DeviceAdapter*> adapters;
  std::vector<TestSequence> sequences;
};

constexpr double kMaxError = 2e-2;     // of the logits of a row, relative
constexpr float kCloseLogits = 0.05f;  // where two tokens are so close either may be the greedy one

class Golden {
 public:
  Golden(const std::string& folder, const std::string& model_folder,
         const std::string& adapters_folder)
      : folder_(folder),
        adapters_folder_(adapters_folder),
        cases_(read_cases(folder)),
        cpu_(create_cpu_backend({.num_threads = 2}), model_folder),
        cuda_(create_cuda(), model_folder) {}

  void run() {
    for (const Case& c : cases_) {
      for (const int chunk : {kMaxRows, 7, 1}) check({c}, chunk);
    }
    check(cases_, kMaxRows);
    check(cases_, 7);
    std::printf(
        "%s: relative error %.2g, at most %.2g; %d of %d greedy tokens differ by up to %.2g\n",
        folder_.c_str(), sum_error_ / num_rows_, largest_error_, num_other_tokens_, num_rows_,
        largest_margin_);
    CHECK(largest_error_ <= kMaxError);
    CHECK(largest_margin_ <= kCloseLogits);
  }

 private:
  // All cases in one batch, `chunk` rows of each a step until the prompt is done, then one.
  void check(const std::vector<Case>& cases, int chunk) {
    for (Side* side : {&cpu_, &cuda_}) {
      side->harness.reset();
      side->sequences.clear();
      for (const Case& c : cases) {
        side->sequences.push_back({side->adapter(adapters_folder_, c.adapter), c.tokens, 0, {}});
      }
    }
    for (;;) {
      std::vector<std::pair<int, int>> rows;
      for (size_t i = 0; i < cases.size(); ++i) {
        const int num_cached = cpu_.sequences[i].num_cached;
        const int left = cases[i].prompt_size - num_cached;
        if (num_cached == static_cast<int>(cases[i].tokens.size())) continue;
        rows.emplace_back(i, left > 0 ? std::min(left, chunk) : 1);
      }
      if (rows.empty()) return;
      const std::vector<ChunkResult> expected = cpu_.step(rows);
      const std::vector<ChunkResult> actual = cuda_.step(rows);
      for (size_t i = 0; i < rows.size(); ++i) check_logits(actual[i], expected[i]);
    }
  }

  void check_logits(const ChunkResult& actual, const ChunkResult& expected) {
    const size_t size = cpu_.harness.config().vocab_size;
    for (size_t first = 0; first < expected.logits.size(); first += size) {
      const std::vector<float> got(actual.logits.begin() + first,
                                   actual.logits.begin() + first + size);
      std::vector<float> wanted(expected.logits.begin() + first,
                                expected.logits.begin() + first + size);
      const double error = relative_error(got, wanted);
      largest_error_ = std::max(largest_error_, error);
      sum_error_ += error;
      ++num_rows_;
      const auto token = std::ranges::max_element(got) - got.begin();
      const auto best = std::ranges::max_element(wanted) - wanted.begin();
      if (token == best) continue;
      ++num_other_tokens_;
      largest_margin_ = std::max(largest_margin_, wanted[best] - wanted[token]);
    }
  }

  std::string folder_;
  std::string adapters_folder_;
  std::vector<Case> cases_;
  Side cpu_;
  Side cuda_;
  double largest_error_ = 0;
  double sum_error_ = 0;
  float largest_margin_ = 0;  // of a greedy token that differs
  int num_other_tokens_ = 0;
  int num_rows_ = 0;
};

// The logits of every token of `tokens`, prefilled in chunks, then decoded token by token, beside
// `company` other sequences.
std::vector<float> logits_in_company(Side& side, const DeviceAdapter* adapter,
                                     const std::vector<int32_t>& tokens, int prompt_size, int chunk,
                                     const std::vector<const DeviceAdapter*>& company) {
  side.harness.reset();
  side.sequences.assign(1, {adapter, tokens, 0, {}});
  for (size_t i = 0; i < company.size(); ++i) {
    std::vector<int32_t> others(tokens.rbegin() + static_cast<int64_t>(i % 5), tokens.rend());
    side.sequences.push_back({company[i], others, 0, {}});
  }
  std::vector<float> logits;
  while (side.sequences[0].num_cached < static_cast<int>(tokens.size())) {
    const int left = prompt_size - side.sequences[0].num_cached;
    std::vector<std::pair<int, int>> rows{{0, left > 0 ? std::min(left, chunk) : 1}};
    for (size_t i = 1; i < side.sequences.size(); ++i) {
      const TestSequence& other = side.sequences[i];
      if (other.num_cached < static_cast<int>(other.tokens.size())) rows.emplace_back(i, 1);
    }
    const ChunkResult result = side.step(rows)[0];
    logits.insert(logits.end(), result.logits.begin(), result.logits.end());
  }
  return logits;
}

void test_same_bits_in_any_company(const std::string& options) {
  Side side(create_cuda(options), "../../models/base");
  const std::string adapters = "../../models/adapters";
  const Case c = read_cases("test/golden/data/demo").back();
  std::vector<int32_t> tokens;
  for (int i = 0; i < 8; ++i) tokens.insert(tokens.end(), c.tokens.begin(), c.tokens.end());
  tokens.resize(std::min<size_t>(tokens.size(), 300));
  const DeviceAdapter* adapter = side.adapter(adapters, c.adapter);
  const auto alone = logits_in_company(side, adapter, tokens, 200, kMaxRows, {});
  for (const int chunk : {1, 3, 50}) {
    std::vector<const DeviceAdapter*> company;
    for (const int size : {0, 1, 3, 11, 23}) {
      while (static_cast<int>(company.size()) < size) {
        company.push_back(company.size() % 3 == 0 ? nullptr : adapter);
      }
      CHECK(is_identical(logits_in_company(side, adapter, tokens, 200, chunk, company), alone));
    }
  }
}

}  // namespace

int main() {
  if (!has_gpu()) return 0;
  Golden("test/golden/data/demo", "../../models/base", "../../models/adapters").run();
  for (const char* name :
       {"llama-gqa", "llama-linear-bias", "llama3-rope", "mistral-window", "qwen2", "qwen3"}) {
    const std::string folder = std::string("test/golden/data/") + name;
    try {
      Golden(folder, folder + "/model", folder + "/adapters").run();
    } catch (const std::exception& error) {
      // A size that this backend has no kernels for; it says which.
      std::printf("%s: skipped: %s\n", folder.c_str(), error.what());
      CHECK(std::string(error.what()).find("on a GPU it must be a multiple of") !=
            std::string::npos);
    }
  }
  test_same_bits_in_any_company("{}");
  test_same_bits_in_any_company("{\"graphs\": false}");
}
