"""A stored search index, the reference of embedders and searches: a vector a passage, and the passage's id and text."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tritonrepo.tree import File

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDINGS = "embeddings.npy"
PASSAGES = "passages.jsonl"


@dataclass(frozen=True, slots=True)
class Index:
    """`vectors` FP32 [passages, dimensions]; `ids` and `texts`, one a passage; `rows` by id."""

    vectors: NDArray[Any]
    ids: tuple[str, ...]
    texts: tuple[str, ...]
    rows: dict[str, int]

    def sample(self, count: int) -> list[int]:
        """Give the rows of at most so many passages, spread evenly over the index."""
        step = max(1, len(self.ids) // max(count, 1))
        return list(range(0, len(self.ids), step))[:count]

    def scores(self, row: int) -> NDArray[Any]:
        """Give the dot product of a passage's vector with every one."""
        found: NDArray[Any] = self.vectors @ self.vectors[row]
        return found


def load(embeddings: File, passages: File) -> Index:
    """Give the index; ValueError says what does not fit."""
    import numpy as np

    if embeddings.path is not None:
        vectors = np.load(embeddings.path, mmap_mode="r", allow_pickle=False)
    else:
        vectors = np.load(io.BytesIO(embeddings.content()), allow_pickle=False)
    try:
        lines = [json.loads(line) for line in passages.content().splitlines()]
        ids, texts = tuple(str(line["id"]) for line in lines), tuple(str(line["text"]) for line in lines)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{PASSAGES} is not lines of id and text: {error!r}") from None
    if vectors.ndim != 2 or len(vectors) != len(ids) or not ids:  # noqa: PLR2004  rows and dimensions
        raise ValueError(f"{EMBEDDINGS} has shape {list(vectors.shape)}, {PASSAGES} {len(ids)} passages")
    return Index(vectors, ids, texts, {id_: row for row, id_ in enumerate(ids)})
