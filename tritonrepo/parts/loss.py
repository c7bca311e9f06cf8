"""What a lower precision does to an embedder's vectors: those of an index, compared with those of the exact graph."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop
from tritonrepo.generate.inputs import EncoderFiles
from tritonrepo.indexing.encoder import load
from tritonrepo.smoke import index
from tritonrepo.sources.gather import Gathering

if TYPE_CHECKING:
    from numpy.typing import NDArray

RULE = "embedder-precision"
MEASURE = "loss 1"
"""Increased when the measurement returns other figures for the same vectors."""

MOST = 256
"""How many passages are compared; with the exact graph, each of them takes as long as a query."""

LEAST_COSINE = 0.99
"""The cosine below which a search begins to return other passages. Measured with MiniLM over the example's passages:
FP16 stays above 0.99999, INT8 above 0.999."""


class Loss(NamedTuple):
    """The least and the mean cosine with the exact vectors, and of how many passages."""

    least: float
    mean: float
    passages: int


def told(name: str, precision: str, at: Span, gathering: Gathering) -> Diagnostic:
    """Return what is to be said of an embedder with this precision: a warning if its vectors are far off."""
    found = measured(name, gathering)
    if found is None:
        message = f"{name}: {precision}, not compared with fp32, because no index has vectors of this embedder"
        return Diagnostic(RULE, Severity.INFO, at, message)
    message = (
        f"{name}: {precision}, cosine with fp32: least {found.least:.4f}, mean {found.mean:.4f} "
        f"over {found.passages} passages"
    )
    if not found.least >= LEAST_COSINE:
        return Diagnostic(RULE, Severity.WARNING, at, message, "Use a higher precision, such as fp32.")
    return Diagnostic(RULE, Severity.INFO, at, message)


def measured(name: str, gathering: Gathering) -> Loss | None:
    """Return the loss over the stored vectors of an embedder, spread over its indexes; None if there are none."""
    files: EncoderFiles = gathering.files(name)
    assert files.exact is not None  # noqa: S101  it has another precision
    exact = files.exact
    indexes = list(_indexes(name, gathering))
    if not indexes:
        return None
    digests = [f"{each.embeddings.sha256} {each.passages.sha256}" for each in indexes]
    key = (
        f"{MEASURE} {exact.onnx.sha256} {exact.tokenizer.sha256} {exact.max_tokens} {exact.prefixes.passage} {digests}"
    )

    def make(place: Path) -> None:
        import numpy as np

        encoding, cosines = load(exact), list[float]()
        for each in indexes:
            stored = index.load(each.embeddings, each.passages)
            rows = stored.sample(max(MOST // len(indexes), 1))
            vectors = encoding.embed([stored.texts[row] for row in rows])
            cosines += _cosines(vectors, np.asarray(stored.vectors[rows])).tolist()
        found = Loss(min(cosines), sum(cosines) / len(cosines), len(cosines))
        (place / "loss.json").write_text(json.dumps(found), "utf-8")

    made = gathering.cache.tree(key, f'comparing the vectors of "{name}" with those of fp32', make)
    return Loss(*json.loads(made["loss.json"].content()))


def _indexes(name: str, gathering: Gathering) -> Iterator[Any]:
    """Yield the files of the indexes that this embedder made; one that cannot be used is reported elsewhere."""
    stack = gathering.stack
    for other, model in stack.models.items():
        recipe = stack.part(other).index
        if recipe is not None and recipe(model).embed_with == name:
            try:
                yield gathering.files(other)
            except Stop:
                continue


def _cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found: NDArray[Any] = (a * b).sum(axis=1) / np.maximum(norms, 1e-12)
    return found
