"""How well the pipelines of a stack find passages: questions whose right passage is known, asked of the real server.

    python -m benchmarks.retrieval [--stack DIRECTORY] [--table]

The stack has models `embedder` and `retriever` and a pipeline `search`. Each question is asked of the first two, which
rank by the passages' vectors alone, and of the pipeline, which may rerank. The figures are printed whatever their sign;
`--table` writes them to benchmarks/retrieval.md.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.questions import Question, questions, shares_words
from tritonrepo.api import Ports, ServeOptions, Workspace, load, up

HERE = Path(__file__).parent
TABLE = HERE / "retrieval.md"
CUT = 4
"""Places that count in nDCG: a generator reads no more passages in the example."""

INTRODUCTION = """\
# What is found

{total} questions whose right passage is known ([questions.jsonl](questions.jsonl)), sent to the stack
`examples/models/{stack}` on the real server. {apart} of them share no content word with their passage. They were
written before anything was measured. recall@1 is the share of questions whose right passage comes first; nDCG@4 counts
a right passage at place p of the first {cut} as 1 / log2(p + 1). `python -m benchmarks.retrieval --table` writes this
page.

"""


def tensor(name: str, kind: str, shape: Sequence[int], data: Sequence[Any]) -> dict[str, Any]:
    return {"name": name, "datatype": kind, "shape": list(shape), "data": list(data)}


def infer(url: str, model: str, *inputs: Mapping[str, Any]) -> dict[str, list[Any]]:
    body = json.dumps({"inputs": inputs}).encode()
    with urllib.request.urlopen(f"{url}/v2/models/{model}/infer", body, timeout=60) as response:
        return {output["name"]: output["data"] for output in json.load(response)["outputs"]}


def by_vectors(url: str, question: Question) -> list[str]:
    vector = infer(url, "embedder", tensor("text", "BYTES", [1, 1], [question.text]))["embedding"]
    return infer(url, "retriever", tensor("embedding", "FP32", [1, len(vector)], vector))["ids"]


def by_pipeline(url: str, question: Question) -> list[str]:
    return infer(url, "search", tensor("query", "BYTES", [1], [question.text]))["ids"]


def recall(places: Sequence[float], cut: int) -> float:
    return sum(place <= cut for place in places) / len(places)


def gain(places: Sequence[float]) -> float:
    """Return nDCG at CUT: each question has one right passage, so the ideal is 1."""
    return sum(1 / math.log2(place + 1) for place in places if place <= CUT) / len(places)


def place(ids: Sequence[str], right: str) -> float:
    """Return where the first passage of the right document is, from 1."""
    return next((at for at, found in enumerate(ids, 1) if found.partition("#")[0] == right), math.inf)


def measured(url: str, asked: Sequence[Question]) -> dict[str, tuple[list[float], float]]:
    """Return, for each ranking, the place of the right passage of each question and the median of its milliseconds."""
    found = {}
    for name, ranking in (("vectors", by_vectors), ("search", by_pipeline)):
        places, took = [], []
        for question in asked:
            start = time.perf_counter()
            ids = ranking(url, question)
            took.append((time.perf_counter() - start) * 1000)
            places.append(place(ids, question.id))
        found[name] = places, statistics.median(took)
    return found


def rows(found: Mapping[str, tuple[list[float], float]], apart: Sequence[bool]) -> list[str]:
    lines = [
        "| ranking | questions | recall@1 | recall@4 | nDCG@4 | ms a question (median) |",
        "|---|---|---|---|---|---|",
    ]
    for kind, chosen in (("all", [True] * len(apart)), ("sharing no word", apart)):
        for name, (places, took) in found.items():
            own = [p for p, wanted in zip(places, chosen, strict=True) if wanted]
            figures = f"{recall(own, 1):.3f} | {recall(own, CUT):.3f} | {gain(own):.3f}"
            lines.append(f"| {name} | {kind} ({len(own)}) | {figures} | {f'{took:.1f}' if all(chosen) else ''} |")
    return lines


def passages(stack: Path) -> dict[str, str]:
    lines = map(json.loads, (stack / "index" / "passages.jsonl").read_text("utf-8").splitlines())
    texts: dict[str, str] = {}
    for line in lines:
        document = line["id"].partition("#")[0]
        texts[document] = f"{texts.get(document, '')} {line['text']}"
    return texts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stack", type=Path, default=HERE.parent / "examples" / "models" / "rag")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    asked, texts = questions(), passages(options.stack)
    apart = [not shares_words(question, texts) for question in asked]
    loaded = load([str(options.stack)], Workspace(os.environ))
    with (
        tempfile.TemporaryDirectory() as place_,
        up(loaded, Path(place_) / "repository", ServeOptions(Ports(0, 0, 0))) as running,
    ):
        url = running.server.http
        measured(url, asked[:10])  # the first requests are slower
        found = measured(url, asked)
    table = "\n".join(rows(found, apart))
    print(table)
    if options.table:
        said = {"total": len(asked), "apart": sum(apart), "stack": options.stack.name, "cut": CUT}
        TABLE.write_text(f"{INTRODUCTION.format(**said)}{table}\n", "utf-8")


if __name__ == "__main__":
    main()
