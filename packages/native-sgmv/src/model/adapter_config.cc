#include "model/adapter_config.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "model/fields.h"
#include "model/pattern.h"
#include "model/projections.h"

namespace sgmv {
namespace {

constexpr size_t kMaxConfigBytes = 1 << 20;
constexpr size_t kMaxEntries = 4096;  // of a list or of a table of patterns

// Variants of LoRA, and additions to it, that compute something else than y += scale (x A^T) B^T.
constexpr std::string_view kUnsupported[] = {
    "use_dora",       "lora_bias",         "modules_to_save",         "trainable_token_indices",
    "fan_in_fan_out", "layer_replication", "megatron_config",         "target_parameters",
    "use_qalora",     "use_bdlora",        "alora_invocation_tokens", "arrow_config",
    "kasa_config",    "velora_config",     "monteclora_config"};

// Ways of initialising that leave the base model's weights alone. The others (pissa, corda, olora,
// loftq, lora_ga) change them, so the adapter is meaningless on the base model as published.
constexpr std::string_view kKeepingInits[] = {"gaussian", "eva", "orthogonal", "mica"};

void refuse_unsupported(const Fields& fields) {
  const std::string type = fields.string_or("peft_type", "");
  if (type != "LORA") {
    fields.fail("peft_type", "is " + in_quotes(type) + ", only \"LORA\" is supported");
  }
  const std::string task = fields.string_or("task_type", "CAUSAL_LM");
  if (task != "CAUSAL_LM") {
    fields.fail("task_type", "is " + in_quotes(task) + ", only \"CAUSAL_LM\" is supported");
  }
  for (const std::string_view name : kUnsupported) {
    if (fields.is_set(name)) fields.fail(name, "is set, which is not supported");
  }
  const std::string bias = fields.string_or("bias", "none");
  if (bias != "none") {
    fields.fail("bias", "is " + in_quotes(bias) + ", only \"none\" is supported");
  }
  const Json* init = fields.find("init_lora_weights");
  const std::string* name = init == nullptr ? nullptr : init->get_if<std::string>();
  if (name != nullptr && std::find(std::begin(kKeepingInits), std::end(kKeepingInits), *name) ==
                             std::end(kKeepingInits)) {
    fields.fail("init_lora_weights",
                "is " + in_quotes(*name) +
                    ", which changes the base model; save the adapter with PEFT's "
                    "path_initial_model_for_weight_conversion");
  }
}

// A field that is a string or a list of strings, as target_modules is.
struct Names {
  bool is_list = false;
  std::vector<std::string> names;
};

std::optional<Names> read_names(const Fields& fields, std::string_view field) {
  const Json* value = fields.find(field);
  if (value == nullptr) return std::nullopt;
  if (const auto* name = value->get_if<std::string>()) return Names{false, {*name}};
  const auto* list = value->get_if<Json::Array>();
  if (list == nullptr || list->size() > kMaxEntries) {
    fields.fail(field, "is neither a string nor a list of at most " + std::to_string(kMaxEntries) +
                           " strings");
  }
  Names names{true, {}};
  for (const Json& entry : *list) {
    const auto* name = entry.get_if<std::string>();
    if (name == nullptr) fields.fail(field, "holds " + describe(entry) + ", expected strings");
    names.names.push_back(*name);
  }
  return names;
}

Pattern compile(const Fields& fields, std::string_view field, const std::string& source) {
  try {
    return Pattern(source);
  } catch (const std::runtime_error& error) {
    fields.fail(field, std::string(": ") + error.what());
  }
}

// A set of modules: all whose path matches a pattern in full, or a list of names, each the path of
// a module or its end after a dot.
class ModuleSet {
 public:
  ModuleSet() = default;
  ModuleSet(const Fields& fields, std::string_view field) {
    std::optional<Names> names = read_names(fields, field);
    if (!names) return;
    if (names->is_list) {
      suffixes_ = std::move(names->names);
    } else if (!names->names.front().empty()) {
      pattern_ = compile(fields, field, names->names.front());
    }
  }

  bool contains(std::string_view path) const {
    if (pattern_) return pattern_->matches(path);
    return std::any_of(suffixes_.begin(), suffixes_.end(), [=](std::string_view suffix) {
      if (!path.ends_with(suffix)) return false;
      return path.size() == suffix.size() || path[path.size() - suffix.size() - 1] == '.';
    });
  }

 private:
  std::vector<std::string> suffixes_;
  std::optional<Pattern> pattern_;
};

// layers_to_transform and layers_pattern, which confine a list of target_modules to some layers.
class LayerSet {
 public:
  LayerSet() = default;
  explicit LayerSet(const Fields& fields) {
    const Json* value = fields.find("layers_to_transform");
    if (value == nullptr) return;
    const auto* list = value->get_if<Json::Array>();
    if (list != nullptr && list->empty()) return;
    is_confined_ = true;
    const Json::Array single{*value};
    for (const Json& entry : list == nullptr ? single : *list) {
      const double* index = entry.get_if<double>();
      if (index == nullptr) {
        fields.fail("layers_to_transform", "holds " + describe(entry) + ", expected layer numbers");
      }
      indices_.push_back(*index);
    }
    const std::optional<Names> parents = read_names(fields, "layers_pattern");
    if (!parents) return;
    for (const std::string& name : parents->names) {
      if (!name.empty()) parents_.push_back(compile(fields, "layers_pattern", name));
    }
  }

