"""Cases by meaning: an embedder against the stored vectors, a search against the stored passages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from tritonrepo.diagnostics import Severity
from tritonrepo.smoke.case import Case, Check, Fault, Judge, Reply
from tritonrepo.smoke.index import Index
from tritonrepo.smoke.judge import both, text, well_formed
from tritonrepo.smoke.made import ask, given
from tritonrepo.smoke.served import Served

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS = 8
"""How many passages an embedder is asked at once."""

SEARCHES = 64
"""How many vectors are searched for at once, which costs a server little."""

LEAST_COSINE = 0.9999
SLACK = {"exact": 1e-3, "embedded": 2e-2}
"""How far scores may be from the reference, by the vector's length: asked with the stored vector, or with the text.

Two vectors of length 1 whose cosine is 0.9999 are 0.014 apart, and so are their products with any third.
"""


def reference(served: Served, index: Index) -> Iterator[Case]:
    """Give the cases of an embedder: one passage, and several in one batch, against their stored vectors."""
    for count in sorted({1, min(ROWS, served.max_batch_size, len(index.ids)) or 1}):
        rows = index.sample(count)
        request = ask(served, [given(served, "text", *(index.texts[row] for row in rows))])
        judge = both(well_formed(served, len(rows)), _like(index, rows))
        what = "1 passage" if len(rows) == 1 else f"{len(rows)} passages"
        yield Case(Check.REFERENCE, request, judge, served.at, what, compared=Severity.ERROR)


def _like(index: Index, rows: list[int]) -> Judge:
    def judge(reply: Reply) -> Iterator[Fault]:
        if "embedding" not in reply.responses[0]:
            yield Fault('the answer has no output "embedding"')
            return
        vectors = reply.responses[0]["embedding"].values.reshape(len(rows), -1)
        stored = index.vectors[rows]
        if vectors.shape != stored.shape:
            yield Fault(f"embedding has {vectors.shape[1]} dimensions, the stored index {stored.shape[1]}", ANEW)
            return
        found = _cosines(vectors, stored)
        worst = int(found.argmin())
        if found[worst] < LEAST_COSINE:
            below = int((found < LEAST_COSINE).sum())
            yield Fault(
                f'the vector of passage "{index.ids[rows[worst]]}" has cosine {found[worst]:.4f} with the stored one, '
                f"{LEAST_COSINE} is needed; {below} of {len(rows)} differ",
                ANEW,
            )
            return
        yield from _long(vectors, stored)

    return judge


def _long(vectors: NDArray[Any], stored: NDArray[Any]) -> Iterator[Fault]:
    """Give what is wrong with the vectors' lengths, which a cosine does not see and every score does."""
    import numpy as np

    lengths, right = (np.linalg.norm(rows, axis=1) for rows in (vectors, stored))
    off = np.abs(lengths - right) > SLACK["embedded"] * right
    if off.any():
        first = int(off.argmax())
        yield Fault(f"a vector has length {lengths[first]:.4f}; the stored one has {right[first]:.4f}", ANEW)


ANEW = "Is it the model that made the index? Compare pooling, normalisation and weights, or run tritonrepo index."


def _cosines(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found: NDArray[Any] = (a * b).sum(axis=1) / np.maximum(norms, 1e-12)
    return found


def search(served: Served, index: Index, query: str, *, by_text: bool) -> Iterator[Case]:
    """Give the cases of what searches: asked with a passage's text or vector, it gives that passage first."""
    for row in index.sample(2):
        value = index.texts[row] if by_text else index.vectors[row].tolist()
        request = ask(served, [given(served, query, value)])
        judge = both(well_formed(served), _found(index, row, SLACK["embedded" if by_text else "exact"]))
        yield Case(Check.SEARCH, request, judge, served.at, f'"{index.ids[row]}"', compared=Severity.ERROR)
    rows = index.sample(min(SEARCHES, served.max_batch_size))
    if not by_text and len(rows) > 1:
        request = ask(served, [given(served, query, *(index.vectors[row].tolist() for row in rows))])
        judge = both(well_formed(served, len(rows)), _all_found(index, rows))
        yield Case(Check.SEARCH, request, judge, served.at, f"{len(rows)} passages", compared=Severity.ERROR)


def _all_found(index: Index, rows: list[int]) -> Judge:
    def judge(reply: Reply) -> Iterator[Fault]:
        for number, row in enumerate(rows):
            own = {name: t._replace(values=t.values[number : number + 1]) for name, t in reply.responses[0].items()}
            faults = list(_found(index, row, SLACK["exact"])(Reply((own,))))
            if faults:
                yield faults[0]
                return

    return judge


def _found(index: Index, row: int, slack: float) -> Judge:
    def judge(reply: Reply) -> Iterator[Fault]:
        import numpy as np

        answer = reply.responses[0]
        lacking = [name for name in ("ids", "passages", "scores") if name not in answer]
        if lacking:
            yield Fault(f"the answer has no {', '.join(lacking)}, which a search gives")
            return
        ids, passages = ([text(v) for v in answer[name].values.ravel().tolist()] for name in ("ids", "passages"))
        scores = answer["scores"].values.ravel()
        yield from _stored(index, ids, passages)
        wanted = index.scores(row)
        near = slack * float(np.linalg.norm(index.vectors[row])) * float(np.linalg.norm(index.vectors, axis=1).max())
        yield from _ranked(index, row, ids, wanted, near)
        if (np.diff(scores) > 0).any():
            yield Fault(f"scores do not descend: {scores.tolist()}")
        known = [(id_, score) for id_, score in zip(ids, scores.tolist(), strict=False) if id_ in index.rows]
        for id_, score in known:
            if abs(score - wanted[index.rows[id_]]) > near:
                right = float(wanted[index.rows[id_]])
                yield Fault(f'the score of "{id_}" is {score:.4f}; by the stored vectors it is {right:.4f}', STORED)
                return

    return judge


STORED = "Does it search another index, or by another embedder's vectors?"


def _stored(index: Index, ids: list[str], passages: list[str]) -> Iterator[Fault]:
    for id_, passage in zip(ids, passages, strict=False):
        if id_ not in index.rows:
            swapped = id_ in index.texts
            hint = "Are the outputs ids and passages swapped?" if swapped else STORED
            yield Fault(f'ids has "{id_[:60]}", which is {"a passage" if swapped else "no id of the index"}', hint)
            return
        if passage != index.texts[index.rows[id_]]:
            yield Fault(f'the passage beside id "{id_}" is not the stored one: "{passage[:60]}…"', STORED)
            return
    if len(ids) != len(passages):
        yield Fault(f"there are {len(ids)} ids and {len(passages)} passages")


def _ranked(index: Index, row: int, ids: list[str], wanted: NDArray[Any], near: float) -> Iterator[Fault]:
    """Give what is wrong with the order: the passage itself first, unless another's vector is as good."""
    first = index.rows.get(ids[0]) if ids else None
    if not ids:
        yield Fault("no passage was found")
    elif first is not None and wanted[first] < wanted.max() - near:
        best = index.ids[row] if wanted[row] >= wanted.max() - near else index.ids[int(wanted.argmax())]
        yield Fault(f'asked with passage "{index.ids[row]}", it gives "{ids[0]}" first, not "{best}"', STORED)
