"""Cases of search models: a search for a stored passage must return exactly what the index says, in order.

Two passages may be swapped only if their scores are closer than floating-point errors explain: a passage at some place
must score no less than the one that belongs there, minus the error of both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tritonrepo.diagnostics import Severity
from tritonrepo.indexing.vectors import EMBEDDINGS, PASSAGES
from tritonrepo.server.tensors import Tensors
from tritonrepo.smoke import links
from tritonrepo.smoke.case import Case, Check, Crowd, Flaw, Judge, Reply
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.index import Best, Index, load
from tritonrepo.smoke.judge import both, text, well_formed
from tritonrepo.smoke.made import ask, given
from tritonrepo.smoke.meaning import AT_ONCE, EMBEDDED
from tritonrepo.smoke.served import Served

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEARCHES = 64
"""How many vectors are searched for in one batch, which costs a server little."""

MOST = 256
"""How many places are ranked if nothing says how many passages a response has."""

SINGLE = 2
"""How many are searched for one by one, over both protocols."""

STORED = 1e-3
"""Error of a score, relative to both vectors' lengths, for a search with a stored vector.

Half precision, and the TF32 of GPUs, round each number to 11 bits: a product of vectors is off by at most 2 × 2**-11.
"""

METADATA = "metadata"
"""Output of a search: for each passage a JSON object."""

SHOWN = 80
"""Characters of metadata that a message quotes."""

ANY = 2.0
"""What no score is farther off than, relative to both vectors' lengths."""

OTHER = "Check that the model searches exactly this index, with vectors of the embedder that built it."


@dataclass(frozen=True, slots=True)
class Question:
    """A stored passage to search for: its row, what must be found, and how far scores may be off."""

    row: int
    best: Best
    slack: float


@dataclass(frozen=True, slots=True)
class Search:
    """What searches: by the input `query`, for `count` passages if the repository says how many.

    `apart`: the text of a passage has another vector as a query, so that nothing is known of its ranks.
    """

    index: Index
    query: str
    count: int | None
    by_text: bool
    apart: bool = False


def stored(models: Mapping[str, Expected], name: str, version: str) -> Search:
    """Return what a version of a model, or its latest one, searches; raise ValueError if its index is broken."""
    model = models[name]
    version = version if version in model.versions else model.versions[-1]
    index = load(model.file(version, EMBEDDINGS), model.file(version, PASSAGES))
    return Search(index, "embedding", links.count(model, version), by_text=False)


def cases(served: Served, search: Search) -> Iterator[Case | Crowd]:
    """Yield the cases: a few one by one, many in one batch, and many at once."""
    asked = _questions(search)
    for question in _clearest(asked)[:SINGLE]:
        yield _case(served, search, [question], f'"{search.index.ids[question.row]}"')
    many = asked[: min(SEARCHES, served.max_batch_size)]
    if not search.by_text and len(many) > 1:
        yield _case(served, search, many, f"{len(many)} passages")
    if len(asked) > 1:
        alone = [_case(served, search, [q], f'"{search.index.ids[q.row]}"') for q in asked[:AT_ONCE]]
        yield Crowd(tuple(alone), served.joins)


def _questions(search: Search) -> list[Question]:
    """Return the possible questions, with one place more than a response has: it shows how clear the last one is."""
    rows = search.index.sample(SEARCHES)
    most = (search.count or MOST) + 1
    found = search.index.best(rows, min(most, len(search.index.ids)))
    slack = (ANY if search.apart else EMBEDDED) if search.by_text else STORED
    return [Question(row, best, slack) for row, best in zip(rows, found, strict=True)]


def _clearest(asked: list[Question]) -> list[Question]:
    """Return the questions sorted by how distinct their scores are, since distinct scores prove every place."""
    import numpy as np

    return sorted(asked, key=lambda q: float(np.diff(q.best.scores).max(initial=-np.inf)))


def _case(served: Served, search: Search, asked: list[Question], what: str) -> Case:
    index = search.index
    values = [index.texts[q.row] if search.by_text else index.vectors[q.row].tolist() for q in asked]
    request = ask(served, [given(served, search.query, *values)])
    judge = both(well_formed(served, len(asked)), _each(search, asked))
    # near ties may go either way, on each protocol
    return Case(Check.SEARCH, request, judge, served.at, what, compared=Severity.WARNING)


def _each(search: Search, asked: list[Question]) -> Judge:
    def judge(reply: Reply) -> Iterator[Flaw]:
        answer = reply.responses[0]
        lacking = [name for name in ("ids", "passages", "scores") if name not in answer]
        if lacking:
            yield Flaw(f"the response lacks {', '.join(lacking)}, which a search must return")
            return
        for number, question in enumerate(asked):
            own = answer if len(asked) == 1 else _row(answer, number)
            flaws = list(_judged(search, question, own))
            if flaws:
                yield from flaws[:1]
                return

    return judge


def _row(answer: Tensors, number: int) -> Tensors:
    return {name: tensor._replace(values=tensor.values[number : number + 1]) for name, tensor in answer.items()}


