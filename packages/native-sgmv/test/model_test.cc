// Loading of models: random weights from config.json alone, and checkpoints that do not fit it.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "check.h"
#include "expect_error.h"
#include "harness.h"
#include "model/convert.h"
#include "scratch_folder.h"

namespace sgmv {
namespace {

constexpr const char* kGoldenModel = "test/golden/data/llama-gqa/model/";

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<float> run_random(const std::string& folder, bool with_adapter) {
  Harness harness(create_cpu_backend({.num_threads = 1}),
                  {.folder = folder, .source = WeightSource::kRandom, .max_rows = 8}, 200);
  const Module modules[] = {Module::kQ, Module::kDown};
  TestSequence sequence{nullptr, {1, 2, 3}, 0, {}};
  if (with_adapter) {
    sequence.adapter = harness.add_adapter(random_adapter(harness.config(), 4, modules, 1));
  }
  const Chunk chunk{&sequence, 3};
  return harness.step({&chunk, 1})[0].logits;
}

void test_random_weights() {
  const ScratchFolder folder;
  std::filesystem::copy_file(std::string(kGoldenModel) + "config.json", folder.path("config.json"));
  const std::vector<float> logits = run_random(folder.path(), false);
  float largest = 0;
  for (const float logit : logits) {
    CHECK(std::isfinite(logit));
    largest = std::max(largest, std::abs(logit));
  }
  CHECK(largest > 0);
  CHECK(run_random(folder.path(), false) == logits);
  CHECK(run_random(folder.path(), true) != logits);
}

void load(const std::string& folder, int max_rows = 8) {
  const auto backend = create_cpu_backend({.num_threads = 1});
  load_model(*backend, {.folder = folder, .max_rows = max_rows});
}

void test_misfits() {
  const ScratchFolder folder;
  const std::string config = read_file(std::string(kGoldenModel) + "config.json");
  folder.write("config.json", config);
  expect_error([&] { load(folder.path()); }, {"model.safetensors", "No such file"});
  folder.write("model.safetensors", read_file(std::string(kGoldenModel) + "model.safetensors"));
  load(folder.path());
  expect_error([&] { load(folder.path(), 0); }, {"max_rows"});

  const auto with = [&](std::string_view from, std::string_view to) {
    std::string text = config;
    text.replace(text.find(from), from.size(), to);
    folder.write("config.json", text);
  };
  with("\"vocab_size\": 151", "\"vocab_size\": 150");
  expect_error([&] { load(folder.path()); },
               {"model.safetensors", "\"model.embed_tokens.weight\"", "[151, 72]", "[150, 72]"});
  with("\"num_hidden_layers\": 3", "\"num_hidden_layers\": 4");
  expect_error([&] { load(folder.path()); },
               {"\"model.layers.3.input_layernorm.weight\" is missing"});
  with("\"attention_bias\": false", "\"attention_bias\": true");
  expect_error([&] { load(folder.path()); },
               {"\"model.layers.0.self_attn.q_proj.bias\" is missing"});
}

void test_batch_limits() {
  const auto backend = create_cpu_backend({.num_threads = 1});
  const auto model = load_model(*backend, {.folder = kGoldenModel, .max_rows = 8});
  Batch batch{};
  for (const int num_rows : {0, 9}) {
    batch.num_rows = num_rows;
    expect_error([&] { model->step(batch, {}); }, {std::to_string(num_rows) + " rows", "1 to 8"});
  }
}

}  // namespace
}  // namespace sgmv

int main() {
  sgmv::test_random_weights();
  sgmv::test_misfits();
  sgmv::test_batch_limits();
}
