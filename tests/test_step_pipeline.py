"""The step of a pipeline of form bls as plain Python; the models that it calls are functions here."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import triton_python_backend_utils as pb_utils

from tests.tensors import Broken, array, outputs, request, written
from tritonrepo.generate.steps import pipeline
from tritonrepo.generate.steps.pipeline import TritonPythonModel

FINAL = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
INPUTS = ("query", "messages", "stream", "sampling_parameters")
SETTINGS: dict[str, Any] = {
    "steps": [
        {"model": "embedder", "inputs": {"text": "query"}, "outputs": {"embedding": "vector"}, "axes": {"text": 1}},
        {
            "model": "retriever",
            "inputs": {"embedding": "vector"},
            "outputs": {"passages": "passages", "ids": "ids", "scores": "scores", "metadata": "metadata"},
            "axes": {},
        },
        {
            "model": "prompt",
            "inputs": {"query": "query", "messages": "messages", "passages": "passages"},
            "outputs": {"prompt": "prompt", "used": "used"},
            "axes": {"passages": -1},
        },
        {
            "model": "generator",
            "inputs": {"text_input": "prompt", "stream": "stream"},
            "outputs": {"text_output": "answer"},
            "axes": {},
        },
    ],
    "sources": {"ids": "ids", "passages": "passages", "scores": "scores", "metadata": "metadata", "used": "used"},
    "threads": 4,
}
VERSIONS = {"embedder": 3, "retriever": 1, "prompt": 2, "generator": 7}
FOUND = [
    ("a", "Alpha.", 0.75, {"title": "The first", "url": "https://example.com/a", "page": 3}),
    ("b", "Beta.", 0.5, {}),
    ("c", "Gamma.", -0.25, {"title": "Not in the prompt"}),
]
LISTED = [
    {
        "id": "a",
        "title": "The first",
        "url": "https://example.com/a",
        "score": 0.75,
        "text": "Alpha.",
        "metadata": {"page": 3},
    },
    {"id": "b", "title": None, "url": None, "score": 0.5, "text": "Beta.", "metadata": {}},
]
"""The two of the three passages that are in the prompt."""


class Stream(pb_utils.ResponseIterator):
    """A stream of a server since 25.04, whose work can be ended; it says how far it was read."""

    def __init__(self, responses: list[pb_utils.InferenceResponse]) -> None:
        super().__init__(responses)
        self.left, self.cancelled = len(responses), False

    def __next__(self) -> pb_utils.InferenceResponse:
        found = super().__next__()
        self.left -= 1
        return found

    def cancel(self) -> None:
        self.cancelled = True


class Chain:
    """The models that a pipeline calls; each call is kept, and `pieces` are the generator's."""

    def __init__(self) -> None:
        self.asked: list[pb_utils.InferenceRequest] = []
        self.pieces = ["one ", "two ", "three"]
        self.stream: Stream | None = None
        self.found = FOUND
        self.before: Callable[[pb_utils.InferenceRequest], object] = str

    def given(self, model: str) -> dict[str, Any]:
        """Return what a model was called with."""
        ((asked, *_),) = [[each for each in self.asked if each.model_name == model]]
        return {tensor.name(): tensor.as_numpy().tolist() for tensor in asked.inputs()}

    def __call__(self, asked: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse | pb_utils.ResponseIterator:
        self.asked.append(asked)
        self.before(asked)
        assert asked.preferred_memory is not None
        assert asked.preferred_memory.wanted == (pb_utils.TRITONSERVER_MEMORY_CPU, 0), "NumPy reads no memory of a GPU"
        found: pb_utils.InferenceResponse | pb_utils.ResponseIterator = getattr(self, asked.model_name)()
        return found

    def embedder(self) -> pb_utils.InferenceResponse:
        return response(embedding=np.ones((1, 2), np.float32))

    def retriever(self) -> pb_utils.InferenceResponse:
        ids, texts, scores, metadata = zip(*self.found, strict=True)
        return response(
            passages=array([[text.encode() for text in texts]]),
            ids=array([[id_.encode() for id_ in ids]]),
            scores=np.array([scores], np.float32),
            metadata=array([[json.dumps(said).encode() for said in metadata]]),
        )

    def prompt(self) -> pb_utils.InferenceResponse:
        return response(prompt=array("a prompt"), used=np.array([2], np.int32))

    def generator(self) -> pb_utils.ResponseIterator:
        self.stream = Stream([response(text_output=array(piece)) for piece in self.pieces] + [response()])
        return self.stream


def response(**tensors: Any) -> pb_utils.InferenceResponse:  # noqa: ANN401  arrays
    return pb_utils.InferenceResponse([pb_utils.Tensor(name, value) for name, value in tensors.items()])


def failing(message: str, code: int = pb_utils.TritonError.INTERNAL) -> pb_utils.InferenceResponse:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, code))


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Chain:
    found = Chain()
    for name in VERSIONS:
        monkeypatch.setitem(pb_utils.models, name, found)
    return found


