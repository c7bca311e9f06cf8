"""The rows of `index`: texts of many lengths embedded in another way, and the memory that many passages take."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

from benchmarks.pairs import Row, Side, command, paired, ran, ratio
from benchmarks.streams import EXAMPLE
from tests.test_own_stacks import SEARCH, weights
from tritonrepo import api
from tritonrepo.flows.stack import load
from tritonrepo.generate.inputs import EncoderFiles

TEXTS, TEXTS_SMALL, ROUNDS = 128, 6, 3
LONGEST = 400
"""Words of a text, which is more than the embedder reads."""

PASSAGES, PASSAGES_SMALL, MORE = 10_000, 20, 10
ALONE, IN_ORDER, GROWTH = 1.0, 0.4, 1.1
"""The goals: over one text at a time, and over 32 texts at a time in their order; memory over that of a tenth."""

SAME = 1e-5
"""How far vectors of the same work are apart at most: their last bits depend on what is in a batch."""

NOT_MET = "one text at a time uses all cores as well, and other work on the machine takes from both alike"


def rows(folder: Path, *, small: bool) -> Iterator[Row]:
    """Yield the rows of `index`."""
    yield from _embedding(TEXTS_SMALL if small else TEXTS, 1 if small else ROUNDS)
    yield from _memory(folder, PASSAGES_SMALL if small else PASSAGES)


def _embedding(count: int, rounds: int) -> Iterator[Row]:
    gathering = load([EXAMPLE / "tritonrepo.yaml"], api.Workspace(os.environ)).gathering()
    files = gathering.files("embedder")
    ours, texts = gathering.embeds("embedder").load(), _texts(count)
    plain = _Plain(files)
    found, alone, ordered = paired(
        rounds,
        Side("index", lambda: ours.embed(texts)),
        Side("one text at a time", lambda: plain.embed(texts, 1)),
        Side("32 texts at a time in order", lambda: plain.embed(texts, 32)),
    )
    assert np.abs(ours.embed(texts) - plain.embed(texts, 1)).max() < SAME
    what = f"vectors of {count} texts by `index` / ONNX Runtime with"
    yield ratio(f"{what} one text at a time", found, alone, ALONE, NOT_MET)
    yield ratio(f"{what} 32 texts at a time, in their order", found, ordered, IN_ORDER, NOT_MET)


def _texts(count: int) -> list[str]:
    """Return texts from the documentation, from a few words to more than are read; half of them have 37 or fewer."""
    pages = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
    words = " ".join(page.read_text("utf-8") for page in pages).split()
    chance = random.Random(1)
    sizes = [min(LONGEST, max(3, int(chance.lognormvariate(3.6, 0.9)))) for _ in range(count)]
    starts = [chance.randrange(len(words) - size) for size in sizes]
    return [" ".join(words[start : start + size]) for start, size in zip(starts, sizes, strict=True)]


class _Plain:
    """The encoder as a user of ONNX Runtime and tokenizers calls it."""

    def __init__(self, files: EncoderFiles) -> None:
        self._tokenizer: Any = Tokenizer.from_str(files.tokenizer.content().decode())
        self._tokenizer.enable_truncation(files.max_tokens)
        self._tokenizer.enable_padding()
        self._session = onnxruntime.InferenceSession(str(files.onnx.path), providers=["CPUExecutionProvider"])

    def embed(self, texts: Sequence[str], size: int) -> np.ndarray[Any, Any]:
        """Return the vectors, with so many texts at a time."""
        return np.concatenate([self._run(texts[start : start + size]) for start in range(0, len(texts), size)])

    def _run(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        encodings = self._tokenizer.encode_batch(list(texts))
        feed = {
            "input_ids": np.array([each.ids for each in encodings], np.int64),
            "attention_mask": np.array([each.attention_mask for each in encodings], np.int64),
        }
        found: np.ndarray[Any, Any] = self._session.run(None, feed)[0]
        return found


def _memory(folder: Path, count: int) -> Iterator[Row]:
    few, many = (_peak_mib(folder / f"{each}", each) for each in (count, count * MORE))
    name = f"memory of `index` for {count * MORE:,} short passages / for {count:,} ({few:.0f} MiB)"
    yield Row(name, many / few, "×", GROWTH)


def _peak_mib(stack: Path, count: int) -> float:
    """Return the peak memory of indexing so many passages with a small encoder, whose vectors have 384 dimensions."""
    weights(stack / "w", hidden_size=384, num_hidden_layers=1, intermediate_size=16)
    (stack / "d").mkdir()
    (stack / "tritonrepo.yaml").write_text(SEARCH, "utf-8")
    chance = random.Random(3)
    with (stack / "d" / "a.jsonl").open("w", encoding="utf-8") as lines:
        for number in range(count):
            text = " ".join(chance.choices("abcdefghijklmnopqrst", k=chance.randint(3, 14)))
            url = f"https://example.com/{number}"
            lines.write(json.dumps({"id": f"document-{number}", "text": text, "url": url}) + "\n")
    return ran(command("index", "-f", str(stack / "tritonrepo.yaml"))).peak_mib
