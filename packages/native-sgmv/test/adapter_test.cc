#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "check.h"
#include "expect_error.h"
#include "model/convert.h"
#include "model/model.h"
#include "model/projections.h"
#include "scratch_folder.h"

namespace sgmv {
namespace {

ModelConfig base_config() {
  ModelConfig config{};
  config.num_layers = 2;
  config.hidden_size = 8;
  config.num_heads = 2;
  config.num_kv_heads = 1;
  config.head_dim = 6;
  config.intermediate_size = 10;
  return config;
}

const ModelConfig kBase = base_config();

// An adapter_config.json; `fields` is the text of its members after the first.
std::string config_text(const std::string& fields) {
  return "{\"peft_type\": \"LORA\", " + fields + "}";
}

// The files of an adapter, to be changed before they are read.
struct AdapterFiles {
  std::map<std::string, std::pair<int, int>> shapes;  // of each tensor
  float value = 1;

  // Adds A and B of one projection, as PEFT names them.
  AdapterFiles& add(int layer, Module module, int rank, const std::string& suffix = ".weight") {
    const auto [d_in, d_out] = projection_shape(kBase, module);
    const std::string path = "base_model.model." + module_path(layer, module);
    shapes[path + ".lora_A" + suffix] = {rank, d_in};
    shapes[path + ".lora_B" + suffix] = {d_out, rank};
    return *this;
  }

