"""A stored search index, the reference for vectors and searches: per passage its vector, id, text and metadata."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.indexing.vectors import EMBEDDINGS, PASSAGES
from tritonrepo.tree import File

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK = 1 << 14
"""How many vectors are compared at once: 24 MiB with 384 dimensions."""


class Best(NamedTuple):
    """The rows that a search must find, best first, and their scores, the dot products with the query's vector."""

    rows: NDArray[Any]
    scores: NDArray[Any]


@dataclass(frozen=True, slots=True)
class Index:
    """`vectors` FP32 [passages, dimensions]; `ids`, `texts` and `metadata` by passage; `rows` by id.

    An id may have several rows. Metadata are JSON objects.
    """

    vectors: NDArray[Any]
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    metadata: tuple[Mapping[str, Any], ...]
    rows: dict[str, tuple[int, ...]]

    def sample(self, count: int) -> list[int]:
        """Return the rows of at most `count` passages, spread evenly over the index."""
        step = max(1, len(self.ids) // max(count, 1))
        return list(range(0, len(self.ids), step))[:count]

    def row(self, id_: str, text: str, taken: Sequence[int]) -> int | None:
        """Return the row with this id and text that is not taken yet, None if none is left."""
        return next((row for row in self.rows.get(id_, ()) if self.texts[row] == text and row not in taken), None)

    def best(self, asked: Sequence[int], count: int) -> list[Best]:
        """Return the `count` best of all rows for the vector of each asked row, in one pass."""
        import numpy as np

        queries = np.asarray(self.vectors[list(asked)], np.float32)
        rows = np.zeros((len(queries), 0), np.int64)
        scores = np.zeros((len(queries), 0), np.float32)
        for start, chunk in self._chunks():
            here = queries @ chunk.T
            numbers = np.broadcast_to(np.arange(start, start + len(chunk)), here.shape)
            rows, scores = np.hstack([rows, numbers]), np.hstack([scores, here])
            if count < scores.shape[1]:
                rows, scores = _taken(np.argpartition(-scores, count - 1, axis=1)[:, :count], rows, scores)
        rows, scores = _taken(np.argsort(-scores, axis=1, kind="stable"), rows, scores)
        return [Best(*pair) for pair in zip(rows, scores, strict=True)]

    def _chunks(self) -> Iterator[tuple[int, NDArray[Any]]]:
        import numpy as np

        for start in range(0, len(self.ids), CHUNK):
            chunk = np.asarray(self.vectors[start : start + CHUNK], np.float32)
            if not np.isfinite(chunk).all():
                raise ValueError(f"{EMBEDDINGS} has values that are not finite")
            yield start, chunk


def _taken(places: NDArray[Any], *arrays: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Return the values at these places of each row."""
    import numpy as np

    return (np.take_along_axis(array, places, 1) for array in arrays)


def load(embeddings: File, passages: File) -> Index:
    """Return the index; raise ValueError with what does not fit."""
    import numpy as np

    if embeddings.path is not None:
        vectors = np.load(embeddings.path, mmap_mode="r", allow_pickle=False)
    else:
        vectors = np.load(io.BytesIO(embeddings.content()), allow_pickle=False)
    try:
        lines = [json.loads(line) for line in passages.content().splitlines()]
        ids, texts = tuple(str(line["id"]) for line in lines), tuple(str(line["text"]) for line in lines)
        known = tuple(dict(line.get("metadata", {})) for line in lines)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{PASSAGES} must have JSON with id and text on each line: {error!r}") from None
    if vectors.ndim != 2 or len(vectors) != len(ids) or not ids:  # noqa: PLR2004  rows and dimensions
        shape = list(vectors.shape)
        raise ValueError(f"{EMBEDDINGS} has shape {shape}, but {PASSAGES} has {len(ids)} passages")
    rows: dict[str, list[int]] = {}
    for row, id_ in enumerate(ids):
        rows.setdefault(id_, []).append(row)
    return Index(vectors, ids, texts, known, {id_: tuple(own) for id_, own in rows.items()})
