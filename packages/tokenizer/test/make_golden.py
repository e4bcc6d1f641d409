"""Writes golden/data: what Hugging Face's own (Rust) tokenizers make of some 1500 strings.

Run from the repository root: python3 packages/tokenizer/test/make_golden.py
Needs the packages tokenizers and transformers. Everything is seeded, so a second run changes
nothing. Each line of a .jsonl file is one case.
"""

import json
import random
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(__file__).resolve().parent / "golden" / "data"
DEMO = ROOT / "models" / "base"

CODE = [
    "def f(x):\n    return x ** 2  # square\n",
    "const a = [1, 2, 3].map((n) => n * 10)\n",
    "SELECT name, COUNT(*) FROM users WHERE age >= 21 GROUP BY name;",
    '{"name": "Ada", "age": 36, "tags": ["a", "b"]}',
    "#include <vector>\nint main() { return 0; }\t\t// tab",
    "for i in range(1000000): print(f'{i:>8}')\r\n",
    "<a href='x?y=1&amp;z=2'>it's</a>",
    "x=1;y  =  2;\n\n\n   z = x+y",
    "don't we'll I'M they'Re 'tis 12345 3.14159 1e-5",
]
EMOJI = ["😀", "👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇫🇷", "❤️", "🧑🏿‍🚀", "1️⃣", "é", "e\u0301", "ñ", "한국어", "日本語", "中文字",
         "العربية", "हिन्दी", "עברית", "Ελληνικά", "Русский", "ไทย", "𝕳𝖊𝖑𝖑𝖔", "\ufeff", "\u200b", "\u00a0", "\u3000", "\ufffd"]
SPECIALS = ["<s>", "</s>", "<pad>", "<|user|>", "<|assistant|>", "<|system|>", "<s", "<|user", "< s >"]
EDGES = ["", " ", "  ", "\n", "\t", "\r\n", " a", "a ", "\0", "a\0b", "▁", "▁a", "<0x41>", "Ġ", "a" * 300, "ab " * 100,
         " " * 40 + "x", "." * 60, "\u2028", "İi̇", "ﬁ", "ß", "Å", "A\u030a"]


def prose() -> list[str]:
    texts = []
    for path in sorted((ROOT / "models" / "evals").glob("*.jsonl")):
        for line in path.read_text().splitlines()[:60]:
            texts += [value[:100] for value in json.loads(line).values() if isinstance(value, str)]
    return texts


def random_text(rng: random.Random) -> str:
    def character() -> str:
        kind = rng.random()
        if kind < 0.4:
            return chr(rng.randint(0x20, 0x7E))
        if kind < 0.6:
            return chr(rng.randint(0xA0, 0x24F))
        if kind < 0.8:
            return chr(rng.randint(0x370, 0xD7FF))
        if kind < 0.9:
            return chr(rng.randint(0x1F300, 0x1FAFF))
        return rng.choice(EMOJI + SPECIALS + [" ", "\n", "\t"])

    return "".join(character() for _ in range(rng.randint(1, 40)))


def texts() -> list[str]:
    rng = random.Random(20260101)
    written = CODE + EMOJI + SPECIALS + EDGES
    mixed = ["".join(rng.choices(written + [" ", "\n"], k=rng.randint(2, 5))) for _ in range(300)]
    return [*prose(), *written, *mixed, *[random_text(rng) for _ in range(500)]][:1600]


def chats() -> list[list[dict[str, str]]]:
    say = lambda role, content: {"role": role, "content": content}
    return [
        [say("user", "Hi")],
        [say("system", "Be brief."), say("user", "Who are you?")],
        [say("user", "a"), say("assistant", "b"), say("user", "c")],
        [say("system", "é 👩‍👩‍👧‍👦"), say("user", " leading and trailing \n"), say("assistant", ""), say("user", "{{ x }} {% if %}")],
        [say("user", "a <|assistant|> in the text"), say("assistant", "</s>")],
    ]


def train_byte_fallback(corpus: list[str]) -> Tokenizer:
    """A small tokenizer of the other kind: SentencePiece-like BPE as Llama 2 has it."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(
        vocab_size=900,
        special_tokens=["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)],
        initial_alphabet=[],
        limit_alphabet=90,
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    fields = json.loads(tokenizer.to_str())
    fields["pre_tokenizer"] = None
    fields["added_tokens"] = [token for token in fields["added_tokens"] if token["id"] < 3]
    fields["decoder"] = {
        "type": "Sequence",
        "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ],
    }
    return Tokenizer.from_str(json.dumps(fields))


def write(name: str, cases: list) -> None:
    lines = [json.dumps(case, ensure_ascii=True, separators=(",", ":")) for case in cases]
    (DATA / name).write_text("\n".join(lines) + "\n")


def main() -> None:
    folder = DATA / "byte-fallback"
    folder.mkdir(parents=True, exist_ok=True)
    strings = texts()
    byte_level = Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    byte_fallback = train_byte_fallback(prose()[:600])
    (folder / "tokenizer.json").write_text(
        json.dumps(json.loads(byte_fallback.to_str()), ensure_ascii=True, separators=(",", ":"))
    )
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"bos_token": {"content": "<s>"}, "eos_token": "</s>", "unk_token": "<unk>"}) + "\n"
    )
    ids = lambda tokenizer, text: tokenizer.encode(text, add_special_tokens=False).ids
    # [text, ids by the byte-level tokenizer]
    write("byte-level.jsonl", [[text, ids(byte_level, text)] for text in strings])
    # A quarter of the texts will do for the second kind: [text, ids, decoded]
    write(
        "byte-fallback.jsonl",
        [[text, (found := ids(byte_fallback, text)), byte_fallback.decode(found)] for text in strings[::4]],
    )
    # Ids that no text gave, so that characters are cut anywhere: [ids, decoded]
    rng = random.Random(7)
    cut = [[rng.randrange(byte_level.get_vocab_size()) for _ in range(rng.randint(1, 24))] for _ in range(200)]
    low = [[rng.randrange(6, 262) for _ in range(rng.randint(1, 24))] for _ in range(200)]
    write("random-ids.jsonl", [[case, byte_level.decode(case)] for case in cut + low])
    transformer = AutoTokenizer.from_pretrained(DEMO)
    render = lambda chat: transformer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    # [messages, text, ids]
    write("chats.jsonl", [[chat, (text := render(chat)), ids(byte_level, text)] for chat in chats()])


if __name__ == "__main__":
    main()