@pytest.fixture
def step(tmp_path: Path, chain: Chain) -> Iterator[TritonPythonModel]:  # noqa: ARG001  the models must be there first
    args = written(tmp_path, {"calls.json": VERSIONS, "settings.json": SETTINGS})
    model = TritonPythonModel()
    model.initialize(args | {"model_config": json.dumps({"input": [{"name": name} for name in INPUTS]})})
    yield model
    model.finalize()


def asking(*names: str, **tensors: Any) -> pb_utils.InferenceRequest:  # noqa: ANN401  texts and flags
    """Return a request for these outputs, by default all."""
    made = request(**tensors)
    return pb_utils.InferenceRequest(
        inputs=made.inputs(),
        requested_output_names=names or ("answer", "sources"),
        parameters={"tenant": "t-1", "rate": 0.5, "urgent": True},
        request_id="r-9",
        timeout=250,
    )


def answers(step: TritonPythonModel, asked: pb_utils.InferenceRequest) -> list[pb_utils.InferenceResponse]:
    """Return the responses to a request; the last one, and nothing else, has the final flag."""
    step.execute([asked])
    return responses(asked)


def responses(asked: pb_utils.InferenceRequest) -> list[pb_utils.InferenceResponse]:
    assert asked.sender.ended.wait(10)
    flags = [flag for _, flag in asked.sender.sent]
    assert flags == [0] * (len(flags) - 1) + [FINAL]
    return [found for found, _ in asked.sender.sent if found is not None]


def error(found: list[pb_utils.InferenceResponse]) -> tuple[str, int]:
    """Return message and code of the error, which is the last response."""
    assert [each.has_error() for each in found] == [False] * (len(found) - 1) + [True]
    return found[-1].error().message(), found[-1].error().code()


def text(value: list[bytes]) -> str:
    return b"".join(value).decode()


def test_a_stream_has_the_sources_that_are_in_the_prompt_then_the_pieces(step: TritonPythonModel) -> None:
    first, *rest = map(outputs, answers(step, asking(query="Which?", stream=True)))
    assert first.keys() == {"sources"}
    assert json.loads(text(first["sources"])) == LISTED
    assert rest == [{"answer": [piece]} for piece in (b"one ", b"two ", b"three")]


@pytest.mark.parametrize("said", [{"stream": False}, {}], ids=["told so", "by default"])
def test_without_stream_all_is_in_one_response(step: TritonPythonModel, chain: Chain, said: dict[str, bool]) -> None:
    chain.pieces = ["one two three"]
    (only,) = map(outputs, answers(step, asking(query="Which?", **said)))
    assert only["answer"] == [b"one two three"]
    assert json.loads(text(only["sources"])) == LISTED


def test_each_call_has_its_version_and_what_it_takes_with_or_without_a_batch(
    step: TritonPythonModel, chain: Chain
) -> None:
    answers(step, asking(query="Which?", stream=True))
    assert [(asked.model_name, asked.model_version) for asked in chain.asked] == [*VERSIONS.items()]
    assert chain.given("embedder") == {"text": [[b"Which?"]]}
    assert chain.given("retriever") == {"embedding": [[1, 1]]}
    assert chain.given("prompt") == {"query": [b"Which?"], "passages": [b"Alpha.", b"Beta.", b"Gamma."]}
    assert chain.given("generator") == {"text_input": [b"a prompt"], "stream": [True]}
    assert [asked.requested_output_names() for asked in chain.asked] == [
        {"embedding"},
        {"passages", "ids", "scores", "metadata"},
        {"prompt", "used"},
        {"text_output"},
    ]


