"""Writes the golden files that test/golden_test.cc compares the engine with.

    python3 packages/native-sgmv/test/golden/make_golden.py

Needs torch, transformers and peft; run with torch 2.13, transformers 5.18 and peft 0.21 (CPU).
Every fixture is a folder in data/, beside this script:

    model/              a tiny random model of one family, as save_pretrained() writes it
    adapters/NAME/      PEFT LoRA folders for it
    golden.json         cases: adapter ("" is the base), prompt, greedy continuation of 64 tokens,
                        and the continuation's steps whose logits are kept
    golden.safetensors  f32 logits: "<case>.prefill" [len(prompt), vocab] (or its last rows),
                        "<case>.decode" [len(steps), vocab], and "mixed.last" [num cases, vocab]
                        of all prompts in one batch with peft's adapter_names

The fixture `demo` has no model of its own: it is made from models/ at the top of the repository.
All arithmetic is f32, whatever the type that a checkpoint is stored in. The expected tokens must
not hang on rounding, so a fixture's seed is the first one for which the two likeliest tokens of
every greedy step are at least MIN_MARGIN apart.
"""

import json
import shutil
from pathlib import Path

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers import LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

HERE = Path(__file__).resolve().parent
DATA = HERE / "data"
MODELS = HERE.parents[3] / "models"

NUM_NEW_TOKENS = 64
MIN_MARGIN = 0.004
DECODE_STEPS = [1, 2, 17, 63]
DEMO_DECODE_STEPS = [1, 63]  # fewer, since its vocabulary is large
ALL_MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]

# Each fixture tries something that the others do not: see the comments.
FIXTURES = {
    # Grouped-query attention, no tied embeddings, sizes that are no multiple of anything handy.
    "llama-gqa": dict(
        config=LlamaConfig(
            vocab_size=151, hidden_size=72, intermediate_size=100, num_hidden_layers=3,
            num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=256,
            tie_word_embeddings=False, rms_norm_eps=1e-5,
        ),
        dtype=torch.bfloat16,
        adapters={
            "all-r8": dict(r=8, lora_alpha=16, target_modules=ALL_MODULES),
            "patterned": dict(
                r=4, lora_alpha=8, target_modules=ALL_MODULES,
                rank_pattern={"^model.layers.0.self_attn.v_proj": 5, "q_proj": 3,
                              r"layers\.[12]\.mlp\.(up|down)_proj": 16},
                alpha_pattern={r"1\.self_attn\.k_proj": 2, "down_proj": 24},
            ),
        },
    ),
    # Llama 3.1's rope scaling over contexts beyond the original one; several shards.
    "llama3-rope": dict(
        config=LlamaConfig(
            vocab_size=157, hidden_size=64, intermediate_size=96, num_hidden_layers=3,
            num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=512,
            tie_word_embeddings=True,
            rope_parameters=dict(
                rope_type="llama3", rope_theta=500.0, factor=8.0, low_freq_factor=1.0,
                high_freq_factor=4.0, original_max_position_embeddings=24,
            ),
        ),
        dtype=torch.bfloat16,
        max_shard_size="80KB",
        adapters={
            "regex": dict(r=4, lora_alpha=6,
                          target_modules=r".*layers\.[12]\.(self_attn\.(q|v)_proj|mlp\.up_proj)"),
            "rslora": dict(r=12, lora_alpha=10, use_rslora=True, target_modules="all-linear"),
        },
    ),
    # Linear rope scaling, and biases on all projections, in the way config.json was written before
    # transformers 5; f32 weights.
    "llama-linear-bias": dict(
        config=LlamaConfig(
            vocab_size=101, hidden_size=48, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=1, max_position_embeddings=256,
            attention_bias=True, mlp_bias=True, tie_word_embeddings=True,
            rope_parameters=dict(rope_type="linear", rope_theta=1000.0, factor=2.5),
        ),
        dtype=torch.float32,
        old_config=True,
        adapters={"r1": dict(r=1, lora_alpha=1, target_modules=["up_proj", "self_attn.o_proj"])},
    ),
    # A sliding window shorter than the prompt; f16 weights; heads wider than hidden / num_heads.
    "mistral-window": dict(
        config=MistralConfig(
            vocab_size=163, hidden_size=64, intermediate_size=112, num_hidden_layers=3,
            num_attention_heads=8, num_key_value_heads=2, head_dim=20,
            max_position_embeddings=256, sliding_window=9,
        ),
        dtype=torch.float16,
        adapters={
            "some-layers": dict(r=16, lora_alpha=16, layers_to_transform=[0, 2],
                                layers_pattern="layers",
                                target_modules=["k_proj", "o_proj", "gate_proj"]),
            "excluded": dict(r=6, lora_alpha=9, target_modules=ALL_MODULES,
                             exclude_modules=r".*\.0\..*"),
        },
    ),
    # Biases on q, k and v; a rank larger than the hidden size would need.
    "qwen2": dict(
        config=Qwen2Config(
            vocab_size=167, hidden_size=56, intermediate_size=80, num_hidden_layers=3,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
            tie_word_embeddings=True, use_sliding_window=False,
        ),
        dtype=torch.bfloat16,
        adapters={
            "r64": dict(r=64, lora_alpha=64, target_modules=["q_proj", "v_proj"]),
            "mlp": dict(r=7, lora_alpha=14, target_modules=["gate_proj", "up_proj", "down_proj"]),
        },
    ),
    # Norms of the query and key heads; head_dim is not hidden / num_heads.
    "qwen3": dict(
        config=Qwen3Config(
            vocab_size=173, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, head_dim=32,
            max_position_embeddings=256, tie_word_embeddings=False,
        ),
        dtype=torch.bfloat16,
        adapters={
            "all-r16": dict(r=16, lora_alpha=32, target_modules=ALL_MODULES),
            "qkv": dict(r=5, lora_alpha=5, target_modules=["q_proj", "k_proj", "v_proj"]),
        },
    ),
}