  std::string bytes() const {
    std::string header = "{";
    std::string data;
    for (const auto& [name, shape] : shapes) {
      const std::vector<float> values(shape.first * shape.second, value);
      header += (data.empty() ? "\"" : ", \"") + name + R"(": {"dtype": "F32", "shape": [)" +
                std::to_string(shape.first) + ", " + std::to_string(shape.second) +
                R"(], "data_offsets": [)" + std::to_string(data.size()) + ", ";
      data.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float));
      header += std::to_string(data.size()) + "]}";
    }
    return safetensors_bytes(header + "}", data);
  }
};

std::unique_ptr<HostAdapter> read(const std::string& fields, const AdapterFiles& files) {
  const ScratchFolder folder;
  folder.write("adapter_config.json", config_text(fields));
  folder.write("adapter_model.safetensors", files.bytes());
  return read_adapter(folder.path(), kBase);
}

const LoraWeights& lora_of(const HostAdapter& adapter, int layer, Module module) {
  return adapter.layers[layer][static_cast<size_t>(module)];
}

AdapterFiles q_files(int rank = 4) {
  return AdapterFiles().add(0, Module::kQ, rank).add(1, Module::kQ, rank);
}

constexpr const char* kQFields = R"("r": 4, "lora_alpha": 8, "target_modules": ["q_proj"])";

void test_reading() {
  const auto adapter = read(kQFields, q_files());
  CHECK(adapter->layers.size() == 2 && adapter->max_rank == 4);
  for (int layer = 0; layer < 2; ++layer) {
    const LoraWeights& q = lora_of(*adapter, layer, Module::kQ);
    CHECK(q.rank == 4 && q.scale == 2);
    CHECK(q.a.num_rows == 4 && q.a.num_cols == 8 && q.b.num_rows == 12 && q.b.num_cols == 4);
    CHECK(to_f32(q.a) == std::vector<float>(32, 1));
    const auto* data = static_cast<const uint8_t*>(q.b.data);
    CHECK(data >= adapter->storage.data() &&
          data < adapter->storage.data() + adapter->storage.size());
    CHECK(lora_of(*adapter, layer, Module::kK).rank == 0);
  }
  // A bare state dict keeps the adapter's name.
  const auto named = read(kQFields, AdapterFiles()
                                        .add(0, Module::kQ, 4, ".default.weight")
                                        .add(1, Module::kQ, 4, ".default.weight"));
  CHECK(lora_of(*named, 1, Module::kQ).rank == 4);
}

void test_target_rules() {
  const AdapterFiles down = AdapterFiles().add(1, Module::kDown, 2);
  const std::string rank = R"("r": 2, "lora_alpha": 2, )";
  for (
      const char* fields :
      {R"("target_modules": ["layers.1.mlp.down_proj"])", R"("target_modules": ".*1\\.mlp\\.d.*")",
       R"("target_modules": ["model.layers.1.mlp.down_proj", "c_attn"])",
       R"("target_modules": ["down_proj"], "layers_to_transform": 1)",
       R"("target_modules": ["down_proj"], "layers_to_transform": [1, 7])",
       R"("target_modules": ["down_proj"], "layers_to_transform": [1], "layers_pattern": "layers")",
       R"("target_modules": ["down_proj"], "exclude_modules": ["layers.0.mlp.down_proj"])",
       R"("target_modules": ["down_proj"], "exclude_modules": ".*\\.0\\..*")",
       R"("target_modules": "all-linear", "exclude_modules": ".*(attn|gate|up|layers.0).*")"}) {
    const auto adapter = read(rank + fields, down);
    CHECK(lora_of(*adapter, 1, Module::kDown).rank == 2);
    CHECK(lora_of(*adapter, 0, Module::kDown).rank == 0);
  }
  AdapterFiles all;
  for (int i = 0; i < 2 * kNumModules; ++i) all.add(i / 7, static_cast<Module>(i % 7), 2);
  const auto adapter = read(rank + R"("target_modules": "All-Linear")", all);
  for (const auto& layer : adapter->layers) {
    for (const LoraWeights& lora : layer) CHECK(lora.rank == 2 && lora.scale == 1);
  }
}

void test_patterns_and_scales() {
  const std::string fields = R"("r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], )";
  AdapterFiles files = AdapterFiles().add(0, Module::kQ, 3).add(1, Module::kQ, 5);
  files.add(0, Module::kV, 4).add(1, Module::kV, 4);
  // The first pattern that fits decides; "proj" fits nothing, since no name ends there after a dot.
  const auto adapter =
      read(fields + R"("rank_pattern": {"proj": 9, "layers.0.self_attn.q_proj": 3, "q_proj": 5},
                       "alpha_pattern": {"^model\\.layers\\.1\\..*": 20, "v_proj": 2})",
           files);
  CHECK(lora_of(*adapter, 0, Module::kQ).rank == 3 && lora_of(*adapter, 1, Module::kQ).rank == 5);
  CHECK(lora_of(*adapter, 0, Module::kQ).scale == 8.0f / 3);
  CHECK(lora_of(*adapter, 1, Module::kQ).scale == 4);
  CHECK(lora_of(*adapter, 0, Module::kV).scale == 0.5f);
  CHECK(lora_of(*adapter, 1, Module::kV).scale == 5 && adapter->max_rank == 5);

  const auto rslora = read(std::string(kQFields) + ", \"use_rslora\": true", q_files());
  CHECK(lora_of(*rslora, 0, Module::kQ).scale == 4);
  CHECK(lora_of(*read(R"("r": 256, "lora_alpha": 1.5, "target_modules": ["q_proj"])", q_files(256)),
                0, Module::kQ)
            .scale == 1.5f / 256);
}

