"""The files of a search index: the passages of documents, and their vectors from the deployed encoder."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tritonrepo.diagnostics import fatal
from tritonrepo.indexing.chunks import Settings, cut
from tritonrepo.indexing.documents import Document
from tritonrepo.indexing.encoder import BATCH
from tritonrepo.spec.part import Encoding
from tritonrepo.tree import File, of_bytes, of_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

EMBEDDINGS = "embeddings.npy"
PASSAGES = "passages.jsonl"
MISSING = "index-missing"
"""The rule that reports a missing index, which `tritonrepo index` repairs."""


def make(
    encoding: Encoding, documents: list[Document], how: Settings, told: Callable[[int, int], None] = lambda _, __: None
) -> dict[str, File]:
    """Return the index of these documents: vectors FP32 [passages, dimensions], and their passages.

    `told` is called with the number of passages that are embedded, and that of all.
    """
    import numpy as np

    passages = [passage for document in documents for passage in cut(document, encoding, how)]
    for id_, count in Counter(passage.id for passage in passages).items():
        if count > 1:
            message = f'"{id_}" is both the id of a document and of a further passage of a long document'
            raise fatal("index-documents", "index", message, "Rename the document.")
    vectors = np.concatenate([*_embedded(encoding, [passage.text for passage in passages], told)])
    if not np.isfinite(vectors).all():
        row = int(np.argmin(np.isfinite(vectors).all(axis=1)))
        message = f'the embedder returns a vector for "{passages[row].id}" that is not finite'
        raise fatal("index-vectors", "index", message, "Check the weights of the embedder.")
    buffer = io.BytesIO()
    np.save(buffer, vectors.astype(np.float32), allow_pickle=False)
    return {EMBEDDINGS: of_bytes(buffer.getvalue()), PASSAGES: of_text("".join(map(_line, passages)))}


def _embedded(encoding: Encoding, texts: Sequence[str], told: Callable[[int, int], None]) -> Iterator[NDArray[Any]]:
    """Yield the vectors of a batch at a time: the encoder cuts its texts into the same ones."""
    for start in range(0, max(1, len(texts)), BATCH):
        yield encoding.embed(texts[start : start + BATCH])
        told(min(start + BATCH, len(texts)), len(texts))


def _line(passage: Document) -> str:
    known = {"metadata": passage.metadata} if passage.metadata else {}
    return json.dumps({"id": passage.id, "text": passage.text, **known}, ensure_ascii=False) + "\n"
