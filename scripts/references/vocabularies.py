"""Write tests/data/references/tokenizers: small vocabularies of other formats, and what transformers makes of texts.

Run it once with a Python that has transformers 5 and sentencepiece, which trains the vocabularies, and once with one
that has transformers 4.57: `python scripts/references/vocabularies.py`. Each writes expected-MAJOR.json.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import sentencepiece
import tokenizers
import transformers

HERE = Path(__file__).parents[2] / "tests" / "data" / "references" / "tokenizers"
CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog does not mind: it's asleep.",
    "How do I reset my password? Open the settings, choose Account, and press Reset.",
    "def answer(question: str) -> str:\n    return question.upper()  # 1234 56.78",
    "Der schnelle braune Fuchs springt über den faulen Hund. Größe, Straße, Mädchen.",
    "東京は日本の首都です。東京タワーは高い。",
    "Москва — столица России. Как сбросить пароль?",
    "The settings are in the menu; the menu is on the left, and on the left is the password.",
] * 4
TEXTS = [
    "", " ", "  ", "a", "The password", " The password", "  two  spaces  ", "tab\tand\nnew lines\r\n\n", "\n", "dog.",
    "<s>", "<s>The", "The</s>dog", "<s> The </s> dog ", "<tag>The<tag>", "a <tag> b", "<unk>",
    "<start_of_turn>user\nHow?", "東京タワー", "東 京", "한국어", "Пароль", "naïve café e\u0301", "🙂 ok 👩\u200d💻",
    "1234 56.78",
    "it's IT'S we'll",
    "\u2581", "a\u2581b", "\u00a0", "zero\u200bwidth", "\x00\x07", "ﬁ ＡＢ", "    return question", "x" * 60,
    "<|im_start|>user\nHow?<|im_end|>\n", "\ud7ff\ufffd", "The quick brown fox: 12,345.6!",
]  # fmt: skip
BYTE_LEVEL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LLAMA = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
GEMMA = {"tokenizer_class": "GemmaTokenizer", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
QWEN = {
    "tokenizer_class": "Qwen2Tokenizer",
    "eos_token": "<|im_end|>",
    "pad_token": "<|endoftext|>",
    "added_tokens_decoder": {
        str(300 + n): {
            "content": token, "special": True, "lstrip": False, "rstrip": False, "normalized": False,
            "single_word": False,
        }
        for n, token in enumerate(BYTE_LEVEL)
    },
}  # fmt: skip
CASES = {
    "llama": LLAMA | {"legacy": False},
    "llama-legacy": LLAMA | {"legacy": True},
    "llama-without-prefix": LLAMA | {"legacy": False, "add_prefix_space": False},
    "llama-unigram": LLAMA | {"legacy": False},
    "gemma": GEMMA | {"pad_token": "<pad>"},
    "qwen2": QWEN,
    "gpt2": {"tokenizer_class": "GPT2Tokenizer", "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"},
}
OPTIONS = {"byte_fallback": True, "normalization_rule_name": "identity", "remove_extra_whitespaces": False}


def trained(name: str, place: Path) -> None:
    """Write the vocabulary of a case."""
    if name in {"qwen2", "gpt2"}:
        made = tokenizers.ByteLevelBPETokenizer()
        special = BYTE_LEVEL[:1] if name == "gpt2" else []
        made.train_from_iterator(CORPUS, vocab_size=300, special_tokens=special, show_progress=False)
        made.save_model(str(place))
        return
    gemma = name == "gemma"
    made = io.BytesIO()  # a file would have its path in it
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=made,
        model_type="unigram" if "unigram" in name else "bpe",
        vocab_size=420,
        hard_vocab_limit=False,
        add_dummy_prefix=not gemma,
        user_defined_symbols=["<start_of_turn>", "<end_of_turn>", "<tag>", "\n"] if gemma else ["<tag>"],
        minloglevel=2,
        **({"pad_id": 0, "eos_id": 1, "bos_id": 2, "unk_id": 3, "pad_piece": "<pad>", "bos_piece": "<bos>",
            "eos_piece": "<eos>"} if gemma else {}),
        **OPTIONS,
    )  # fmt: skip
    (place / "tokenizer.model").write_bytes(made.getvalue())


if __name__ == "__main__":
    major = transformers.__version__.split(".")[0]
    for name, config in CASES.items():
        place = HERE / name
        if not place.exists():
            place.mkdir(parents=True)
            trained(name, place)
            (place / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n", "utf-8")
        tokenizer = getattr(transformers, f"{config['tokenizer_class']}Fast").from_pretrained(place)
        encoded = [tokenizer(text)["input_ids"] for text in TEXTS]
        expected = {
            "made_with": transformers.__version__,
            "texts": TEXTS,
            "ids": encoded,
            "decoded": [tokenizer.decode(ids, clean_up_tokenization_spaces=False) for ids in encoded],
        }
        (place / f"expected-{major}.json").write_text(json.dumps(expected) + "\n", "utf-8")
        print(name, len(tokenizer), sum(path.stat().st_size for path in place.iterdir()))