void test_config_refusals() {
  const auto expect = [](const std::string& fields, std::string_view field,
                         std::string_view message) {
    expect_error([&] { read(fields, q_files()); }, {"adapter_config.json: ", field, message});
  };
  for (const char* name : {"use_dora", "lora_bias", "fan_in_fan_out", "use_qalora"}) {
    expect(std::string(kQFields) + ", \"" + name + "\": true", name, "not supported");
    read(std::string(kQFields) + ", \"" + name + "\": false", q_files());
  }
  for (const char* name : {"modules_to_save", "trainable_token_indices", "layer_replication",
                           "target_parameters", "alora_invocation_tokens"}) {
    expect(std::string(kQFields) + ", \"" + name + "\": [1]", name, "not supported");
    read(std::string(kQFields) + ", \"" + name + "\": []", q_files());
  }
  for (const char* name : {"megatron_config", "use_bdlora", "arrow_config", "kasa_config",
                           "velora_config", "monteclora_config"}) {
    expect(std::string(kQFields) + ", \"" + name + "\": {\"a\": 1}", name, "not supported");
    read(std::string(kQFields) + ", \"" + name + "\": null", q_files());
  }
  for (const char* name : {"pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga"}) {
    expect(std::string(kQFields) + ", \"init_lora_weights\": \"" + name + "\"", "init_lora_weights",
           name);
  }
  for (const char* value : {"true", "false", "\"gaussian\"", "\"eva\""}) {
    read(std::string(kQFields) + ", \"init_lora_weights\": " + value, q_files());
  }
  expect(std::string(kQFields) + R"(, "bias": "all")", "bias", "\"all\"");
  expect(std::string(kQFields) + R"(, "task_type": "SEQ_CLS")", "task_type", "\"SEQ_CLS\"");
  expect_error(
      [] {
        const ScratchFolder folder;
        folder.write("adapter_config.json", "{\"peft_type\": \"IA3\"}");
        read_adapter(folder.path(), kBase);
      },
      {"adapter_config.json: peft_type", "\"IA3\""});
}

void test_config_errors() {
  const auto expect = [](const std::string& fields, std::string_view field,
                         std::string_view message) {
    expect_error([&] { read(fields, q_files()); }, {"adapter_config.json: ", field, message});
  };
  expect(R"("lora_alpha": 8, "target_modules": ["q_proj"])", "r ", "missing");
  expect(R"("r": 4, "target_modules": ["q_proj"])", "lora_alpha", "missing");
  expect(R"("r": 4, "lora_alpha": 8)", "target_modules", "missing");
  expect(R"("r": 4, "lora_alpha": 8, "target_modules": [])", "target_modules", "missing");
  for (const char* rank : {"0", "257", "-1", "2.5", "1e300"}) {
    expect(std::string(R"("lora_alpha": 8, "target_modules": ["q_proj"], "r": )") + rank, "r is",
           "from 1 to 256");
  }
  expect(R"("r": "4", "lora_alpha": 8, "target_modules": ["q_proj"])", "r is", "a number");
  expect(R"("r": 4, "lora_alpha": 1e300, "target_modules": ["q_proj"])", "lora_alpha", "range");
  const std::string sizes = R"("r": 4, "lora_alpha": 8, "target_modules": )";
  expect(sizes + R"(["c_attn", "dense"])", "target_modules", "matches no projection");
  expect(sizes + R"("decoder\\..*")", "target_modules", "matches no projection");
  expect(sizes + "\"(q_proj\"", "target_modules", "without its ')'");
  expect(sizes + R"([1])", "target_modules", "expected strings");
  expect(sizes + R"({})", "target_modules", "neither a string nor a list");
  expect(sizes + R"(["q_proj", "lm_head"])", "target_modules", "output head is not supported");
  expect(sizes + R"(["model.embed_tokens"])", "target_modules", "embedding is not supported");
  expect(sizes + R"(".*q_proj", "layers_to_transform": [0])", "layers_to_transform", "pattern");
  expect(sizes + R"(["q_proj"], "layers_to_transform": ["0"])", "layers_to_transform", "numbers");
  expect(sizes + R"(["q_proj"], "rank_pattern": {"q_proj": "4"})", "rank_pattern", "a number");
  expect(sizes + R"(["q_proj"], "rank_pattern": {"q_proj": 300})", "r is 300", "q_proj");
  expect(sizes + R"(["q_proj"], "alpha_pattern": [1])", "alpha_pattern", "not an object");
  expect(sizes + R"x(["q_proj"], "alpha_pattern": {"(?=q)": 1})x", "alpha_pattern", "(?...)");
}

