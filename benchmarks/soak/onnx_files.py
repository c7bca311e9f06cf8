"""Damage ONNX files and read them: `python -m benchmarks.soak.onnx_files [COUNT] [SEED]` (200,000 without a number).

Each file must be read or be an error, in time; what the onnx package also reads must not be an error, and have the
header that this package sees. Printed are the numbers of each kind and the slowest file. Exit status 1 for any
difference.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from tests.onnx_samples import damaged, expected, some_model
from tritonrepo.onnxfile import BrokenError, Header, header
from tritonrepo.tree import of_bytes

COUNT = 200_000
MODELS = 300
PLACES = {"constant", "attribute"}
PLACE = Path("damaged.onnx")
"""Where the first file with a difference is left."""


def told(content: bytes, found: Header | None) -> str:
    """Return how a file was read, compared with the onnx package; a word in capitals is a difference."""
    try:
        model = onnx.load_from_string(content)
    except DecodeError:
        return "an error to both" if found is None else "an error only where nothing is read"
    if not (model.HasField("graph") and model.HasField("ir_version")):
        return "no model" if found is None else "MORE THAN A MESSAGE"
    if found is None:
        return "A FALSE ERROR"
    graph = model.graph
    named = [*graph.input, *graph.output, *graph.initializer, *(each.values for each in graph.sparse_initializer)]
    if "\ufffd" in repr(found) or any(isinstance(each.name, bytes) for each in named):  # as protobuf shows such names
        return "read, with names that are not UTF-8"
    return "read alike" if plain(found) == plain(expected(model)) else "READ DIFFERENTLY"


def plain(found: Header) -> Header:
    """Return a header without the places of tensors in attributes: a name that follows them does not count."""
    known = (each._replace(fault=None) for each in found.externals)
    placed = (each._replace(place="", name="") if each.place in PLACES else each for each in known)
    return replace(found, externals=tuple(sorted(placed, key=repr)))


def main() -> int:
    """Damage, read and compare."""
    count, seed = [*sys.argv[1:], *(str(COUNT), "onnx files")[len(sys.argv) - 1 :]]
    dice = random.Random(seed)
    models = [some_model(dice).SerializeToString() for _ in range(MODELS)]
    seen, slowest = Counter[str](), 0.0
    for _ in range(int(count)):
        content = damaged(dice, dice.choice(models))
        before = time.perf_counter()
        try:
            found: Header | None = header(of_bytes(content))
        except BrokenError:
            found = None
        slowest = max(slowest, time.perf_counter() - before)
        word = told(content, found)
        seen[word] += 1
        if word.isupper() and seen[word] == 1:
            PLACE.write_bytes(content)
    for word, number in seen.most_common():
        print(f"{number:9,} {word}")
    print(f"slowest: {slowest * 1000:.1f} ms")
    return 1 if any(map(str.isupper, seen)) else 0


if __name__ == "__main__":
    sys.exit(main())