def _judged(search: Search, question: Question, answer: Tensors) -> Iterator[Flaw]:
    """Yield what is wrong with the response to one question."""
    index = search.index
    ids, passages = ([text(v) for v in answer[name].values.ravel().tolist()] for name in ("ids", "passages"))
    scores = answer["scores"].values.ravel()
    if len(index.ids) < len(ids):  # more places than passages: the rest must be empty
        last = max((n for n, id_ in enumerate(ids, 1) if id_), default=0)
        ids, passages, scores = ids[:last], passages[:last], scores[:last]
    count = min(search.count or max(len(ids), 1), len(index.ids))
    expected = _expected(index, question, count)
    asked = f'a search for passage "{index.ids[question.row]}" returned '
    rows: list[int] = []
    flaw = stored_rows(index, ids, passages, rows)
    if flaw is None and len(ids) != count:
        flaw = Flaw(f"{len(ids)} passage{'' if len(ids) == 1 else 's'}, not {count}", OTHER)
    flaw = flaw or _ranked(index, question, rows) or _scored(index, question, rows, scores)
    flaw = flaw or described(index, rows, answer)
    if flaw is not None:
        yield Flaw(asked + flaw.message, flaw.hint, expected)


def _expected(index: Index, question: Question, count: int) -> str:
    best = [
        f'"{index.ids[row]}" {score:.4f}'
        for row, score in zip(question.best.rows[:count].tolist(), question.best.scores.tolist(), strict=False)
    ]
    return f"ids and scores {', '.join(best)}"


def stored_rows(index: Index, ids: list[str], passages: list[str], rows: list[int]) -> Flaw | None:
    """Return what is wrong with the pairs of id and passage; add their rows to `rows`."""
    if len(ids) != len(passages):
        return Flaw(f"{len(ids)} ids but {len(passages)} passages")
    for id_, passage in zip(ids, passages, strict=True):
        row = index.row(id_, passage, rows)
        if row is not None:
            rows.append(row)
        elif id_ not in index.rows:
            swapped = id_ in index.texts
            hint = "Check whether the outputs ids and passages are swapped." if swapped else OTHER
            return Flaw(f'the id "{id_[:60]}", which is {"a passage" if swapped else "not in the index"}', hint)
        elif index.row(id_, passage, ()) is not None:
            return Flaw(f'the passage "{id_}" twice', "Check that each passage is returned only once.")
        else:
            return Flaw(f'a passage for id "{id_}" that is not the stored one: "{passage[:60]}…"', OTHER)
    return None


def described(index: Index, rows: list[int], answer: Tensors) -> Flaw | None:
    """Return what is wrong with the metadata of the passages, which repositories of earlier versions do not return."""
    if METADATA not in answer:
        return None
    given = [text(value) for value in answer[METADATA].values.ravel().tolist()]
    if len(given) < len(rows):
        return Flaw(f"{len(rows)} passages but {len(given)} values of {METADATA}")
    for row, value in zip(rows, given, strict=False):
        if _parsed(value) != index.metadata[row]:
            stored = json.dumps(index.metadata[row], ensure_ascii=False)[:SHOWN]
            return Flaw(f'{METADATA} {value[:SHOWN]!r} for "{index.ids[row]}", whose stored one is {stored}', OTHER)
    return None


def _parsed(value: str) -> object:
    """Return the data of a JSON text; None, which no passage has as its metadata, if it is not JSON."""
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def beyond(search: Search, row: int, rows: Sequence[int], count: int) -> int | None:
    """Return one of these rows that is not among the `count` best for a stored passage, as far as errors allow."""
    index = search.index
    best = index.best([row], count)[0]
    question = Question(row, best, EMBEDDED)
    worst = float(best.scores[-1]) - float(_near(index, question, best.rows.tolist()).max())
    right, near = _scores(index, question, list(rows)), _near(index, question, list(rows))
    return next((each for each, score, off in zip(rows, right, near, strict=True) if score < worst - off), None)


def _ranked(index: Index, question: Question, rows: list[int]) -> Flaw | None:
    """Return the flaw of the first place whose passage is worse than the one that belongs there."""
    right, best = _scores(index, question, rows), question.best
    near, theirs = (_near(index, question, which) for which in (rows, best.rows.tolist()))
    for place, (row, wanted) in enumerate(zip(rows, best.scores, strict=False)):
        if right[place] < wanted - near[place] - theirs[: place + 1].max():
            return Flaw(
                f'"{index.ids[row]}" at place {place + 1} of {len(rows)}, with a score of {right[place]:.4f} by the '
                f'stored vectors, not "{index.ids[int(best.rows[place])]}" with {wanted:.4f}',
                OTHER,
            )
    return None


def _scored(index: Index, question: Question, rows: list[int], scores: NDArray[Any]) -> Flaw | None:
    """Return what is wrong with the scores of the right passages."""
    import numpy as np

    if len(scores) != len(rows):
        return Flaw(f"{len(rows)} passages but {len(scores)} scores")
    if climbing := rise(scores.tolist()):
        return Flaw(climbing)
    right, near = _scores(index, question, rows), _near(index, question, rows)
    off = np.abs(scores - right) > near
    if not off.any():
        return None
    first = int(off.argmax())
    score = f'a score of {scores[first]:.4f} for "{index.ids[rows[first]]}"'
    return Flaw(f"{score}, but by the stored vectors it is {right[first]:.4f}", OTHER)


def rise(scores: Sequence[float]) -> str:
    """Return where scores are not in descending order; "" if they are."""
    for place, (one, later) in enumerate(pairwise(scores), 1):
        if later > one:
            return f"scores that are not in descending order: {one:.6g} at place {place}, but {later:.6g} after it"
    return ""


def _scores(index: Index, question: Question, rows: list[int]) -> NDArray[Any]:
    found: NDArray[Any] = index.vectors[rows] @ index.vectors[question.row]
    return found


def _near(index: Index, question: Question, rows: list[int]) -> NDArray[Any]:
    """Return how far the score of each row may be off."""
    import numpy as np

    length = float(np.linalg.norm(index.vectors[question.row]))
    near: NDArray[Any] = question.slack * length * np.linalg.norm(index.vectors[rows], axis=1)
    return near
