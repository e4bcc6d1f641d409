#include "model/config.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>

#include "model/fields.h"

namespace sgmv {
namespace {

constexpr size_t kMaxConfigBytes = 1 << 20;
constexpr int kMaxLayers = 1024;
constexpr int kMaxSize = 1 << 20;  // of a hidden layer; products of two fit an int64_t easily
constexpr int kMaxVocab = 1 << 24;
constexpr int kMaxPositions = 1 << 23;
constexpr double kDefaultTheta = 10000;

constexpr std::string_view kLlama = "LlamaForCausalLM";
constexpr std::string_view kMistral = "MistralForCausalLM";
constexpr std::string_view kQwen2 = "Qwen2ForCausalLM";
constexpr std::string_view kQwen3 = "Qwen3ForCausalLM";
constexpr std::array kArchitectures = {kLlama, kMistral, kQwen2, kQwen3};

std::string read_architecture(const Fields& fields) {
  const Json* list = fields.find("architectures");
  const auto* names = list == nullptr ? nullptr : list->get_if<Json::Array>();
  const auto* name =
      names == nullptr || names->size() != 1 ? nullptr : names->front().get_if<std::string>();
  if (name == nullptr) fields.fail("architectures", "must name one architecture");
  if (std::find(kArchitectures.begin(), kArchitectures.end(), *name) == kArchitectures.end()) {
    std::string known;
    for (const std::string_view architecture : kArchitectures) {
      known += (known.empty() ? "" : ", ") + std::string(architecture);
    }
    fields.fail("architectures", "names " + in_quotes(*name) + ", which is not one of " + known);
  }
  return *name;
}

// Refuses fields that change the computation in a way that the engine does not have.
void refuse_unsupported(const Fields& fields) {
  // Mistral's and Qwen's files say "silu"; older Llama files may say nothing.
  const std::string activation = fields.string_or("hidden_act", "silu");
  if (activation != "silu") {
    fields.fail("hidden_act", "is " + in_quotes(activation) + ", only \"silu\" is supported");
  }
  if (fields.is_set("quantization_config")) {
    fields.fail("quantization_config", "is set; quantized checkpoints are not supported");
  }
}

void read_sizes(ModelConfig& config, const Fields& fields) {
  config.num_layers = fields.integer("num_hidden_layers", 1, kMaxLayers);
  config.hidden_size = fields.integer("hidden_size", 1, kMaxSize);
  config.intermediate_size = fields.integer("intermediate_size", 1, kMaxSize);
  config.vocab_size = fields.integer("vocab_size", 1, kMaxVocab);
  config.max_positions = fields.integer("max_position_embeddings", 1, kMaxPositions);
  config.num_heads = fields.integer("num_attention_heads", 1, kMaxSize);
  // Absent means "as many as heads" in Llama alone; the other families have their own defaults,
  // which no published file relies on.
  config.num_kv_heads =
      config.architecture == kLlama
          ? fields.integer_or("num_key_value_heads", 1, kMaxSize, config.num_heads)
          : fields.integer("num_key_value_heads", 1, kMaxSize);
  if (config.num_heads % config.num_kv_heads != 0) {
    fields.fail("num_key_value_heads", "is " + std::to_string(config.num_kv_heads) +
                                           ", which does not divide num_attention_heads " +
                                           std::to_string(config.num_heads));
  }
  if (fields.find("head_dim") == nullptr && config.hidden_size % config.num_heads != 0) {
    fields.fail("hidden_size", "is " + std::to_string(config.hidden_size) +
                                   ", not a multiple of num_attention_heads " +
                                   std::to_string(config.num_heads) + ", and head_dim is missing");
  }
  config.head_dim =
      fields.integer_or("head_dim", 1, kMaxSize, config.hidden_size / config.num_heads);
  if (config.head_dim % 2 != 0) {
    fields.fail("head_dim", "is " + std::to_string(config.head_dim) + ", which is odd");
  }
  if (static_cast<int64_t>(config.num_heads) * config.head_dim > kMaxSize) {
    fields.fail("num_attention_heads", "times head_dim is larger than " + std::to_string(kMaxSize));
  }
}

// One window for all layers, as Mistral has it. Qwen's windows differ by layer where they are on.
int read_sliding_window(const ModelConfig& config, const Fields& fields) {
  constexpr int kMistralDefault = 4096;
  if (const Json* types = fields.find("layer_types")) {
    const auto* list = types->get_if<Json::Array>();
    if (list == nullptr) fields.fail("layer_types", "is " + describe(*types) + ", expected a list");
    for (const Json& type : *list) {
      const auto* name = type.get_if<std::string>();
      const bool is_full = name != nullptr && *name == "full_attention";
      if (!is_full && config.architecture != kLlama) {
        fields.fail("layer_types",
                    "holds " + describe(type) + ", only \"full_attention\" is supported");
      }
    }
  }
  if (config.architecture == kLlama) return 0;
  if (config.architecture == kMistral) {
    // Null switches the window off; only an absent field means the family's default.
    if (fields.has_null("sliding_window")) return 0;
    return fields.integer_or("sliding_window", 1, kMaxPositions, kMistralDefault);
  }
  const bool applies =
      fields.boolean_or("use_sliding_window", false) && fields.find("sliding_window") != nullptr &&
      fields.integer_or("max_window_layers", 0, kMaxLayers, 28) < config.num_layers;
  if (applies) {
    fields.fail("use_sliding_window", "is true; windows that differ by layer are not supported");
  }
  return 0;
}

void read_rope(ModelConfig& config, const Fields& fields) {
  // Transformers 5 keeps everything in rope_parameters. Before, rope_theta stood beside
  // rope_scaling, which was null without scaling.
  std::optional<Fields> rope = fields.object("rope_scaling");
  if (!rope || !fields.is_set("rope_scaling")) rope = fields.object("rope_parameters");
  const double theta = fields.number_or("rope_theta", kDefaultTheta);
  config.rope_theta = static_cast<float>(rope ? rope->number_or("rope_theta", theta) : theta);
  if (!(config.rope_theta > 1)) fields.fail("rope_theta", "must be greater than 1");
  const double rotary = fields.number_or("partial_rotary_factor", 1);
  if (rotary != 1 || (rope && rope->number_or("partial_rotary_factor", 1) != 1)) {
    fields.fail("partial_rotary_factor", "is not 1, which is not supported");
  }

  config.rope_factor = 1;
  if (!rope) return;
  const std::string type = rope->string_or("rope_type", rope->string_or("type", "default"));
  if (type == "default") return;
  if (type != "linear" && type != "llama3") {
    rope->fail("rope_type", "is " + in_quotes(type) +
                                ", only \"default\", \"linear\" and \"llama3\" are supported");
  }
  config.rope_scaling = type;
  config.rope_factor = static_cast<float>(rope->number("factor"));
  if (!(config.rope_factor >= 1)) rope->fail("factor", "must be at least 1");
  if (type == "linear") return;
  config.rope_low_freq_factor = static_cast<float>(rope->number("low_freq_factor"));
  config.rope_high_freq_factor = static_cast<float>(rope->number("high_freq_factor"));
  config.rope_original_max_positions =
      rope->integer_or("original_max_position_embeddings", 1, kMaxPositions, config.max_positions);
  if (!(config.rope_low_freq_factor > 0 &&
        config.rope_high_freq_factor > config.rope_low_freq_factor)) {
    rope->fail("high_freq_factor", "must be greater than low_freq_factor, and both than 0");
  }
}

}  // namespace

ModelConfig read_model_config(const std::string& folder) {
  const std::string path = folder + "/config.json";
  const Json json = read_json_file(path, kMaxConfigBytes);
  const Fields fields(path, json);

  ModelConfig config{};
  config.architecture = read_architecture(fields);
  refuse_unsupported(fields);
  read_sizes(config, fields);
  config.sliding_window = read_sliding_window(config, fields);
  read_rope(config, fields);

  config.rms_norm_eps = static_cast<float>(fields.number_or("rms_norm_eps", 1e-6));
  if (!(config.rms_norm_eps > 0)) fields.fail("rms_norm_eps", "must be greater than 0");
  // Qwen2 has biases on q, k and v whatever its file says; Mistral has none.
  const bool has_option = config.architecture == kLlama || config.architecture == kQwen3;
  const bool attention_bias = has_option && fields.boolean_or("attention_bias", false);
  config.qkv_bias = attention_bias || config.architecture == kQwen2;
  config.o_bias = attention_bias;
  config.mlp_bias = config.architecture == kLlama && fields.boolean_or("mlp_bias", false);
  config.qk_norm = config.architecture == kQwen3;
  config.tie_embeddings = fields.boolean_or("tie_word_embeddings", false);
  return config;
}

}  // namespace sgmv