def test_what_a_request_says_of_itself_is_passed_on_to_each_step(step: TritonPythonModel, chain: Chain) -> None:
    """Parameters of a step's request are booleans, integers or strings (python_backend 24.10, src/pb_stub.cc)."""
    answers(step, asking(query="Which?"))
    for asked in chain.asked:
        assert (asked.request_id(), asked.timeout()) == ("r-9", 250)
        assert json.loads(asked.parameters()) == {"tenant": "t-1", "urgent": True}


TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "first"},
    {"role": "assistant", "content": "yes"},
    {"role": "user", "content": "second"},
]
PARTS = [{"role": "user", "content": [{"type": "text", "text": "in"}, {"type": "text", "text": "parts"}]}]


@pytest.mark.parametrize(("turns", "query"), [(TURNS, b"second"), (PARTS, b"in\nparts")], ids=["text", "parts"])
def test_the_last_question_of_a_conversation_is_the_query(
    step: TritonPythonModel, chain: Chain, turns: list[object], query: bytes
) -> None:
    answers(step, asking(messages=json.dumps(turns)))
    assert chain.given("embedder") == {"text": [[query]]}
    assert chain.given("prompt")["query"] == [query]
    assert chain.given("prompt")["messages"] == [json.dumps(turns).encode()]


def test_a_query_stands_for_the_last_question(step: TritonPythonModel, chain: Chain) -> None:
    answers(step, asking(messages="nothing that is read here", query="own"))
    assert chain.given("embedder") == {"text": [[b"own"]]}


NO_QUESTION = "messages must end with a turn of the user"
BAD = {
    "nothing": ({}, "the request has neither query nor messages"),
    "no JSON": ({"messages": "{"}, "messages is not valid JSON: Expecting property name enclosed in double quotes"),
    "no list": ({"messages": '"user"'}, "messages must be a JSON list such as "),
    "no turns": ({"messages": "[]"}, NO_QUESTION),
    "an answer": ({"messages": json.dumps([*TURNS, {"role": "assistant", "content": "x"}])}, NO_QUESTION),
    "no text": ({"messages": '[{"role": "user", "content": 7}]'}, "messages[0].content must be a string or a list of "),
    "a bomb": ({"messages": "[" * 100_000}, "messages nests too deeply"),
}


@pytest.mark.parametrize(("sent", "message"), BAD.values(), ids=BAD)
def test_a_request_without_a_question_is_told_so(
    step: TritonPythonModel, chain: Chain, sent: dict[str, str], message: str
) -> None:
    told, code = error(answers(step, asking(**sent)))
    assert told.startswith(message)
    assert code == pb_utils.TritonError.INVALID_ARG
    assert not chain.asked


