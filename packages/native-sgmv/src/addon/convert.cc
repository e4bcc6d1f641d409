#include "addon/convert.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

namespace sgmv {
namespace {

constexpr std::array<const char*, kNumModules> kModuleNames = {
    "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"};

// In the order of FinishReason.
constexpr std::array<const char*, 5> kFinishReasons = {"stop", "length", "cancelled", "evicted",
                                                       "error"};

std::string string_of(Napi::Object object, const char* field) {
  return object.Get(field).As<Napi::String>();
}

bool bool_of(Napi::Object object, const char* field) {
  return object.Get(field).As<Napi::Boolean>();
}

int int_of(Napi::Object object, const char* field) {
  return object.Get(field).As<Napi::Number>().Int32Value();
}

float float_of(Napi::Object object, const char* field) {
  return object.Get(field).As<Napi::Number>().FloatValue();
}

double double_of(Napi::Object object, const char* field) {
  return object.Get(field).As<Napi::Number>().DoubleValue();
}

size_t size_of(Napi::Object object, const char* field) {
  return static_cast<size_t>(object.Get(field).As<Napi::Number>().Int64Value());
}

std::vector<int32_t> tokens_of(Napi::Object object, const char* field) {
  const auto array = object.Get(field).As<Napi::Int32Array>();
  return {array.Data(), array.Data() + array.ElementLength()};
}

SamplingParams sampling_from_js(Napi::Object sampling) {
  bool lossless = false;
  SamplingParams params{.temperature = float_of(sampling, "temperature"),
                        .top_k = int_of(sampling, "topK"),
                        .top_p = float_of(sampling, "topP"),
                        .min_p = float_of(sampling, "minP"),
                        .repetition_penalty = float_of(sampling, "repetitionPenalty"),
                        .presence_penalty = float_of(sampling, "presencePenalty"),
                        .frequency_penalty = float_of(sampling, "frequencyPenalty"),
                        .logit_bias = {},
                        .num_logprobs = int_of(sampling, "numLogprobs"),
                        .seed = sampling.Get("seed").As<Napi::BigInt>().Uint64Value(&lossless)};
  const std::vector<int32_t> tokens = tokens_of(sampling, "biasTokens");
  const auto biases = sampling.Get("biases").As<Napi::Float32Array>();
  for (size_t i = 0; i < tokens.size(); ++i) params.logit_bias.emplace_back(tokens[i], biases[i]);
  return params;
}

template <typename Array, typename T>
Array typed_array(Napi::Env env, const std::vector<T>& values) {
  Array array = Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Value logprobs_to_js(Napi::Env env, const Sample& sample) {
  if (std::isnan(sample.logprob)) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  object.Set("logprob", sample.logprob);
  Napi::Array top = Napi::Array::New(env, sample.top.size());
  for (size_t i = 0; i < sample.top.size(); ++i) {
    Napi::Object entry = Napi::Object::New(env);
    entry.Set("token", sample.top[i].token);
    entry.Set("logprob", sample.top[i].logprob);
    top.Set(static_cast<uint32_t>(i), entry);
  }
  object.Set("top", top);
  return object;
}

Napi::Array ends_to_js(Napi::Env env, const StepReport& report) {
  Napi::Array ends = Napi::Array::New(env, report.end_request.size());
  for (size_t i = 0; i < report.end_request.size(); ++i) {
    Napi::Object end = Napi::Object::New(env);
    end.Set("request", static_cast<double>(report.end_request[i]));
    end.Set("reason", kFinishReasons[static_cast<size_t>(report.end_reason[i])]);
    end.Set("byPressure", static_cast<bool>(report.end_by_pressure[i]));
    ends.Set(static_cast<uint32_t>(i), end);
  }
  return ends;
}

Napi::Object report_to_js(Napi::Env env, const StepReport& report) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("step", static_cast<double>(report.step));
  object.Set("durationMs", report.duration_ms);
  object.Set("numPrefillTokens", report.num_prefill_tokens);
  object.Set("numDecodeRows", report.num_decode_rows);
  object.Set("numAdapters", report.num_adapters);
  object.Set("tokenRequests", typed_array<Napi::Float64Array>(env, report.token_request));
  object.Set("tokens", typed_array<Napi::Int32Array>(env, report.token));
  object.Set("tokenIndices", typed_array<Napi::Int32Array>(env, report.token_index));
  Napi::Value logprobs = env.Null();
  if (!report.logprobs.empty()) {
    Napi::Array array = Napi::Array::New(env, report.logprobs.size());
    for (size_t i = 0; i < report.logprobs.size(); ++i) {
      array.Set(static_cast<uint32_t>(i), logprobs_to_js(env, report.logprobs[i]));
    }
    logprobs = array;
  }
  object.Set("logprobs", logprobs);
  object.Set("ends", ends_to_js(env, report));
  object.Set("error", report.error.empty() ? env.Null() : Napi::String::New(env, report.error));
  object.Set("deviceLost", report.device_lost);
  return object;
}

}  // namespace

CreateOptions options_from_js(Napi::Object options) {
  CreateOptions created;
  created.backend = {
      .kind = string_of(options, "backend"),
      .num_threads = int_of(options, "numThreads"),
      .bf16_compute = string_of(options, "compute") == "bf16",
      .plugin_options = "{\"device\": " + std::to_string(int_of(options, "device")) + "}"};
  created.engine.model.folder = string_of(options, "modelFolder");
  created.engine.model.source =
      bool_of(options, "randomWeights") ? WeightSource::kRandom : WeightSource::kCheckpoint;
  created.engine.max_batch_size = int_of(options, "maxBatchSize");
  created.engine.max_step_tokens = int_of(options, "maxStepTokens");
  created.engine.target_step_ms = options.Get("targetStepMs").As<Napi::Number>().DoubleValue();
  created.engine.pool_bytes = size_of(options, "poolBytes");
  created.engine.memory_fraction = double_of(options, "memoryFraction");
  created.engine.host_adapter_bytes = size_of(options, "hostAdapterBytes");
  created.engine.max_waiting = int_of(options, "maxWaiting");
  return created;
}

Request request_from_js(Napi::Object request) {
  return {.id = size_of(request, "id"),
          .adapter = request.Get("adapter").As<Napi::Number>().Uint32Value(),
          .cache_key = string_of(request, "cacheKey"),
          .tokens = tokens_of(request, "tokens"),
          .num_prompt_tokens = int_of(request, "numPromptTokens"),
          .max_new_tokens = int_of(request, "maxNewTokens"),
          .stop_tokens = tokens_of(request, "stopTokens"),
          .ignore_eos = bool_of(request, "ignoreEos"),
          .grammar = tokens_of(request, "grammar"),
          .sampling = sampling_from_js(request.Get("sampling").As<Napi::Object>())};
}

std::vector<Module> modules_from_js(Napi::Array names) {
  std::vector<Module> modules;
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).As<Napi::String>();
    const auto found = std::ranges::find(kModuleNames, name);
    if (found == kModuleNames.end()) {
      throw EngineError("adapter_invalid", "modules names \"" + name +
                                               "\"; the modules are q_proj, k_proj, v_proj, "
                                               "o_proj, gate_proj, up_proj and down_proj.");
    }
    modules.push_back(static_cast<Module>(found - kModuleNames.begin()));
  }
  return modules;
}