ADAPTER_DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def randomize(model, generator):
    """Gives every parameter values at which all parts of the network matter."""
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        if "norm" in name:
            noise = 1 + 0.2 * noise
        elif name.endswith("bias"):
            noise = 0.3 * noise
        elif "lora_" in name:
            noise = noise / parameter.shape[1] ** 0.5
        elif "lm_head" in name or "embed" in name:
            # Tied embeddings are also the output head, whose logits should spread by a few units.
            noise = noise * 3 / parameter.shape[1] ** 0.5
        else:
            noise = noise * 1.5 / parameter.shape[1] ** 0.5
        parameter.data = noise.to(parameter.dtype)


def read_base(folder):
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager")
    return model.eval()


def write_model(folder, fixture, generator):
    model = AutoModelForCausalLM.from_config(fixture["config"])
    randomize(model, generator)
    model.to(fixture["dtype"])
    model.save_pretrained(folder, max_shard_size=fixture.get("max_shard_size", "1GB"))
    (folder / "generation_config.json").unlink()
    if fixture.get("old_config"):
        path = folder / "config.json"
        config = json.loads(path.read_text())
        rope = config.pop("rope_parameters")
        config["rope_theta"] = rope.pop("rope_theta")
        config["rope_scaling"] = {"type": rope.pop("rope_type"), **rope}
        config["torch_dtype"] = config.pop("dtype")
        path.write_text(json.dumps(config, indent=2) + "\n")


def write_adapter(folder, base_folder, options, dtype, generator):
    model = get_peft_model(read_base(base_folder), LoraConfig(task_type="CAUSAL_LM", **options))
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            scale = 1.0 if "lora_A" in name else 0.7
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data = scale * noise / parameter.shape[1] ** 0.5
    model.save_pretrained(folder)
    (folder / "README.md").unlink()
    weights = load_file(folder / "adapter_model.safetensors")
    save_file({name: tensor.to(dtype) for name, tensor in weights.items()},
              folder / "adapter_model.safetensors", metadata={"format": "pt"})
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text())
    config["base_model_name_or_path"] = None
    for field in ("target_modules", "exclude_modules"):
        if isinstance(config[field], list):
            config[field].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")


def read_with_adapters(base_folder, adapter_folders):
    model = None
    for name, folder in adapter_folders.items():
        if model is None:
            model = PeftModel.from_pretrained(read_base(base_folder), folder, adapter_name=name)
        else:
            model.load_adapter(folder, adapter_name=name)
    return model.eval()


def adapter_argument(adapters):
    return [adapter or "__base__" for adapter in adapters]


@torch.no_grad()
def all_logits(model, adapter, tokens):
    """f32 logits of every position: [len(tokens), vocab]."""
    out = model(input_ids=torch.tensor([tokens]), adapter_names=adapter_argument([adapter]))
    return out.logits[0].float()


@torch.no_grad()
def continue_greedily(model, adapter, prompt):
    """The tokens, and the least distance between the two likeliest ones of any step."""
    tokens = list(prompt)
    margin = float("inf")
    names = adapter_argument([adapter])
    step = model(input_ids=torch.tensor([tokens]), adapter_names=names, use_cache=True)
    for _ in range(NUM_NEW_TOKENS):
        best = step.logits[0, -1].float().topk(2)
        margin = min(margin, (best.values[0] - best.values[1]).item())
        tokens.append(best.indices[0].item())
        step = model(input_ids=torch.tensor([tokens[-1:]]), adapter_names=names,
                     past_key_values=step.past_key_values, use_cache=True)
    return tokens[len(prompt):], margin