void test_tensor_errors() {
  const auto expect = [](const std::function<void(AdapterFiles&)>& change, std::string_view tensor,
                         std::string_view message) {
    AdapterFiles files = q_files();
    change(files);
    expect_error([&] { read(kQFields, files); },
                 {"adapter_model.safetensors: tensor ", tensor, message});
  };
  const std::string q = "base_model.model.model.layers.0.self_attn.q_proj.";
  const auto add = [](const std::string& name) {
    return [name](AdapterFiles& files) { files.shapes[name] = {1, 1}; };
  };
  expect([&](auto& files) { files.shapes.erase(q + "lora_B.weight"); }, q + "lora_B.weight",
         "is missing, though adapter_config.json targets model.layers.0.self_attn.q_proj");
  expect(
      [&](auto& files) {
        files.shapes[q + "lora_A.weight"] = {4, 9};
      },
      q + "lora_A.weight", "shape [4, 9], expected [4, 8]");
  expect(
      [&](auto& files) {
        files.shapes[q + "lora_B.weight"] = {12, 5};
      },
      q + "lora_B.weight", "shape [12, 5], expected [12, 4]");
  expect([](auto& files) { files.value = INFINITY; }, q, "infinite or not a number");
  expect([](auto& files) { files.value = NAN; }, q, "infinite or not a number");
  expect(add(q + "lora_A.default.weight"), q + "lora_A.default.weight", "there twice");
  expect(add(q + "lora_magnitude_vector"), q, "DoRA is not supported");
  expect(add(q + "lora_B.bias"), q + "lora_B.bias", "bias is not supported");
  expect(add("base_model.model.lm_head.lora_A.weight"), "lm_head", "output head");
  expect(add("base_model.model.model.embed_tokens.lora_embedding_A"), "embed", "the embedding");
  expect(add("base_model.model.lm_head.modules_to_save.weight"), "lm_head", "modules_to_save");
  expect([](auto& files) { files.add(2, Module::kQ, 4); }, "layers.2.",
         "does not target it in the base model's 2 layers");
  expect([](auto& files) { files.add(0, Module::kV, 4); }, "v_proj", "does not target it");
  expect(add("transformer.h.0.c_attn.lora_A.weight"), "c_attn", "is not the LoRA of a projection");

  const ScratchFolder folder;
  folder.write("adapter_config.json", config_text(kQFields));
  expect_error([&] { read_adapter(folder.path(), kBase); },
               {"adapter_model.safetensors", "No such file"});
  folder.write("adapter_model.bin", "PK");
  expect_error([&] { read_adapter(folder.path(), kBase); }, {"adapter_model.bin", "pickled"});
}

void test_random_adapter() {
  const Module modules[] = {Module::kV, Module::kGate};
  const auto adapter = random_adapter(kBase, 3, modules, 7);
  CHECK(adapter->layers.size() == 2 && adapter->max_rank == 3);
  const LoraWeights& v = lora_of(*adapter, 0, Module::kV);
  CHECK(v.rank == 3 && v.a.num_cols == 8 && v.b.num_rows == 6 && v.scale > 0);
  CHECK(lora_of(*adapter, 1, Module::kGate).rank == 3 &&
        lora_of(*adapter, 0, Module::kQ).rank == 0);
  CHECK(all_finite(v.a) && to_f32(v.a) != std::vector<float>(24, 0.0f));
  CHECK(random_adapter(kBase, 3, modules, 7)->storage == adapter->storage);
  CHECK(random_adapter(kBase, 3, modules, 8)->storage != adapter->storage);
  expect_error([&] { random_adapter(kBase, 0, modules, 7); }, {"rank is 0"});
  expect_error([&] { random_adapter(kBase, 257, modules, 7); }, {"rank is 257"});
  expect_error([&] { random_adapter(kBase, 3, {}, 7); }, {"modules is empty"});
}

}  // namespace
}  // namespace sgmv

int main() {
  sgmv::test_reading();
  sgmv::test_target_rules();
  sgmv::test_patterns_and_scales();
  sgmv::test_config_refusals();
  sgmv::test_config_errors();
  sgmv::test_tensor_errors();
  sgmv::test_random_adapter();
}
