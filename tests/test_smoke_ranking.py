"""What `smoke` accepts of a reranker, and of a pipeline that ends in one: each kind of wrong answer is told."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.tabled import tabled
from tritonrepo.diagnostics import Span
from tritonrepo.repository import read, target
from tritonrepo.server.tensors import Request, of_values
from tritonrepo.smoke import expected, links, ranking
from tritonrepo.smoke.case import Case, Crowd, Reply
from tritonrepo.smoke.ranking import Candidates
from tritonrepo.smoke.served import Served, of_config
from tritonrepo.tree import of_bytes, of_text

AT = Span("http://x/v2/models/m")
LISTED = ("passages", "ids", "metadata")
IDS = [f"p{number}" for number in range(8)]
TEXTS = [f"{'word ' * (number + 1)}{number}" for number in range(8)]


def tensor(name: str, kind: str = "STRING", dims: Sequence[int] = (-1,)) -> dict[str, object]:
    return {"name": name, "data_type": f"TYPE_{kind}", "dims": [*dims]}


def served(max_batch_size: int = 8) -> Served:
    config = {
        "name": "m",
        "max_batch_size": max_batch_size,
        "dynamic_batching": {},
        "input": [tensor("query", dims=[1]), *(tensor(name) for name in LISTED)],
        "output": [*(tensor(name) for name in LISTED), tensor("scores", "FP32")],
    }
    return of_config(config, "1", AT)


class Lists(NamedTuple):
    """The lists of a request, one per query."""

    queries: list[str]
    passages: list[list[str]]
    ids: list[list[str]]
    metadata: list[list[str]]


def lists(request: Request) -> Lists:
    values = {each.name: each.values for each in request.inputs}
    count = values["query"].size

    def rows(name: str) -> list[list[str]]:
        return [[value.decode() for value in row] for row in values[name].reshape(count, -1).tolist()]

    return Lists([row[0] for row in rows("query")], rows("passages"), rows("ids"), rows("metadata"))


def shared(query: str, passage: str) -> float:
    """Return how alike two texts are, which tells every pair of these apart."""
    return 1 / (1 + abs(len(query) - len(passage)))


Columns = dict[str, list[list[Any]]]


def ranked(request: Request, top_k: int, score: Callable[[str, str], float] = shared) -> Columns:
    """Return what a reranker answers, in columns of rows."""
    asked, found = lists(request), Columns()
    for query, *columns in zip(*asked, strict=True):
        scored = sorted(((-score(query, row[0]), n, row) for n, row in enumerate(zip(*columns, strict=True))))
        best = [(*row, -minus) for minus, _, row in scored[:top_k]]
        for name, own in zip((*LISTED, "scores"), zip(*best, strict=True), strict=True):
            found.setdefault(name, []).append([*own])
    return found


def reply(columns: Columns) -> Reply:
    def made(name: str, rows: list[list[Any]]) -> Any:  # noqa: ANN401  a tensor
        flat = [value for row in rows for value in row]
        return of_values(name, "FP32" if name == "scores" else "BYTES", flat, [len(rows), len(rows[0])])

    return Reply(({name: made(name, rows) for name, rows in columns.items()},))


def asked(top_k: int = 3, count: int = 8, max_batch_size: int = 8) -> list[Case | Crowd]:
    return [*ranking.cases(served(max_batch_size), Candidates(IDS[:count], TEXTS[:count], top_k))]


def flaws(case: Case, columns: Columns) -> list[str]:
    return [flaw.message for flaw in case.judge(reply(columns))]


def test_a_right_reranker_passes_every_case() -> None:
    for top_k in (1, 3, 9):
        one, many, orders, crowd = asked(top_k)
        assert isinstance(crowd, Crowd)
        for case in (one, many, orders, *crowd.cases):
            assert isinstance(case, Case)
            assert flaws(case, ranked(case.request, top_k)) == []
        assert [each.what for each in (one, many, orders) if isinstance(each, Case)] == [
            "1 list",
            "8 lists",
            "2 orders",
        ]


def test_a_list_has_the_passage_that_is_its_query_and_one_more_than_is_returned() -> None:
    one, many, orders, _ = asked()
    assert isinstance(one, Case)
    assert isinstance(many, Case)
    assert isinstance(orders, Case)
    assert lists(one.request).ids == [["p0", "p1", "p2", "p3"]]
    found = lists(many.request)
    assert found.queries == TEXTS
    assert (found.ids[6], found.passages[6][0]) == (["p6", "p7", "p0"], TEXTS[6])
    assert lists(orders.request).ids == [["p0", "p1", "p2"], ["p2", "p1", "p0"]]


SIZES = {1: (3, 2), 4: (5, 4), 99: (5, 4)}


@pytest.mark.parametrize(("top_k", "sizes"), SIZES.items())
def test_lists_are_as_long_as_shows_their_order_and_no_longer_than_is_quick(top_k: int, sizes: tuple[int, int]) -> None:
    requests = [case.request for case in asked(top_k)[:2] if isinstance(case, Case)]
    assert tuple(len(lists(each).ids[0]) for each in requests) == sizes


def test_a_model_without_batches_is_asked_for_one_list_at_a_time() -> None:
    one, crowd = asked(max_batch_size=0)
    assert isinstance(one, Case)
    assert isinstance(crowd, Crowd)
    assert one.request.inputs[1].values.shape == (4,)
    (alone,) = asked(count=1)
    assert isinstance(alone, Case)
    assert lists(alone.request).ids == [["p0"]]


Change = Callable[[Columns], object]


def swap(columns: Columns, name: str) -> None:
    columns[name][0][:2] = columns[name][0][1::-1]


ASKED = 'a list of 4 passages for the query of "p0" returned '
WRONG: dict[str, tuple[Change, str]] = {
    "an output that is missing": (
        lambda found: found.pop("metadata"),
        "the response lacks the declared output metadata; it has passages, ids, scores",
    ),
    "a passage of another request": (
        lambda found: found["passages"].__setitem__(0, [TEXTS[7], *found["passages"][0][1:]]),
        f'{ASKED}"p0" with a passage that is not its own',
    ),
    "an id of another request": (
        lambda found: found["ids"].__setitem__(0, ["p7", *found["ids"][0][1:]]),
        f'{ASKED}"p7", which is not in it',
    ),
    "ids that are swapped": (lambda found: swap(found, "ids"), f'{ASKED}"p1" with a passage that is not'),
    "passages in the place of their ids": (
        lambda found: found.update(ids=found["passages"], passages=found["ids"]),
        f'{ASKED}"{TEXTS[0][:60]}", which is a passage',
    ),
    "metadata that is swapped": (
        lambda found: swap(found, "metadata"),
        f'{ASKED}"p0" with the metadata of another passage',
    ),
    "one passage twice": (
        lambda found: [row[0].__setitem__(1, row[0][0]) for name, row in found.items() if name != "scores"],
        f'{ASKED}"p0" twice',
    ),
    "too few": (lambda found: [row[0].pop() for row in found.values()], f"{ASKED}2 of them, not 3"),
    "scores that rise": (lambda found: found["scores"][0].reverse(), f"{ASKED}scores that are not in descending order"),
}


@tabled(("change", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_list_is_told(change: Change, message: str) -> None:
    case = asked()[0]
    assert isinstance(case, Case)
    columns = ranked(case.request, 3)
    change(columns)
    (said,) = flaws(case, columns)
    assert said.startswith(message)


MEANT: dict[str, tuple[Callable[[str, str], float], int, str]] = {
    "the opposite": (
        lambda query, passage: -shared(query, passage),
        4,
        "the passage that equals the query comes last in all of 8 lists",
    ),
    "the opposite where only the best are returned": (
        lambda query, passage: -shared(query, passage),
        1,
        "the passage that equals the query comes last in all of 8 lists",
    ),
    "nothing": (lambda *_: 0.5, 4, "all passages have the same score in each of 8 lists: 0.5"),
    "something else": (lambda _, passage: len(passage), 4, ""),
}


@pytest.mark.parametrize(("score", "top_k", "message"), MEANT.values(), ids=MEANT)
def test_scores_of_the_right_form_that_mean_something_else_are_told(
    score: Callable[[str, str], float], top_k: int, message: str
) -> None:
    case = asked(top_k)[1]
    assert isinstance(case, Case)
    assert flaws(case, ranked(case.request, top_k, score)) == ([message] if message else [])


def test_scores_that_are_the_same_in_every_list_are_told() -> None:
    case = asked()[1]
    assert isinstance(case, Case)
    columns = ranked(case.request, 3)
    columns["scores"] = [[0.9, 0.8, 0.1] for _ in columns["scores"]]
    assert flaws(case, columns) == [
        "the scores are the same in all of 8 lists, so they belong to places, not to passages"
    ]


def test_a_score_that_belongs_to_a_place_is_told() -> None:
    case = asked()[2]
    assert isinstance(case, Case)
    columns = ranked(case.request, 3)
    columns["scores"][1] = [0.9, 0.8, 0.1]
    (said,) = flaws(case, columns)
    assert "in another place of the same list" in said


# a repository with a search that ends in a reranker

VECTORS = np.eye(6, dtype=np.float32) * 2 + 0.1 * np.arange(6, dtype=np.float32)[:, None]
SEARCH = """
platform: "ensemble"
input { name: "query" data_type: TYPE_STRING dims: [ 1 ] }
output { name: "ids" data_type: TYPE_STRING dims: [ -1 ] }
output { name: "passages" data_type: TYPE_STRING dims: [ -1 ] }
output { name: "scores" data_type: TYPE_FP32 dims: [ -1 ] }
ensemble_scheduling {
  step { model_name: "e" model_version: 1 input_map { key: "text" value: "query" }
    output_map { key: "embedding" value: "vector" } }
  step { model_name: "r" model_version: 1 input_map { key: "embedding" value: "vector" }
    output_map { key: "ids" value: "r_ids" } output_map { key: "passages" value: "r_passages" } }
  step { model_name: "k" model_version: 1 input_map { key: "query" value: "query" }
    input_map { key: "ids" value: "r_ids" } input_map { key: "passages" value: "r_passages" }
    output_map { key: "ids" value: "ids" } output_map { key: "passages" value: "passages" }
    output_map { key: "scores" value: "scores" } }
}
"""


def npy(array: NDArray[np.float32]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def repository(search: str = SEARCH, reranker: str = "", **settings: object) -> dict[str, expected.Expected]:
    lines = "".join(json.dumps({"id": id_, "text": text}) + "\n" for id_, text in zip(IDS[:6], TEXTS, strict=False))
    files = {
        "search/config.pbtxt": search,
        "search/1/.keep": "",
        "r/config.pbtxt": 'output { name: "ids" data_type: TYPE_STRING dims: [ 4 ] }',
        "r/1/passages.jsonl": lines,
        "k/config.pbtxt": reranker,
        "k/1/calls.json": "{}",
        "k/1/settings.json": json.dumps({"score": "sigmoid", "top_k": 2} | settings),
    }
    tree = {path: of_text(text) for path, text in files.items()}
    return expected.of(read({**tree, "r/1/embeddings.npy": of_bytes(npy(VECTORS))}, target()), "x")


def pipeline() -> Served:
    outputs = [tensor("ids"), tensor("passages"), tensor("scores", "FP32")]
    return of_config({"name": "search", "input": [tensor("query", dims=[1])], "output": outputs}, "1", AT)


def found(ids: Sequence[str], scores: Sequence[float]) -> Reply:
    texts = [TEXTS[IDS.index(id_)] if id_ in IDS else "?" for id_ in ids]
    kinds = {"ids": ("BYTES", ids), "passages": ("BYTES", texts), "scores": ("FP32", scores)}
    return Reply(({name: of_values(name, kind, list(v), [len(v)]) for name, (kind, v) in kinds.items()},))


def test_a_pipeline_that_ends_in_a_reranker_is_not_compared_with_the_order_of_the_index() -> None:
    models = repository()
    assert links.reranking(models) == ["k"]
    assert not links.pipelines(models)["search"].whole
    reranked = links.reranked(models)["search"]
    assert (reranked.reranks, reranked.version, reranked.search.searches) == ("k", "1", "r")
    one, crowd = ranking.searches(pipeline(), models, reranked)
    assert isinstance(one, Case)
    assert isinstance(crowd, Crowd)
    assert [case.request.inputs[0].values.tolist() for case in crowd.cases[:2]] == [
        [TEXTS[0].encode()],
        [TEXTS[1].encode()],
    ]
    assert list(one.judge(found(["p5", "p4"], [0.9, 0.1]))) == []


def candidates_of_first() -> list[str]:
    """Return the ids of the four best rows for the first, by plain arithmetic."""
    scores = [sum(float(a) * float(b) for a, b in zip(VECTORS[0], row, strict=True)) for row in VECTORS]
    return [IDS[row] for row in sorted(range(6), key=lambda row: -scores[row])[:4]]


SEARCHED: dict[str, tuple[Sequence[str], Sequence[float], str]] = {
    "a passage that the search does not find": (["p1", "p5"], [0.9, 0.1], '"p1", which is not among the 4 best of the'),
    "one that is not in the index": (["p9", "p5"], [0.9, 0.1], 'the id "p9", which is not in the index'),
    "one twice": (["p5", "p5"], [0.9, 0.1], 'the passage "p5" twice'),
    "too many": (["p5", "p4", "p3"], [0.9, 0.5, 0.1], "3 passages, not 2"),
    "scores that rise": (["p5", "p4"], [0.1, 0.9], "scores that are not in descending order"),
    "a score too few": (["p5", "p4"], [0.1], "1 scores for 2 passages"),
}


@tabled(("ids", "scores", "message"), SEARCHED.values(), ids=SEARCHED)
def test_what_a_reranked_search_cannot_return_is_told(
    ids: Sequence[str], scores: Sequence[float], message: str
) -> None:
    assert candidates_of_first() == ["p0", "p5", "p4", "p3"]
    models = repository()
    one = next(iter(ranking.searches(pipeline(), models, links.reranked(models)["search"])))
    assert isinstance(one, Case)
    (flaw,) = one.judge(found(ids, scores))
    assert flaw.message.startswith(f'a search for passage "p0" returned {message}')


def test_where_queries_have_a_prefix_of_their_own_any_passage_of_the_index_can_be_found() -> None:
    models = repository()
    prefixes = {"prefixes": {"query": "query: ", "passage": "passage: "}}
    steps = {"e/config.pbtxt": "", "e/1/settings.json": json.dumps(prefixes)}
    models |= expected.of(read({path: of_text(text) for path, text in steps.items()}, target()), "x")
    one = next(iter(ranking.searches(pipeline(), models, links.reranked(models)["search"])))
    assert isinstance(one, Case)
    assert list(one.judge(found(["p1", "p5"], [0.9, 0.1]))) == []
    (flaw,) = one.judge(found(["p9", "p5"], [0.9, 0.1]))
    assert 'the id "p9", which is not in the index' in flaw.message


def test_a_reranker_is_asked_for_passages_of_the_index_and_made_up_ones_without_it() -> None:
    models = repository()
    assert ranking.candidates(models, "k", "1") == Candidates(IDS[:6], TEXTS[:6], 2)
    alone = {"k": models["k"]}
    assert [*ranking.candidates(alone, "k", "7").texts] == [*ranking.SENTENCES]


def test_a_reranker_whose_settings_are_broken_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match=r"settings\.json is not a JSON object with a top_k"):
        ranking.candidates(repository(top_k="many"), "k", "1")


RERANKER = "".join(
    f'{kind} {{ name: "{name}" data_type: TYPE_{type_} dims: [ {dims} ] }}\n'
    for kind, name, type_, dims in (
        ("input", "query", "STRING", 1),
        ("input", "passages", "STRING", -1),
        ("input", "ids", "STRING", -1),
        ("output", "ids", "STRING", -1),
        ("output", "passages", "STRING", -1),
        ("output", "scores", "FP32", -1),
    )
)
BY_ITSELF: dict[str, tuple[list[float], str]] = {
    "the same": ([0.9, 0.1], ""),
    "nearly": ([0.91, 0.1], ""),
    "another": ([0.9, 0.3], '"p4" has a score of 0.3000, but k by itself returns 0.1000 for this query'),
}


@pytest.mark.parametrize(("scores", "message"), BY_ITSELF.values(), ids=BY_ITSELF)
def test_a_pipeline_must_pass_its_query_to_its_reranker(scores: list[float], message: str) -> None:
    models = repository(reranker=RERANKER)
    one, _ = ranking.searches(pipeline(), models, links.reranked(models)["search"])
    assert isinstance(one, Case)
    alone = one.before
    assert alone is not None
    assert (alone.request.model, alone.request.version, alone.what) == ("k", "1", "for search")
    sent = {tensor.name: [value.decode() for value in tensor.values.tolist()] for tensor in alone.request.inputs}
    assert (sent["query"], sorted(sent["ids"])) == ([TEXTS[0]], sorted(candidates_of_first()))
    right = found(["p5", "p4"], [0.9, 0.1])
    assert [flaw.message for flaw in one.judge(found(["p5", "p4"], [0.5, 0.2]))] == []  # nothing is known yet
    assert not [*alone.judge(right)]
    assert [flaw.message for flaw in one.judge(found(["p5", "p4"], scores))] == ([message] if message else [])


def test_a_reranker_that_reads_something_else_is_not_compared() -> None:
    other = SEARCH.replace('input_map { key: "query" value: "query" }', 'input_map { key: "query" value: "vector" }')
    models = repository(other, reranker=RERANKER)
    assert links.ranker(models, "search") is None
    assert links.ranker(models, "r") is None
    assert links.ranker(repository(SEARCH.replace('"k" model_version: 1', '"k"')), "search") == ("k", "1")
