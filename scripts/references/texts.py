"""Five hundred texts, and their vectors by sentence-transformers with all-MiniLM-L6-v2.

The texts that are in `tests/data/texts.jsonl` stay; made-up ones are added. `tests/data/vectors.npy` has the vectors in
half precision, which changes no cosine by more than 1e-6.

    pip install sentence-transformers==6.2.0
    python scripts/references/texts.py DIRECTORY_OF_THE_MODEL
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from sentence_transformers import SentenceTransformer

DATA = Path(__file__).parents[2] / "tests" / "data"
COUNT, SEED, LONGEST, WORDS_OF_THE_LONGEST, SOMETIMES = 500, 9, 256, 10_000, 0.3
SCRIPTS = {
    "Latin": (0x61, 0x7A),
    "accented": (0xC0, 0x17F),
    "Greek": (0x391, 0x3C9),
    "Cyrillic": (0x410, 0x44F),
    "Hebrew": (0x5D0, 0x5EA),
    "Arabic": (0x627, 0x64A),
    "Devanagari": (0x905, 0x939),
    "Thai": (0xE01, 0xE2E),
    "Hiragana": (0x3041, 0x3093),
    "Chinese": (0x4E00, 0x9FA5),
    "Hangul": (0xAC00, 0xD7A3),
    "emoji": (0x1F600, 0x1F64F),
    "pictures": (0x1F300, 0x1F5FF),
    "mathematical": (0x1D400, 0x1D4FF),
}
ODD = "\t\n\r\x00\x01\x07\x0b\x1b\x7f\x85\xa0\xad\u0301\u0308\u200b\u200d\u200e\u200f"
ODD += "\u202a\u202e\u2028\u2066\ufe0f\ufeff\ufffd\uffff"
MARKS = ".,;:!?-_()[]{}<>\"'`/\\|@#$%^&*+=~"
WORDS = [
    *("model", "server", "batch", "query", "passage", "index", "vector", "graph", "request", "answer", "stream"),
    *("version", "policy", "bucket", "push", "plan", "stack", "tokenizer", "prompt", "token", "limit", "memory"),
    *("instance", "port", "health", "metric", "config", "file", "directory", "lock", "digest", "release", "image"),
]


def word(pick: random.Random, script: str) -> str:
    first, last = SCRIPTS[script]
    return "".join(chr(pick.randint(first, last)) for _ in range(pick.randint(1, 7)))


def sentence(pick: random.Random) -> str:
    return " ".join(pick.choices(WORDS, k=pick.randint(1, 12))) + pick.choice(["", ".", "?", "!"])


def one_script(pick: random.Random) -> str:
    script = pick.choice([*SCRIPTS])
    return " ".join(word(pick, script) for _ in range(pick.randint(1, 4)))


def mixed(pick: random.Random) -> str:
    return " ".join(word(pick, pick.choice([*SCRIPTS])) for _ in range(pick.randint(2, 5)))


def disturbed(pick: random.Random) -> str:
    return "".join(each + (pick.choice(ODD) if pick.random() < SOMETIMES else "") for each in sentence(pick))


def only_odd(pick: random.Random) -> str:
    return "".join(pick.choices(ODD + " ", k=pick.randint(1, 12)))


def punctuated(pick: random.Random) -> str:
    return "".join(pick.choice(MARKS) if pick.random() < SOMETIMES else each for each in sentence(pick))


def data(pick: random.Random) -> str:
    value = {pick.choice(WORDS): pick.choice([pick.random(), pick.choices(WORDS, k=2), None, True])}
    return json.dumps(value) if pick.random() < SOMETIMES else f"<p class='{pick.choice(WORDS)}'>{sentence(pick)}</p>"


def numbers(pick: random.Random) -> str:
    return " ".join(f"{pick.uniform(-1e9, 1e9):.{pick.randint(0, 6)}g}" for _ in range(pick.randint(1, 5)))


KINDS: tuple[Callable[[random.Random], str], ...] = (
    sentence,
    one_script,
    one_script,
    mixed,
    disturbed,
    only_odd,
    punctuated,
    data,
    numbers,
)


def further(known: list[str]) -> Iterator[str]:
    """Yield further texts until there are enough."""
    pick, seen = random.Random(SEED), {*known}
    longest = " ".join(pick.choices(WORDS, k=WORDS_OF_THE_LONGEST))
    yield longest
    seen.add(longest)
    while len(seen) < COUNT:
        text = pick.choice(KINDS)(pick)
        if text not in seen:
            seen.add(text)
            yield text


def main() -> None:
    path = DATA / "texts.jsonl"
    texts = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    model = SentenceTransformer(sys.argv[1], device="cpu")
    assert model.max_seq_length == LONGEST
    longest, *others = further(texts)
    texts.insert(-1, longest)
    texts += sorted(others, key=lambda text: len(model.tokenizer(text)["input_ids"]))  # so that most batches are short
    vectors = model.encode(texts, batch_size=1, show_progress_bar=False)
    path.write_text("".join(json.dumps(text) + "\n" for text in texts), "utf-8")
    np.save(DATA / "vectors.npy", vectors.astype(np.float16))


if __name__ == "__main__":
    main()