  bool contains(int layer) const {
    if (!is_confined_) return true;
    if (std::find(indices_.begin(), indices_.end(), layer) == indices_.end()) return false;
    // The pattern names what holds the numbered layers; in this family that is "model.layers".
    return parents_.empty() || std::any_of(parents_.begin(), parents_.end(), [](const Pattern& p) {
             return p.matches_tail("model.layers");
           });
  }

 private:
  bool is_confined_ = false;
  std::vector<double> indices_;
  std::vector<Pattern> parents_;
};

// rank_pattern or alpha_pattern: the first pattern that fits a module decides.
class PatternTable {
 public:
  PatternTable(const Fields& fields, std::string_view field) {
    const Json* value = fields.find(field);
    if (value == nullptr) return;
    const auto* object = value->get_if<Json::Object>();
    if (object == nullptr || object->size() > kMaxEntries) {
      fields.fail(field, "is not an object of at most " + std::to_string(kMaxEntries) + " entries");
    }
    for (const auto& [source, entry] : *object) {
      const double* number = entry.get_if<double>();
      if (number == nullptr) {
        fields.fail(field,
                    "[" + in_quotes(source) + "] is " + describe(entry) + ", expected a number");
      }
      entries_.emplace_back(compile(fields, field, source), *number);
    }
  }

  double value_or(std::string_view path, double fallback) const {
    for (const auto& [pattern, value] : entries_) {
      if (pattern.matches_tail(path)) return value;
    }
    return fallback;
  }

 private:
  std::vector<std::pair<Pattern, double>> entries_;
};

// Which projections an adapter's file says it changes.
class TargetRule {
 public:
  explicit TargetRule(const Fields& fields) {
    const std::optional<Names> targets = read_names(fields, "target_modules");
    if (!targets || targets->names.empty()) fields.fail("target_modules", "is missing");
    for (const std::string& name : targets->names) refuse_non_projection(fields, name);
    excluded_ = ModuleSet(fields, "exclude_modules");
    all_linear_ = !targets->is_list && is_all_linear(targets->names.front());
    if (all_linear_) return;
    targets_ = ModuleSet(fields, "target_modules");
    if (targets->is_list) {
      layers_ = LayerSet(fields);
    } else if (fields.find("layers_to_transform") != nullptr) {
      fields.fail("layers_to_transform", "is set while target_modules is a pattern");
    }
  }

  bool contains(int layer, const std::string& path) const {
    if (excluded_.contains(path)) return false;
    return all_linear_ || (targets_.contains(path) && layers_.contains(layer));
  }

 private:
  static bool is_all_linear(std::string name) {
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
      return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    });
    return name == "all-linear";
  }

  static void refuse_non_projection(const Fields& fields, std::string_view name) {
    const std::string_view last = name.substr(name.rfind('.') + 1);
    if (last == "lm_head" || last == "embed_tokens") {
      fields.fail("target_modules", "names " + in_quotes(name) + "; LoRA of the " +
                                        (last == "lm_head" ? "output head" : "embedding") +
                                        " is not supported");
    }
  }

  ModuleSet targets_;
  ModuleSet excluded_;
  LayerSet layers_;
  bool all_linear_ = false;
};

LoraTarget make_target(const Fields& fields, const std::string& path, double rank, double alpha) {
  if (!(rank >= 1 && rank <= kMaxRank) || rank != std::floor(rank)) {
    fields.fail("r", "is " + describe(Json{rank}) + " for " + path +
                         ", expected a whole number from 1 to " + std::to_string(kMaxRank));
  }
  const double scale = alpha / (fields.boolean_or("use_rslora", false) ? std::sqrt(rank) : rank);
  if (!(std::abs(scale) <= std::numeric_limits<float>::max())) {
    fields.fail("lora_alpha", "is out of range for " + path);
  }
  return {static_cast<int>(rank), static_cast<float>(scale)};
}

}  // namespace

LoraTargets read_lora_targets(const std::string& folder, const ModelConfig& config) {
  const std::string file = folder + "/adapter_config.json";
  const Json json = read_json_file(file, kMaxConfigBytes);
  const Fields fields(file, json);
  refuse_unsupported(fields);
  const TargetRule rule(fields);
  const PatternTable ranks(fields, "rank_pattern");
  const PatternTable alphas(fields, "alpha_pattern");
  const double rank = fields.number("r");
  const double alpha = fields.number("lora_alpha");

  LoraTargets targets(config.num_layers);
  bool any = false;
  for (int layer = 0; layer < config.num_layers; ++layer) {
    for (int module = 0; module < kNumModules; ++module) {
      const std::string path = module_path(layer, static_cast<Module>(module));
      if (!rule.contains(layer, path)) continue;
      any = true;
      targets[layer][module] =
          make_target(fields, path, ranks.value_or(path, rank), alphas.value_or(path, alpha));
    }
  }
  if (!any) fields.fail("target_modules", "matches no projection of the base model");
  return targets;
}

}  // namespace sgmv
