"""The baseline of `npm run bench:cpu`: Hugging Face Transformers + PEFT generating one mixed batch.

The first line on standard input is a JSON job; each line after it asks for one run, which is
answered by a line of JSON. `ready` is said once, when the model is loaded and warm. Exit code 3
means that a needed Python package is missing.
"""

import json
import sys
import time

try:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM
except ImportError as err:
    print(err.name, file=sys.stderr)
    sys.exit(3)


def load(job):
    model = AutoModelForCausalLM.from_pretrained(job["base"], dtype=torch.float32)
    first, *rest = job["adapters"]
    model = PeftModel.from_pretrained(model, first["folder"], adapter_name=first["name"])
    for adapter in rest:
        model.load_adapter(adapter["folder"], adapter_name=adapter["name"])
    return model.eval()


def pad_left(sequences):
    longest = max(len(tokens) for tokens in sequences)
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, tokens in enumerate(sequences):
        ids[row, longest - len(tokens) :] = torch.tensor(tokens)
        mask[row, longest - len(tokens) :] = 1
    return ids, mask


def main():
    job = json.loads(sys.stdin.readline())
    torch.set_num_threads(job["threads"])
    model = load(job)
    ids, mask = pad_left([request["tokens"] for request in job["requests"]])
    names = [request["adapter"] for request in job["requests"]]

    def generate(max_new_tokens):
        with torch.inference_mode():
            return model.generate(
                input_ids=ids,
                attention_mask=mask,
                adapter_names=names,
                do_sample=False,
                max_new_tokens=max_new_tokens,
                eos_token_id=None,
                pad_token_id=0,
            )

    model.generation_config.eos_token_id = None
    generate(4)
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        out = generate(job["maxNewTokens"])
        seconds = time.perf_counter() - start
        print(json.dumps({"seconds": seconds, "tokens": out[:, ids.shape[1] :].tolist()}), flush=True)


main()
