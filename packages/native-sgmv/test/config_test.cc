#include <cmath>
#include <string>
#include <string_view>

#include "check.h"
#include "expect_error.h"
#include "model/config.h"
#include "model/rope.h"
#include "scratch_folder.h"

namespace sgmv {
namespace {

// A config.json of `architecture` with `fields` besides the sizes.
std::string config_text(const std::string& architecture, const std::string& fields = "") {
  return "{\"architectures\": [\"" + architecture +
         "\"], \"hidden_act\": \"silu\", \"hidden_size\": 64, \"intermediate_size\": 96, "
         "\"num_hidden_layers\": 2, \"num_attention_heads\": 4, \"num_key_value_heads\": 2, "
         "\"vocab_size\": 100, \"max_position_embeddings\": 128" +
         (fields.empty() ? "" : ", " + fields) + "}";
}

ModelConfig read(const std::string& text) {
  const ScratchFolder folder;
  folder.write("config.json", text);
  return read_model_config(folder.path());
}

ModelConfig read(const std::string& architecture, const std::string& fields) {
  return read(config_text(architecture, fields));
}

void test_families() {
  const ModelConfig llama = read("LlamaForCausalLM", "");
  CHECK(llama.hidden_size == 64 && llama.num_layers == 2 && llama.head_dim == 16);
  CHECK(llama.num_heads == 4 && llama.num_kv_heads == 2 && llama.vocab_size == 100);
  CHECK(llama.max_positions == 128 && llama.sliding_window == 0 && llama.rope_theta == 10000);
  CHECK(llama.rope_scaling.empty() && !llama.qkv_bias && !llama.o_bias && !llama.mlp_bias);
  CHECK(!llama.qk_norm && !llama.tie_embeddings && llama.rms_norm_eps == 1e-6f);

  const ModelConfig biased =
      read("LlamaForCausalLM", "\"attention_bias\": true, \"mlp_bias\": true, \"head_dim\": 24");
  CHECK(biased.qkv_bias && biased.o_bias && biased.mlp_bias && biased.head_dim == 24);
  const ModelConfig qwen2 = read("Qwen2ForCausalLM", "\"tie_word_embeddings\": true");
  CHECK(qwen2.qkv_bias && !qwen2.o_bias && !qwen2.qk_norm && qwen2.tie_embeddings);
  const ModelConfig qwen3 = read("Qwen3ForCausalLM", "\"head_dim\": 128");
  CHECK(qwen3.qk_norm && !qwen3.qkv_bias && qwen3.head_dim == 128);
}

void test_sliding_window() {
  CHECK(read("MistralForCausalLM", "").sliding_window == 4096);
  CHECK(read("MistralForCausalLM", "\"sliding_window\": null").sliding_window == 0);
  CHECK(read("MistralForCausalLM", "\"sliding_window\": 9").sliding_window == 9);
  CHECK(read("Qwen2ForCausalLM", "\"use_sliding_window\": false, \"sliding_window\": 9")
            .sliding_window == 0);
  // The first max_window_layers layers see everything, which here are all of them.
  CHECK(read("Qwen2ForCausalLM",
             "\"use_sliding_window\": true, \"sliding_window\": 9, \"max_window_layers\": 2")
            .sliding_window == 0);
  expect_error(
      [] {
        read("Qwen2ForCausalLM",
             "\"use_sliding_window\": true, \"sliding_window\": 9, \"max_window_layers\": 1");
      },
      {"config.json: use_sliding_window"});
  expect_error([] { read("Qwen3ForCausalLM", "\"layer_types\": [\"sliding_attention\"]"); },
               {"config.json: layer_types", "sliding_attention"});
}

void test_rope() {
  CHECK(read("LlamaForCausalLM", "\"rope_theta\": 500000.0, \"rope_scaling\": null").rope_theta ==
        500000);
  const ModelConfig linear =
      read("LlamaForCausalLM", "\"rope_scaling\": {\"type\": \"linear\", \"factor\": 4.0}");
  CHECK(linear.rope_scaling == "linear" && linear.rope_factor == 4);
  const std::string llama3 =
      "\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0, "
      "\"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 32";
  const ModelConfig before =
      read("LlamaForCausalLM", "\"rope_theta\": 500.0, \"rope_scaling\": {" + llama3 + "}");
  const ModelConfig after =
      read("LlamaForCausalLM", "\"rope_parameters\": {\"rope_theta\": 500.0, " + llama3 + "}");
  for (const ModelConfig& config : {before, after}) {
    CHECK(config.rope_scaling == "llama3" && config.rope_theta == 500 && config.rope_factor == 8);
    CHECK(config.rope_low_freq_factor == 1 && config.rope_high_freq_factor == 4);
    CHECK(config.rope_original_max_positions == 32);
  }

  const RopeTable table = rope_table(after);
  CHECK(table.cos.size() == 128 * 8 && table.cos[0] == 1 && table.sin[0] == 0);
  // 32 / 2 pi = 5.1 turns for the first pair: more than 4, so it stays.
  CHECK(std::abs(table.sin[8] - std::sin(1.0)) < 1e-6);
  // The last pair's wavelength is beyond 32: it is stretched 8 times.
  const double last = std::pow(500.0, -14.0 / 16);
  CHECK(std::abs(table.sin[8 + 7] - std::sin(last / 8)) < 1e-6);

  expect_error([] { read("LlamaForCausalLM", "\"rope_scaling\": {\"rope_type\": \"yarn\"}"); },
               {"config.json: rope_scaling: rope_type is \"yarn\""});
  expect_error([] { read("LlamaForCausalLM", "\"rope_parameters\": {\"rope_type\": \"linear\"}"); },
               {"rope_parameters: factor is missing"});
  expect_error([] { read("LlamaForCausalLM", "\"partial_rotary_factor\": 0.5"); },
               {"partial_rotary_factor"});
  expect_error([] { read("LlamaForCausalLM", "\"rope_theta\": \"big\""); },
               {"rope_theta is \"big\""});
}

void test_refusals() {
  expect_error([] { read("GPT2LMHeadModel", ""); },
               {"config.json: architectures", "\"GPT2LMHeadModel\"", "LlamaForCausalLM"});
  expect_error([] { read("{}"); }, {"architectures must name one"});
  expect_error([] { read("[]"); }, {"config.json", "is not a JSON object"});
  expect_error([] { read_model_config("no/such/folder"); }, {"no/such/folder/config.json"});
  expect_error([] { read("LlamaForCausalLM", "\"quantization_config\": {\"bits\": 4}"); },
               {"quantization_config"});

  const auto replaced = [](const std::string& from, const std::string& to) {
    std::string text = config_text("LlamaForCausalLM");
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  const auto expect = [&](const std::string& from, const std::string& to, std::string_view field,
                          std::string_view message) {
    expect_error([&] { read(replaced(from, to)); }, {"config.json: ", field, message});
  };
  expect("silu", "gelu", "hidden_act", "\"gelu\"");
  expect("\"hidden_size\": 64, ", "", "hidden_size", "is missing");
  expect("\"hidden_size\": 64", "\"hidden_size\": 66", "hidden_size", "not a multiple");
  expect("\"vocab_size\": 100", "\"vocab_size\": 0", "vocab_size", "is 0");
  expect("\"vocab_size\": 100", "\"vocab_size\": 1.5", "vocab_size", "is 1.5");
  expect("\"vocab_size\": 100", "\"vocab_size\": 1e12", "vocab_size", "whole number");
  expect("\"vocab_size\": 100", "\"vocab_size\": \"many\"", "vocab_size", "\"many\"");
  expect("\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3", "num_key_value_heads",
         "does not divide");
  expect("\"vocab_size\"", "\"head_dim\": 15, \"vocab_size\"", "head_dim", "odd");
  expect("\"vocab_size\"", "\"rms_norm_eps\": 0, \"vocab_size\"", "rms_norm_eps", "greater than 0");
  expect("\"vocab_size\"", "\"mlp_bias\": 1, \"vocab_size\"", "mlp_bias", "true or false");
}

}  // namespace
}  // namespace sgmv

int main() {
  sgmv::test_families();
  sgmv::test_sliding_window();
  sgmv::test_rope();
  sgmv::test_refusals();
}
