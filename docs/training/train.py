"""Trains a LoRA adapter with PEFT on pairs of prompt and answer, and saves it as Punica serves it.

    python3 docs/training/train.py --base models/base --data pairs.jsonl --out out/sentiment

Needs torch, transformers and peft. Each line of the data is {"prompt": ..., "expected": ...}.
"""

import argparse
import json
import pathlib
import random

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer

IGNORED = -100  # Labels of tokens that the loss leaves out.


def encode(tokenizer, prompt, expected):
    """Token ids and labels of one chat turn; only the answer is learned."""
    turns = [{"role": "user", "content": prompt}]
    asked = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    question = tokenizer(asked, add_special_tokens=False)["input_ids"]
    answer = tokenizer(expected + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
    return question + answer, [IGNORED] * len(question) + answer


def collate(rows, pad_id):
    """(B, T) ids, labels and attention mask, padded on the right."""
    length = max(len(ids) for ids, _ in rows)
    pad = lambda values, filler: values + [filler] * (length - len(values))
    return {
        "input_ids": torch.tensor([pad(ids, pad_id) for ids, _ in rows]),
        "labels": torch.tensor([pad(labels, IGNORED) for _, labels in rows]),
        "attention_mask": torch.tensor([pad([1] * len(ids), 0) for ids, _ in rows]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--rank", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    args = parser.parse_args()

    torch.manual_seed(0)
    random.seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer = AutoTokenizer.from_pretrained(args.base)
    base = AutoModelForCausalLM.from_pretrained(args.base, dtype=torch.float32).to(device)
    # What Punica serves: LoRA on the seven projections, with no DoRA, no bias, no modules_to_save.
    model = get_peft_model(
        base,
        LoraConfig(
            task_type="CAUSAL_LM",
            r=args.rank,
            lora_alpha=2 * args.rank,
            target_modules=[
                "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
            ],
        ),
    )
    lines = pathlib.Path(args.data).read_text().splitlines()
    pairs = [json.loads(line) for line in lines if line.strip()]
    rows = [encode(tokenizer, pair["prompt"], pair["expected"]) for pair in pairs]
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate)
    model.train()
    for epoch in range(args.epochs):
        random.shuffle(rows)
        total = 0.0
        for start in range(0, len(rows), args.batch_size):
            batch = collate(rows[start : start + args.batch_size], tokenizer.pad_token_id)
            loss = model(**{name: values.to(device) for name, values in batch.items()}).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += loss.item() * len(batch["input_ids"])
        print(f"epoch {epoch + 1}: loss {total / len(rows):.3f}", flush=True)
    # adapter_config.json and adapter_model.safetensors: all that is uploaded.
    model.save_pretrained(args.out, safe_serialization=True)


if __name__ == "__main__":
    main()
