"""Rerankers on the real server: built from the references, asked one by one and at once, smoke-tested, and adopted."""

from __future__ import annotations

import json
import os
import shutil
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from tests.conftest import SMOLLM2
from tests.counts import counts, executions
from tests.processes import killed
from tests.test_own_stacks import weights
from tests.test_rerankers import CLOSE, REFERENCES, TEXTS, expected
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.server.process import Server
from tritonrepo.smoke.case import Check, Outcome

ONE = "config: {instance_group: [{kind: KIND_CPU, count: 1}]}"
STACK = f"""\
name: ranks
models:
  e: {{role: embedder, source: ./w, {ONE}}}
  r: {{role: retriever, documents: ./d/*.jsonl, index: ./i, embed_with: e, top_k: 10}}
  bert: {{role: reranker, source: ./bert, top_k: 8, batching: {{max_batch_size: 32, max_queue_delay: 20ms}}, {ONE}}}
  nli: {{role: reranker, source: ./bert-entailment, {ONE}}}
  modern: {{role: reranker, source: ./modernbert-mean, top_k: 3, max_tokens: 48, {ONE}}}
  late: {{role: reranker, kind: late-interaction, source: ./late, instances: {{count: 2}}, {ONE}}}
  g: {{role: generator, source: hf://o/m, local: '{SMOLLM2}', args: {{max_model_len: 900}}}}
ensembles:
  search: {{chain: [e, r, modern]}}
  told: {{chain: [search, g], outputs: [answer, sources]}}
"""
SOURCES = {"bert": "bert", "nli": "bert-entailment", "modern": "modernbert-mean"}
WORK = api.Workspace(os.environ)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the stack and its repository, `built`."""
    place = tmp_path_factory.mktemp("ranks")
    for name in ("bert", "bert-entailment", "modernbert-mean", "late"):
        shutil.copytree(REFERENCES / name, place / name)
    weights(place / "w")
    (place / "d").mkdir()
    lines = [
        json.dumps({"id": f"p{n}", "text": text, "title": f"T{n}"}) for n, text in enumerate(TEXTS["passages"][:12])
    ]
    (place / "d" / "a.jsonl").write_text("\n".join(lines), "utf-8")
    (place / "tritonrepo.yaml").write_text(STACK, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert run(["index"]) == 0
        assert run(["build", "-o", "built"]) == 0
    return place


@pytest.fixture(scope="module")
def server(built: Path) -> Iterator[Server]:
    with killed(api.serve(built / "built", api.ServeOptions(api.Ports(0, 0, 0), engine="script"), WORK)) as running:
        yield running


def given(name: str, values: Sequence[bytes]) -> Any:  # noqa: ANN401  the client has no types
    array = np.array(values, dtype=np.object_).reshape(1, -1)
    tensor = triton.InferInput(name, array.shape, "BYTES")
    tensor.set_data_from_numpy(array)
    return tensor


def ranked(
    server: Server, model: str, query: bytes, passages: Sequence[bytes], **more: Sequence[bytes]
) -> dict[str, Any]:
    """Return the outputs of one request as lists; the ids are the places of the passages."""
    lists = {"ids": [b"%d" % number for number in range(len(passages))], **more}
    inputs = [given("query", [query]), given("passages", passages), *(given(*each) for each in lists.items())]
    with triton.InferenceServerClient(server.grpc) as client:
        result = client.infer(model, inputs)
    return {name: result.as_numpy(name)[0].tolist() for name in ("passages", "ids", "scores", "metadata")}


@pytest.mark.parametrize(("model", "top_k", "count"), [("bert", 8, 300), ("nli", 4, 40), ("modern", 3, 40)])
def test_order_and_scores_are_those_of_the_reference(server: Server, model: str, top_k: int, count: int) -> None:
    said = expected(SOURCES[model])
    rows = list(zip(said["list_queries"], said["list_passages"], said["list_scores"], strict=True))[:count]
    assert len(rows) == count

    def asked(row: tuple[Any, Any, Any]) -> dict[str, Any]:
        passages = [TEXTS["passages"][number].encode() for number in row[1]]
        return ranked(server, model, TEXTS["queries"][row[0]].encode(), passages)

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(asked, rows))
    for (_, _, scores), answer in zip(rows, found, strict=True):
        best = np.argsort(-scores, kind="stable")[:top_k]
        assert answer["ids"] == [b"%d" % place for place in best]
        assert np.abs(np.array(answer["scores"]) - scores[best]).max() <= CLOSE


PASSAGES = [f"ba ko ri {number}".encode() for number in range(20)]


def test_20_passages_of_a_query_are_one_execution(server: Server) -> None:
    before = counts(server.grpc, "bert_model")
    ranked(server, "bert", b"tu ne", PASSAGES)
    assert executions(server.grpc, "bert_model", before, len(PASSAGES)) == 1


def test_queries_at_once_share_executions_though_their_lists_have_different_lengths(server: Server) -> None:
    def wave() -> bool:
        before = counts(server.grpc, "bert")
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda n: ranked(server, "bert", b"sol %d" % n, PASSAGES[: 20 - n]), range(8)))
        assert [len(answer["ids"]) for answer in found] == [8] * 8
        return executions(server.grpc, "bert", before, 8) < 8

    assert any(wave() for _ in range(5))  # on a busy machine, those of one wave may not meet


def test_a_bad_request_among_others_fails_alone(server: Server) -> None:
    def asked(number: int) -> int | str:
        ids = {"ids": [b"x"]} if number == 3 else {}
        try:
            return len(ranked(server, "bert", b"ko %d" % number, [b"ba", b"ri", b"ne"], **ids)["ids"])
        except InferenceServerException as error:
            return str(error.message())

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(asked, range(8)))
    assert found.pop(3) == "ids must have the shape of passages, [1, 3], not [1, 1]"
    assert found == [3] * 7


def test_any_bytes_and_any_number_of_passages_are_ranked(server: Server) -> None:
    assert ranked(server, "nli", b"ko", []) == {"passages": [], "ids": [], "scores": [], "metadata": []}
    odd = [b"\xff\xfe", b"", b"\0", b"word " * 10_000]
    for model in ("nli", "late"):
        found = ranked(server, model, b"k\xe9", odd)
        assert sorted(found["passages"]) == sorted(odd)
        assert [odd[int(id_)] for id_ in found["ids"]] == found["passages"]
    twice = ranked(server, "nli", b"ko ri", [b"ba", b"ko ne", b"ba"])
    assert [id_ for id_ in twice["ids"] if id_ != b"1"] == [b"0", b"2"]
    known = ranked(server, "nli", b"ko", [b"ba", b"ri"], metadata=[b'{"n": 0}', b'{"n": 1}'])
    assert known["metadata"] == [b'{"n": %s}' % id_ for id_ in known["ids"]]


def test_a_search_that_ends_in_a_reranker_returns_the_best_of_what_it_finds(server: Server) -> None:
    text = TEXTS["passages"][3].encode()
    query = triton.InferInput("query", [1], "BYTES")
    query.set_data_from_numpy(np.array([text], dtype=np.object_))
    with triton.InferenceServerClient(server.grpc) as client:
        result = client.infer("search", [query])
    found = {name: result.as_numpy(name).tolist() for name in ("passages", "ids", "scores", "metadata")}
    places = [int(id_[1:]) for id_ in found["ids"]]
    assert found["passages"] == [TEXTS["passages"][place].encode() for place in places]
    assert found["metadata"] == [b'{"title": "T%d"}' % place for place in places]
    assert len(places) == 3
    alone = ranked(server, "modern", text, found["passages"])
    assert alone["passages"] == found["passages"]
    assert alone["scores"] == pytest.approx(found["scores"], abs=1e-5)


def test_an_answer_is_given_from_the_passages_that_a_reranker_keeps(server: Server) -> None:
    query = TEXTS["passages"][3]
    body = json.dumps({"query": query, "stream": False, "exclude_input_in_output": False}).encode()
    with urllib.request.urlopen(f"{server.http}/v2/models/told/generate_stream", body, timeout=60) as stream:
        lines = [json.loads(line[5:]) for line in stream.read().decode().splitlines() if line.startswith("data:")]
    sources = json.loads(lines[0]["sources"])
    found = ranked(server, "modern", query.encode(), [text.encode() for text in TEXTS["passages"][:10]])
    kept = [TEXTS["passages"].index(source["text"]) for source in sources]
    assert len(kept) == 3
    assert [source["title"] for source in sources] == [f"T{number}" for number in kept]
    assert [source["score"] for source in sources] == sorted((source["score"] for source in sources), reverse=True)
    assert len(found["ids"]) == 3
    prompt = "".join(line.get("answer", "") for line in lines)
    assert all(source["text"] in prompt for source in sources)


def test_smoke_finds_nothing_wrong_and_knows_what_a_reranker_is(server: Server, built: Path) -> None:
    known = api.known(str(built), WORK, str(built / "built"))
    results = list(api.smoke(server.endpoint, known))
    assert [each.diagnostics for each in results if each.diagnostics] == []
    # on a busy machine, requests may not meet in a batch; the generator reads too little for its whole prompt
    unsure = {Check.AT_ONCE, Check.BATCHING, Check.PROMPT}
    assert {each.check for each in results if each.outcome is not Outcome.PASSED} <= unsure
    asked = {(each.model, each.what) for each in results if each.check is Check.RANKING}
    assert {("late", "1 list"), ("late", "8 lists"), ("late", "2 orders"), ("search", '"p0"')} <= asked
    assert ("search", "8 ranking") in {(each.model, each.what) for each in results if each.check is Check.AT_ONCE}


def test_what_a_build_wrote_comes_back_as_rerankers(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(built / "built", "lost")
    assert run(["adopt", "lost", "-o", "tritonrepo.yaml"]) == 0
    text = Path("tritonrepo.yaml").read_text("utf-8")
    assert text.count("role: reranker") == 4
    assert "    kind: late-interaction\n" in text
    nli = text[text.index("  nli:") :]
    assert nli[: nli.index("  r:")].splitlines()[1:2] == ["    role: reranker"]
    assert '    label: "1"\n    activation: softmax\n' in nli
    assert "search: {chain: [e, r, modern]}" in text
    assert run(["build", "-o", "again"]) == 0
    for path in sorted((tmp_path / "lost").rglob("*")):
        if path.is_file() and path.name != "tritonrepo.json":
            assert (tmp_path / "again" / path.relative_to(tmp_path / "lost")).read_bytes() == path.read_bytes()
