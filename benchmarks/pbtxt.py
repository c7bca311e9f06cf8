"""Measure the reader of config.pbtxt: `python -m benchmarks.pbtxt FOLDER` (every config.pbtxt below it).

Prints milliseconds a config beside Python's text_format.Parse of the same files, memory a config, and that hostile
texts of ten times the size take about ten times as long or less. Without a folder, generated texts are taken.
"""

from __future__ import annotations

import sys
import timeit
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path

from google.protobuf import text_format

from tests.pbtxt_descriptors import message_class
from tests.pbtxt_texts import RELEASE, text
from tritonrepo.pbtxt import parse

BUDGET = 0.5
"""Our time over text_format's."""

HOSTILE: Mapping[str, Callable[[int], bytes]] = {
    "fields in each other": lambda n: b"input{" * (n // 6),
    "escapes": lambda n: b'name: "' + b"\\x" * (n // 2),
    "values": lambda n: b"input{dims:[" + b"1," * (n // 2) + b"1]}",
    "strings in a row": lambda n: b"name:" + b'"a"' * (n // 3),
    "control characters": lambda n: b'name:"a"' + b" \x01" * (n // 2),
    "dashes": lambda n: b"a-" * (n // 2),
    "map entries": lambda n: b'parameters{key:"a"}' * (n // 19),
}


def both_read(made: bytes) -> bool:
    """Return whether both parsers accept the text, so that both do all the work."""
    try:
        text_format.Parse(made.decode(), message_class(RELEASE)())
    except (text_format.ParseError, ValueError):
        return False
    return not parse(made, RELEASE).faults


def fastest(work: Callable[[bytes], object], texts: list[bytes]) -> float:
    """Return the milliseconds per text, the best of five rounds."""
    return min(timeit.repeat(lambda: [work(made) for made in texts], number=1, repeat=5)) / len(texts) * 1000


def main() -> int:
    """Measure; return exit status 1 if the budget is exceeded."""
    found = [path.read_bytes() for path in sorted(Path(sys.argv[1]).rglob("config.pbtxt"))] if len(sys.argv) > 1 else []
    texts = [made for made in found or [text(number) for number in range(3000)] if both_read(made)]
    size = sum(map(len, texts)) / len(texts)
    ours = fastest(lambda made: parse(made, RELEASE), texts)
    theirs = fastest(lambda made: text_format.Parse(made.decode(), message_class(RELEASE)()), texts)
    print(f"{len(texts)} configs of {size:.0f} bytes: {ours:.3f} ms each, text_format.Parse {theirs:.3f} ms")
    print(f"ratio {ours / theirs:.2f} (budget {BUDGET})")
    tracemalloc.start()
    kept = [parse(made, RELEASE) for made in texts]
    print(f"{tracemalloc.get_traced_memory()[0] / len(kept) / 1024:.1f} KiB kept per config")
    tracemalloc.stop()
    for name, make in HOSTILE.items():
        small, large = (fastest(lambda made: parse(made, RELEASE), [make(n)]) for n in (100_000, 1_000_000))
        print(f"{name}: 100 kB {small:.0f} ms, 1 MB {large:.0f} ms")
    return 1 if ours > BUDGET * theirs else 0


if __name__ == "__main__":
    sys.exit(main())
