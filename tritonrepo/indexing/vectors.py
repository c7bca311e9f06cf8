"""The files of a search index: the passages of documents, and their vectors from the deployed encoder."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

from tritonrepo.diagnostics import fatal
from tritonrepo.indexing.chunks import Settings, cut
from tritonrepo.indexing.documents import Document
from tritonrepo.spec.part import Encoding
from tritonrepo.stores.nameless import Nameless

EMBEDDINGS = "embeddings.npy"
PASSAGES = "passages.jsonl"
MISSING = "index-missing"
"""The rule that reports a missing index, which `tritonrepo index` repairs."""

PASSAGES_AT_ONCE, CHARACTERS_AT_ONCE = 1 << 11, 1 << 20
"""How many passages are in memory with their tokens and vectors, and are sorted by their length, at most."""


class Drafts(NamedTuple):
    """The two files of an index while it is made."""

    embeddings: Nameless
    passages: Nameless


@contextmanager
def drafts(place: Path) -> Iterator[Drafts]:
    """Yield the files of an index that is made for this directory, and can be put there until the context ends."""
    with Nameless(place / EMBEDDINGS) as embeddings, Nameless(place / PASSAGES) as passages:
        yield Drafts(embeddings, passages)


def cut_all(documents: Iterable[Document], encoding: Encoding, how: Settings, made: Drafts) -> int:
    """Write the passages of these documents; return how many they are."""
    seen: set[str] = set()
    for document in documents:
        for passage in cut(document, encoding, how):
            if passage.id in seen:
                message = f'"{passage.id}" is both the id of a document and of a further passage of a long document'
                raise fatal("index-documents", "index", message, "Rename the document.")
            seen.add(passage.id)
            made.passages.write(_line(passage))
    return len(seen)


def embed_all(encoding: Encoding, made: Drafts, count: int, told: Callable[[int, int], None]) -> None:
    """Write the vectors of the passages, FP32 [passages, dimensions].

    `told` is called with the number of passages that are embedded, and that of all, which is `count`.
    """
    import numpy as np

    done = 0
    for passages in _parts(made.passages.lines()):
        texts = [text for _, text in passages]
        vectors = encoding.embed(texts, partial(_told, told, done, count))
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            message = f'the embedder returns a vector for "{passages[int(finite.argmin())][0]}" that is not finite'
            raise fatal("index-vectors", "index", message, "Check the weights of the embedder.")
        if not done:
            made.embeddings.write(_head(count, vectors.shape[1]))
        made.embeddings.write(vectors.astype(np.float32).tobytes())
        done += len(passages)


def _told(told: Callable[[int, int], None], before: int, count: int, more: int) -> None:
    told(before + more, count)


def _parts(lines: Iterable[bytes]) -> Iterator[list[tuple[str, str]]]:
    """Yield ids and texts of as many passages as are embedded at once."""
    part: list[tuple[str, str]] = []
    characters = 0
    for passage in map(json.loads, lines):
        part.append((passage["id"], passage["text"]))
        characters += len(passage["text"])
        if len(part) >= PASSAGES_AT_ONCE or characters >= CHARACTERS_AT_ONCE:
            yield part
            part, characters = [], 0
    if part:
        yield part


def _head(rows: int, dimensions: int) -> bytes:
    """Return what is before the vectors in a file of NumPy's."""
    import numpy as np

    head, write = io.BytesIO(), cast(Any, np.lib.format.write_array_header_1_0)
    write(head, {"descr": "<f4", "fortran_order": False, "shape": (rows, dimensions)})
    return head.getvalue()


def _line(passage: Document) -> bytes:
    known = {"metadata": passage.metadata} if passage.metadata else {}
    return json.dumps({"id": passage.id, "text": passage.text, **known}, ensure_ascii=False).encode() + b"\n"