@torch.no_grad()
def mixed_last_logits(model, adapters, prompts):
    """f32 logits of each prompt's last position, all prompts in one left-padded batch."""
    width = max(len(prompt) for prompt in prompts)
    rows = [[0] * (width - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    positions = [[max(0, i - (width - len(prompt))) for i in range(width)] for prompt in prompts]
    out = model(input_ids=torch.tensor(rows), attention_mask=torch.tensor(mask),
                position_ids=torch.tensor(positions), adapter_names=adapter_argument(adapters))
    return out.logits[:, -1].float()


def make_case(model, name, adapter, prompt, num_prefill_rows, steps):
    """A case with its logits, or None where the greedy tokens would hang on rounding."""
    continuation, margin = continue_greedily(model, adapter, prompt)
    if margin < MIN_MARGIN:
        return None
    logits = all_logits(model, adapter, prompt + continuation[:-1])
    # The cached and the whole forward pass must tell the same story.
    assert logits[len(prompt) - 1:].argmax(-1).tolist() == continuation
    prefill = logits[len(prompt) - num_prefill_rows:len(prompt)]
    decode = logits[[len(prompt) - 1 + step for step in steps]]
    case = dict(name=name, adapter=adapter, prompt=prompt, continuation=continuation,
                steps=steps)
    return case, {f"{name}.prefill": prefill, f"{name}.decode": decode}


def write_golden(folder, model, made):
    cases = [case for case, _ in made]
    tensors = {name: tensor for _, some in made for name, tensor in some.items()}
    mixed = mixed_last_logits(model, [case["adapter"] for case in cases],
                              [case["prompt"] for case in cases])
    for row, case in zip(mixed, cases):
        alone = tensors[f"{case['name']}.prefill"][-1]
        assert (row - alone).norm() < 1e-4 * alone.norm(), "a mixed batch must change nothing"
    tensors["mixed.last"] = mixed
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    save_file(tensors, folder / "golden.safetensors")
    lines = ",\n".join("  " + json.dumps(case) for case in cases)
    (folder / "golden.json").write_text('{"cases": [\n' + lines + "\n]}\n")


def try_fixture(folder, fixture, seed):
    shutil.rmtree(folder, ignore_errors=True)
    generator = torch.Generator().manual_seed(seed)
    write_model(folder / "model", fixture, generator)
    adapter_folders = {}
    for i, (name, options) in enumerate(fixture["adapters"].items()):
        adapter_folders[name] = folder / "adapters" / name
        write_adapter(adapter_folders[name], folder / "model", options,
                      ADAPTER_DTYPES[(i + len(folder.name)) % 3], generator)
    model = read_with_adapters(folder / "model", adapter_folders)
    made = []
    for i, adapter in enumerate(["", *adapter_folders]):
        length = 37 - 13 * i
        prompt = torch.randint(fixture["config"].vocab_size, (length,), generator=generator)
        case = make_case(model, adapter or "base", adapter, prompt.tolist(), length, DECODE_STEPS)
        if case is None:
            return False
        made.append(case)
    base = made[0][0]["prompt"]
    for adapter in adapter_folders:
        change = all_logits(model, adapter, base) - all_logits(model, "", base)
        assert change.norm() > 1, "an adapter must change the output"
    write_golden(folder, model, made)
    return True


def make_demo(folder):
    adapters = sorted(path.name for path in (MODELS / "adapters").iterdir())
    model = read_with_adapters(MODELS / "base",
                               {name: MODELS / "adapters" / name for name in adapters})
    tokenizer = AutoTokenizer.from_pretrained(MODELS / "base")
    made = []
    for adapter in ["", *adapters]:
        rows = (MODELS / "evals" / f"{adapter or 'pirate-tales'}.eval.jsonl").read_text()
        for line in rows.splitlines():
            turn = [{"role": "user", "content": json.loads(line)["prompt"]}]
            text = tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
            prompt = tokenizer(text, add_special_tokens=False)["input_ids"]
            case = make_case(model, adapter or "base", adapter, prompt, 1, DEMO_DECODE_STEPS)
            if case is not None:
                break
        made.append(case)
    folder.mkdir(exist_ok=True)
    write_golden(folder, model, made)


def main():
    transformers.logging.disable_progress_bar()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    for name, fixture in FIXTURES.items():
        seed = next(seed for seed in range(1, 1000) if try_fixture(DATA / name, fixture, seed))
        print(f"{name}: seed {seed}")
    make_demo(DATA / "demo")
    print("demo")


if __name__ == "__main__":
    main()