Napi::Value model_to_js(Napi::Env env, const ModelConfig& config) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("architecture", config.architecture);
  object.Set("numLayers", config.num_layers);
  object.Set("hiddenSize", config.hidden_size);
  object.Set("numHeads", config.num_heads);
  object.Set("numKvHeads", config.num_kv_heads);
  object.Set("headDim", config.head_dim);
  object.Set("intermediateSize", config.intermediate_size);
  object.Set("vocabSize", config.vocab_size);
  object.Set("maxPositions", config.max_positions);
  return object;
}

Napi::Value stats_to_js(Napi::Env env, const EngineStats& stats) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("numSteps", static_cast<double>(stats.num_steps));
  object.Set("numRunning", stats.num_running);
  object.Set("numWaiting", stats.num_waiting);
  object.Set("pageSize", stats.page_size);
  object.Set("pageBytes", static_cast<double>(stats.page_bytes));
  object.Set("numSlots", stats.num_slots);
  object.Set("freeSlots", stats.free_slots);
  object.Set("cachedSlots", stats.cached_slots);
  object.Set("kvSlots", stats.kv_slots);
  object.Set("adapterSlots", stats.adapter_slots);
  object.Set("numAdapterCopies", static_cast<double>(stats.num_adapter_copies));
  object.Set("hostAdapterBytes", static_cast<double>(stats.host_adapter_bytes));
  Napi::Array adapters = Napi::Array::New(env, stats.adapters.size());
  for (size_t i = 0; i < stats.adapters.size(); ++i) {
    const AdapterState& state = stats.adapters[i];
    Napi::Object adapter = Napi::Object::New(env);
    adapter.Set("handle", state.handle);
    adapter.Set("hostBytes", static_cast<double>(state.host_bytes));
    adapter.Set("poolBytes", static_cast<double>(state.pool_bytes));
    adapter.Set("resident", state.resident);
    adapter.Set("numRequests", state.num_requests);
    adapters.Set(static_cast<uint32_t>(i), adapter);
  }
  object.Set("adapters", adapters);
  return object;
}

Napi::Value reports_to_js(Napi::Env env, std::vector<StepReport>&& reports) {
  Napi::Array array = Napi::Array::New(env, reports.size());
  for (size_t i = 0; i < reports.size(); ++i) {
    array.Set(static_cast<uint32_t>(i), report_to_js(env, reports[i]));
  }
  return array;
}

}  // namespace sgmv
