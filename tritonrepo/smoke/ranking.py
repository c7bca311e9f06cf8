"""Cases of rerankers: what is true of any of them, whatever their model prefers.

A response has passages of its own request, each with its own id and metadata, none twice, best first. A score belongs
to a pair, not to a place. A model that puts the passage that equals the query last each time ranks the wrong way round.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Severity
from tritonrepo.server.tensors import Tensors
from tritonrepo.smoke import links, reranks, search
from tritonrepo.smoke.case import Case, Check, Crowd, Flaw, Judge, Reply
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.judge import both, text, well_formed
from tritonrepo.smoke.made import ask, given
from tritonrepo.smoke.served import Served

LISTS = 8
"""How many lists are ranked: few, since a model reads every pair of query and passage."""

LONGEST = 4
"""How many passages a list has at most, besides one that is cut off."""

SAME = 1e-3
"""How much the scores of one pair may differ between two places of a batch."""

OWN = "Check that the reranker returns each request its own passages, with their ids, metadata and scores."
SWAPPED = "Check whether the outputs ids and passages are swapped."
TURNED = "Check label and activation of the reranker: the scores may mean the opposite."

SENTENCES = (
    "A model repository has one directory for each model.",
    "The kitchen garden needs water twice a day in July.",
    "Requests that arrive at the same time can share a batch.",
    "The night train to Lisbon leaves from platform four.",
    "A version policy says which versions of a model are served.",
    "Two cups of flour and one egg make the dough.",
    "Readiness does not prove that a model answers.",
    "The lighthouse was built of granite in 1857.",
)
"""What is ranked if the repository has no passages."""


class Candidates(NamedTuple):
    """Passages to be ranked, with their ids, and how many a response has at most."""

    ids: Sequence[str]
    texts: Sequence[str]
    top_k: int


class Ranked(NamedTuple):
    """A list to be ranked: the rows of its passages, and the row whose passage is the query."""

    rows: tuple[int, ...]
    query: int


def candidates(models: Mapping[str, Expected], name: str, version: str) -> Candidates:
    """Return what a version of a reranker ranks: passages of the index that feeds it, or of any other one."""
    model = models[name]
    top_k = links.limit(model, version if version in model.versions else model.versions[-1])
    feeding = [each.search.searches for each in links.reranked(models).values() if each.reranks == name]
    holder = next(iter([*feeding, *links.searching(models)]), None)
    if holder is None:
        return Candidates([f"{number}" for number in range(len(SENTENCES))], SENTENCES, top_k)
    index = search.stored(models, holder, "").index
    rows = list({index.texts[row]: row for row in index.sample(LISTS)}.values())
    return Candidates([index.ids[row] for row in rows], [index.texts[row] for row in rows], top_k)


def cases(served: Served, known: Candidates) -> Iterator[Case | Crowd]:
    """Yield the cases: one list, many in one batch, one in two orders, and many at once.

    Those of a batch are returned whole, so that their order is seen; of the others, the last passage is cut off.
    """
    size = min(len(known.texts), LONGEST, max(known.top_k, 2))
    whole, cut = _lists(known, size), _lists(known, min(len(known.texts), size + 1))
    yield _case(served, known, cut[:1], "1 list")
    many = whole[: served.max_batch_size]
    if len(many) > 1:
        first = whole[0]
        yield _case(served, known, many, f"{len(many)} lists", _turned(known, many))
        yield _case(served, known, [first, first._replace(rows=first.rows[::-1])], "2 orders", _placed)
    if len(cut) > 1:
        alone = [_case(served, known, [one], f'"{known.ids[one.query]}"') for one in cut]
        yield Crowd(tuple(alone), served.joins)


def _lists(known: Candidates, size: int) -> list[Ranked]:
    """Return a list of this size for each passage, which is its query."""
    count = len(known.texts)
    return [Ranked(tuple((row + n) % count for n in range(size)), row) for row in range(count)]


def _case(served: Served, known: Candidates, lists: Sequence[Ranked], what: str, *more: Judge) -> Case:
    request = ask(
        served,
        [
            given(served, "query", *(known.texts[one.query] for one in lists)),
            given(served, "passages", *([known.texts[row] for row in one.rows] for one in lists)),
            given(served, "ids", *([known.ids[row] for row in one.rows] for one in lists)),
            given(served, "metadata", *([_metadata(row) for row in one.rows] for one in lists)),
        ],
    )
    judge = both(well_formed(served, len(lists)), _each(known, lists), *more)
    # scores that are nearly equal may go either way, on each protocol
    return Case(Check.RANKING, request, judge, served.at, what, compared=Severity.WARNING)


def _metadata(row: int) -> str:
    return json.dumps({"row": row})


def _each(known: Candidates, lists: Sequence[Ranked]) -> Judge:
    def judge(reply: Reply) -> Iterator[Flaw]:
        answer = reply.responses[0]
        lacking = [name for name in ("passages", "ids", "metadata", "scores") if name not in answer]
        if lacking:
            yield Flaw(f"the response lacks {', '.join(lacking)}, which a reranker must return")
            return
        for number, one in enumerate(lists):
            flaw = _wrong(known, one, _row(answer, number, len(lists)))
            if flaw is not None:
                yield flaw
                return

    return judge


class _Answer(NamedTuple):
    """The response to one list."""

    found: list[tuple[str, str, str]]
    scores: list[float]


def _row(answer: Tensors, number: int, count: int) -> _Answer:
    rows: dict[str, list[Any]] = {
        name: answer[name].values.reshape(count, -1)[number].tolist()
        for name in ("ids", "passages", "metadata", "scores")
    }
    texts = [[text(value) for value in rows[name]] for name in ("ids", "passages", "metadata")]
    return _Answer(list(zip(*texts, strict=False)), rows["scores"])


def _wrong(known: Candidates, one: Ranked, answer: _Answer) -> Flaw | None:
    """Return what is wrong with the response to a list."""
    sent = [(known.ids[row], known.texts[row], _metadata(row)) for row in one.rows]
    count = min(known.top_k, len(sent))
    asked = f'a list of {len(sent)} passages for the query of "{known.ids[one.query]}" returned '
    expected = f"{count} of the ids {', '.join(id_ for id_, _, _ in sent)}, best first"
    left = list(sent)
    for each in answer.found:
        if each in left:
            left.remove(each)
        elif each in sent:
            return Flaw(f'{asked}"{each[0]}" twice', OWN, expected)
        else:
            message, hint = _foreign(each, sent)
            return Flaw(f'{asked}"{each[0][:60]}"{message}', hint, expected)
    if len(answer.found) != count:
        return Flaw(f"{asked}{len(answer.found)} of them, not {count}", OWN, expected)
    return _descending(asked, answer.scores, count)


def _foreign(each: tuple[str, str, str], sent: Sequence[tuple[str, str, str]]) -> tuple[str, str]:
    """Return what is wrong with an id, passage and metadata that do not belong together, and the hint."""
    id_, passage, _ = each
    if id_ not in {own for own, _, _ in sent}:
        swapped = id_ in {own for _, own, _ in sent}
        return ", which is " + ("a passage" if swapped else "not in it"), SWAPPED if swapped else OWN
    if (id_, passage) in {own[:2] for own in sent}:
        return " with the metadata of another passage", OWN
    return " with a passage that is not its own", OWN


def _descending(asked: str, scores: Sequence[float], count: int) -> Flaw | None:
    if len(scores) != count:
        return Flaw(f"{asked}{len(scores)} scores for {count} passages", OWN)
    rise = search.rise(scores)
    return Flaw(asked + rise, OWN) if rise else None


def _turned(known: Candidates, lists: Sequence[Ranked]) -> Judge:
    """Return the judge of all lists together: whether the scores depend on the passage, and in the right direction."""

    def judge(reply: Reply) -> Iterator[Flaw]:
        answers = [_row(reply.responses[0], number, len(lists)) for number in range(len(lists))]
        if all(len(set(answer.scores)) == 1 and len(answer.scores) > 1 for answer in answers):
            message = f"all passages have the same score in each of {len(lists)} lists: {answers[0].scores[0]:.6g}"
            yield Flaw(message, "Check that max_tokens leaves room for passages, and the weights of the model.")
        elif len(lists) == LISTS and known.top_k > 1 and len({tuple(answer.scores) for answer in answers}) == 1:
            message = f"the scores are the same in all of {len(lists)} lists, so they belong to places, not to passages"
            yield Flaw(message, OWN)
        elif len(lists) == LISTS and all(
            known.texts[one.query] not in [passage for _, passage, _ in answer.found[: len(one.rows) - 1]]
            for one, answer in zip(lists, answers, strict=True)
        ):
            yield Flaw(f"the passage that equals the query comes last in all of {len(lists)} lists", TURNED)

    return judge


def _placed(reply: Reply) -> Iterator[Flaw]:
    """Yield what differs between the scores of one list in two orders."""
    one, other = (
        {id_: score for (id_, _, _), score in zip(*_row(reply.responses[0], number, 2), strict=True)}
        for number in (0, 1)
    )
    for id_ in one.keys() & other.keys():
        if abs(one[id_] - other[id_]) > SAME * max(1, abs(one[id_])):
            message = f'"{id_}" has a score of {one[id_]:.4f}, but {other[id_]:.4f} in another place of the same list'
            yield Flaw(message, "Check that each score is returned with the passage that it belongs to.")
            return


def searches(served: Served, models: Mapping[str, Expected], pipeline: links.Reranked) -> Iterator[Case | Crowd]:
    """Yield the cases of a pipeline that ranks what its search finds: some passages one by one, and many at once."""
    embeds = models.get(pipeline.search.embeds)
    found = search.stored(models, pipeline.search.searches, pipeline.search.version)
    found = replace(found, apart=embeds is not None and links.apart(embeds))
    model = models[pipeline.reranks]
    top_k = links.limit(model, pipeline.version or model.versions[-1])
    rows = found.index.sample(LISTS)
    alone = [_searched(served, pipeline.search.query, found, row, top_k) for row in rows]
    ranker = reranks.alone(models, served.name, found, rows[0], served.at)
    if ranker is not None:
        yield replace(alone[0], judge=both(alone[0].judge, ranker.judge), before=ranker.case)
    else:
        yield alone[0]
    if len(alone) > 1:
        yield Crowd(tuple(alone), served.joins)


def _searched(served: Served, query: str, found: search.Search, row: int, top_k: int) -> Case:
    request = ask(served, [given(served, query, found.index.texts[row])])
    judge = both(well_formed(served), _among(found, row, top_k))
    return Case(Check.RANKING, request, judge, served.at, f'"{found.index.ids[row]}"', compared=Severity.WARNING)


def _among(found: search.Search, row: int, top_k: int) -> Judge:
    """Return the judge of a search: its passages must be among those that the index has for the query."""
    index = found.index
    candidates = min(found.count or len(index.ids), len(index.ids))
    asked = f'a search for passage "{index.ids[row]}" returned '

    def judge(reply: Reply) -> Iterator[Flaw]:
        answer = reply.responses[0]
        lacking = [name for name in ("ids", "passages", "scores") if name not in answer]
        if lacking:
            yield Flaw(f"the response lacks {', '.join(lacking)}, which a search must return")
            return
        ids, passages = ([text(v) for v in answer[name].values.ravel().tolist()] for name in ("ids", "passages"))
        rows: list[int] = []
        flaw = search.stored_rows(index, ids, passages, rows)
        if flaw is None and len(ids) != min(top_k, candidates):
            flaw = Flaw(f"{len(ids)} passage{'' if len(ids) == 1 else 's'}, not {min(top_k, candidates)}", OWN)
        # with prefixes of its own, a query has another vector than the stored passage, and finds others
        far = None if flaw is not None or found.apart else search.beyond(found, row, rows, candidates)
        if far is not None:
            flaw = Flaw(
                f'"{index.ids[far]}", which is not among the {candidates} best of the index for it', search.OTHER
            )
        flaw = flaw or search.described(index, rows, answer)
        if flaw is not None:
            yield flaw._replace(message=asked + flaw.message)
            return
        wrong = _descending(asked, answer["scores"].values.ravel().tolist(), len(ids))
        yield from [] if wrong is None else [wrong]

    return judge