def test_an_error_names_its_step_and_is_only_that_requests(
    step: TritonPythonModel, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    def embedder(asked: pb_utils.InferenceRequest) -> pb_utils.InferenceResponse:
        bad = asked.inputs()[0].as_numpy()[0, 0] == b"bad"
        return failing("no such text", pb_utils.TritonError.UNAVAILABLE) if bad else chain.embedder()

    monkeypatch.setitem(pb_utils.models, "embedder", embedder)
    asked = [asking(query=query, stream=True) for query in ("good", "bad", "also good")]
    step.execute(asked)
    assert error(responses(asked[1])) == ("step embedder: no such text", pb_utils.TritonError.UNAVAILABLE)
    assert [len(responses(each)) for each in asked] == [4, 1, 4]


def test_an_error_in_the_stream_comes_after_the_pieces_and_the_rest_is_read(
    step: TritonPythonModel, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream([response(text_output=array("one ")), failing("out of memory"), response(), response()])
    monkeypatch.setattr(chain, "generator", lambda: stream)
    found = answers(step, asking(query="Which?", stream=True))
    assert error(found) == ("step generator: out of memory", pb_utils.TritonError.INTERNAL)
    assert outputs(found[1]) == {"answer": [b"one "]}
    assert (stream.left, stream.cancelled) == (0, True)


def test_an_error_without_stream_is_the_only_response(
    step: TritonPythonModel, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Stream([response(text_output=array("one ")), failing("out of memory")])
    monkeypatch.setattr(chain, "generator", lambda: stream)
    assert error(answers(step, asking(query="Which?")))[0] == "step generator: out of memory"


def test_a_request_that_cannot_be_read_fails_alone(step: TritonPythonModel) -> None:
    good = asking(query="Which?", stream=True)
    bad = pb_utils.InferenceRequest(inputs=[Broken("query", array("x"))], requested_output_names=["answer"])
    step.execute([bad, good])
    assert error(responses(bad))[0] == "no memory is left"
    assert len(responses(good)) == 4


def test_nothing_is_forwarded_to_a_client_that_has_left_and_the_stream_is_read_to_its_end(
    step: TritonPythonModel, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.pieces = ["word "] * 50
    asked = asking(query="Which?", stream=True)
    send = asked.sender.send

    def leave(found: pb_utils.InferenceResponse | None = None, flags: int = 0) -> None:
        send(found, flags)
        asked.sender.cancelled = len(asked.sender.sent) > 2  # the sources and two pieces have arrived

    monkeypatch.setattr(asked.sender, "send", leave)
    assert len(answers(step, asked)) == 3
    assert chain.stream is not None
    assert (chain.stream.left, chain.stream.cancelled) == (0, True)


def test_a_stream_is_kept_until_the_server_has_let_go_of_it(step: TritonPythonModel, chain: Chain) -> None:
    """Whether a client has left is asked anew until it has, and what was sent to the server before is then done."""
    asked = asking(query="Which?", stream=True)

    def leave(call: pb_utils.InferenceRequest) -> None:
        asked.sender.cancelled = call.model_name == "generator"

    chain.before = leave
    answers(step, asked)
    assert step.ended == [chain.stream]
    answers(step, asking(query="Which?", stream=True))
    assert step.ended == []


@pytest.mark.parametrize(("model", "called"), [("embedder", 1), ("prompt", 3)])
def test_no_further_step_is_called_for_a_client_that_has_left(
    step: TritonPythonModel, chain: Chain, model: str, called: int
) -> None:
    asked = asking(query="Which?")

    def leave(call: pb_utils.InferenceRequest) -> None:
        asked.sender.cancelled = call.model_name == model

    chain.before = leave
    answers(step, asked)
    assert len(chain.asked) == called


def test_a_response_that_cannot_be_sent_ends_the_stream(
    step: TritonPythonModel, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = asking(query="Which?", stream=True)
    send = asked.sender.send

    def once(found: pb_utils.InferenceResponse | None = None, flags: int = 0) -> None:
        if len(asked.sender.sent) == 2 and not flags:
            raise RuntimeError("no memory is left")
        send(found, flags)

    monkeypatch.setattr(asked.sender, "send", once)
    assert error(answers(step, asked))[0] == "no memory is left"
    assert chain.stream is not None
    assert chain.stream.left == 0


@pytest.mark.parametrize("stream", [True, False], ids=["a stream", "one response"])
def test_only_what_is_asked_for_is_returned_and_made(step: TritonPythonModel, chain: Chain, stream: bool) -> None:  # noqa: FBT001
    (only,) = map(outputs, answers(step, asking("sources", query="Which?", stream=stream)))
    assert only.keys() == {"sources"}
    assert "generator" not in {asked.model_name for asked in chain.asked}
    found = [outputs(each) for each in answers(step, asking("answer", query="Which?", stream=stream))]
    assert {name for each in found for name in each} == {"answer"}


@pytest.mark.parametrize("stream", [True, False], ids=["a stream", "one response"])
def test_why_an_answer_ends_and_its_tokens_are_told_to_who_asks(
    tmp_path: Path,
    chain: Chain,
    monkeypatch: pytest.MonkeyPatch,
    stream: bool,  # noqa: FBT001
) -> None:
    told = ("finish_reason", "num_input_tokens", "num_output_tokens")
    flags = {f"return_{name}": f"return_{name}" for name in told}
    *steps, last = SETTINGS["steps"]
    last = {**last, "inputs": last["inputs"] | flags, "outputs": last["outputs"] | {name: name for name in told}}
    args = written(tmp_path, {"calls.json": VERSIONS, "settings.json": {**SETTINGS, "steps": [*steps, last]}})
    model = TritonPythonModel()
    model.initialize(args | {"model_config": json.dumps({"input": [{"name": name} for name in (*INPUTS, *flags)]})})

    def generator() -> pb_utils.ResponseIterator:
        counts = {"num_input_tokens": np.array([7], np.uint32), "num_output_tokens": np.array([2], np.uint32)}
        rows = [("one ", "None"), ("two", "length")]
        return Stream([response(text_output=array(each), finish_reason=array(why), **counts) for each, why in rows])

    assert len(answers(model, asking(query="Which?", stream=stream))) == (4 if stream else 1)
    assert chain.asked[-1].requested_output_names() == {"text_output"}
    monkeypatch.setattr(chain, "generator", generator)
    found = [
        outputs(each) for each in answers(model, asking(query="Which?", stream=stream, **dict.fromkeys(flags, True)))
    ]
    model.finalize()
    assert chain.asked[-1].requested_output_names() == {"text_output", *told}
    counts = {"num_input_tokens": [7], "num_output_tokens": [2]}
    if stream:
        assert found[1:] == [
            {"answer": [b"one "], "finish_reason": [b"None"], **counts},
            {"answer": [b"two"], "finish_reason": [b"length"], **counts},
        ]
    else:
        del found[0]["sources"]
        whole = {"num_input_tokens": [7], "num_output_tokens": [4]}
        assert found == [{"answer": [b"one ", b"two"], "finish_reason": [b"length"], **whole}]


def test_odd_values_of_a_search_are_still_json(step: TritonPythonModel, chain: Chain) -> None:
    chain.found = [("\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), "é", float("nan"), {"url": 7})]
    chain.found += [("two", '"quoted"\n', 0.1, {"title": "\ud800"})]
    (only,) = map(outputs, answers(step, asking("sources", query="Which?")))
    first, second = json.loads(text(only["sources"]))
    assert (first["id"], first["text"], first["score"], first["url"]) == ("😀", "é", None, 7)
    assert (second["text"], second["score"], second["title"]) == ('"quoted"\n', 0.1, "?")


@pytest.mark.parametrize("said", ["[1]", "{", '{"a": NaN}'], ids=["a list", "no JSON", "no number"])
def test_metadata_of_another_form(step: TritonPythonModel, chain: Chain, said: str) -> None:
    chain.found = FOUND[:1]
    retriever = chain.retriever()
    retriever.output_tensors()[-1] = pb_utils.Tensor("metadata", array([[said.encode()]]))
    chain.retriever = lambda: retriever  # type: ignore[method-assign]
    found = answers(step, asking("sources", query="Which?"))
    if said == "{":
        assert error(found)[0].startswith("the metadata of passage 'a' is not valid JSON: Expecting")
    else:
        (source,) = json.loads(text(outputs(found[0])["sources"]))
        assert source["metadata"] == ({} if said == "[1]" else {"a": None})


def test_more_requests_than_threads_wait_and_all_are_answered(step: TritonPythonModel) -> None:
    before = threading.active_count()
    asked = [asking(query=f"{number}", stream=True) for number in range(100)]
    step.execute(asked)
    assert threading.active_count() - before <= SETTINGS["threads"]
    assert [len(responses(each)) for each in asked] == [4] * 100


def test_calls_that_wait_leave_threads_of_the_server_for_streams_that_have_begun(
    tmp_path: Path, chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of requests that wait for the first piece of their answer, only some call the generator."""
    monkeypatch.setattr(pipeline, "WAITING", 2)
    monkeypatch.setitem(SETTINGS, "threads", 6)
    args = written(tmp_path, {"calls.json": VERSIONS, "settings.json": SETTINGS})
    model = TritonPythonModel()
    model.initialize(args | {"model_config": json.dumps({"input": [{"name": "query"}]})})
    full, go, most, now = threading.Event(), threading.Event(), [0], [0]
    lock = threading.Lock()

    def wait(asked: pb_utils.InferenceRequest) -> None:
        if asked.model_name != "generator":
            return
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
            if now[0] == 2:
                full.set()
        assert go.wait(10)
        with lock:
            now[0] -= 1

    chain.before = wait
    asked = [asking(query=f"{number}") for number in range(6)]
    model.execute(asked)
    assert full.wait(10)
    go.set()
    assert [len(responses(each)) for each in asked] == [1] * 6
    assert most[0] == 2
    model.finalize()
