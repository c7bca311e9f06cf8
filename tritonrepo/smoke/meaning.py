"""Cases of an embedder: its vectors, compared with those in the index."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import TYPE_CHECKING, Any

from tritonrepo.diagnostics import Severity
from tritonrepo.smoke.case import Case, Check, Crowd, Flaw, Judge, Reply
from tritonrepo.smoke.index import Index
from tritonrepo.smoke.judge import both, excerpt, well_formed
from tritonrepo.smoke.made import ask, given
from tritonrepo.smoke.served import Served

if TYPE_CHECKING:
    from numpy.typing import NDArray

KIND = "input_type"
"""The input of an embedder that selects the prefix of a text; an index holds passages."""

ROWS = 8
"""How many passages an embedder gets in one request."""

AT_ONCE = 32
"""How many requests are sent at the same moment: more than a server answers before the last one arrives."""

LEAST_COSINE = 0.9999
"""How similar to the stored vector a vector must be, as a cosine.

Measured with MiniLM over the example's passages: the same graph stays above 0.9999999 with or without a batch, in half
precision (and so in TF32) above 0.999999, in bfloat16 above 0.99997. Missing special tokens give 0.89 to 0.998, another
pooling less. 8-bit weights give 0.93 to 0.97, no better than a mistake; with 8-bit activations, the other texts of a
batch change a vector down to 0.986. That is another embedder, and no tolerance distinguishes it from a wrong one.
"""

EMBEDDED = sqrt(2 * (1 - LEAST_COSINE))
"""How far apart two vectors of length 1 with that cosine are, and their products with any third at most: 0.014."""


def reference(served: Served, index: Index) -> Iterator[Case | Crowd]:
    """Yield the cases of an embedder, each checked by its stored vector: one passage, a batch, many at once."""
    for count in sorted({1, min(ROWS, served.max_batch_size, len(index.ids)) or 1}):
        yield _case(served, index, index.sample(count), "1 passage" if count == 1 else f"{count} passages")
    rows = index.sample(AT_ONCE)
    if len(rows) > 1:
        alone = [_case(served, index, [row], f'"{index.ids[row]}"') for row in rows]
        yield Crowd(tuple(alone), served.joins)


def _case(served: Served, index: Index, rows: list[int], what: str) -> Case:
    kind = [given(served, KIND, *("passage" for _ in rows))] if any(t.name == KIND for t in served.inputs) else []
    request = ask(served, [given(served, "text", *(index.texts[row] for row in rows)), *kind])
    judge = both(well_formed(served, len(rows)), _like(index, rows))
    return Case(Check.REFERENCE, request, judge, served.at, what, compared=Severity.ERROR)


def _like(index: Index, rows: list[int]) -> Judge:
    def judge(reply: Reply) -> Iterator[Flaw]:
        import numpy as np

        if "embedding" not in reply.responses[0]:
            yield Flaw("output embedding is missing from the response")
            return
        vectors = reply.responses[0]["embedding"].values.reshape(len(rows), -1)
        stored = np.asarray(index.vectors[rows])
        if vectors.shape != stored.shape:
            message = f"the embedding has {vectors.shape[1]} dimensions, but the stored index has {stored.shape[1]}"
            yield Flaw(message, ANEW)
            return
        expected = f"embedding {excerpt(stored)}, the stored vectors, within a cosine of {LEAST_COSINE}"
        found = _cosines(vectors, stored)
        worst = int(found.argmin())
        if found[worst] < LEAST_COSINE:
            below = int((found < LEAST_COSINE).sum())
            yield Flaw(
                f'the vector of passage "{index.ids[rows[worst]]}" has a cosine of {found[worst]:.4f} with the stored '
                f"one, but must have at least {LEAST_COSINE}; {below} of {len(rows)} vectors differ",
                ANEW,
                expected,
            )
            return
        yield from _long(vectors, stored)

    return judge


def _long(vectors: NDArray[Any], stored: NDArray[Any]) -> Iterator[Flaw]:
    """Yield what is wrong with the vectors' lengths, which affect every score but no cosine."""
    import numpy as np

    lengths, right = (np.linalg.norm(rows, axis=1) for rows in (vectors, stored))
    off = np.abs(lengths - right) > EMBEDDED * right
    if off.any():
        first = int(off.argmax())
        message = f"a vector has length {lengths[first]:.4f}, but the stored one has {right[first]:.4f}"
        yield Flaw(message, ANEW, f"embedding {excerpt(stored[first])}")


ANEW = (
    "Compare pooling, normalization, special tokens and weights with those that the index was built with,"
    " or run `tritonrepo index`."
)


def _cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found: NDArray[Any] = (a * b).sum(axis=1) / np.maximum(norms, 1e-12)
    return found
