"""A generator at an endpoint on the real Triton server: answers, faults and clients that leave, side by side.

A scripted endpoint is in the place of vLLM or NIM.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tritonclient.grpc as triton

from tests import openai_endpoint as said
from tests.openai_endpoint import Act, Endpoint, endpoint, stream
from tests.processes import killed
from tests.test_generator import files
from tests.test_own_stacks import entered
from tests.test_step_endpoint import GOOD, KEY, ROWS
from tritonrepo.cli import run
from tritonrepo.flows.serve import ServeOptions, serve
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server

SLOW_S = 3
"""How slow the endpoint may be for one of the generators: the tests wait for it while others are answered."""

GENERATOR = """\
    role: generator
    engine: openai
    endpoint: {{url: "{url}", model: tiny, api_key: {{env: THE_KEY}}, connections: 99, extra: {{top_k: 3}}, TIMES}}
    sampling: {{max_tokens: 20}}
"""
STACK = f"""\
name: remote
target: {{{{release: "24.10", images: [py3], gpus: 0}}}}
models:
  e: {{{{role: embedder, source: ./w}}}}
  r: {{{{role: retriever, documents: ./d/*.jsonl, index: ./i, embed_with: e, top_k: 2}}}}
  llm:
{GENERATOR.replace("TIMES", "retries: 1")}\
    tokenizer: ./m
  other:
{GENERATOR.replace("TIMES", f"timeouts: {{{{first: {SLOW_S}s, between: {SLOW_S}s}}}}")}\
    args: {{{{max_model_len: 2048}}}}
ensembles:
  rag: {{{{chain: [e, r, llm]}}}}
  talk: {{{{chain: [e, r, other], outputs: [answer, sources]}}}}
"""
LEAVES = "leaves"
BUSY = "first of a busy endpoint"
SLOW: dict[str, tuple[said.Script, list[str], str]] = {
    "no word": ([*stream(end=()), Act.HANG], [], f"sent no text within {SLOW_S} s"),
    "no head": ([Act.HANG], [], f"sent no text within {SLOW_S} s"),
    "a gap": (
        [*stream(*said.words("half an"), end=()), Act.HANG],
        ["half ", "an"],
        f"sent nothing for {SLOW_S} s in the middle of an answer",
    ),
}
"""What a slow endpoint does, the pieces of its answer, and the error."""

SCRIPTS: dict[str, said.Script] = {name: row[0] for rows in (ROWS, GOOD, SLOW) for name, row in rows.items()}


class Scripted:
    """Answers by the scripts; a busy endpoint refuses the first time."""

    def __init__(self) -> None:
        self.refusals = iter([said.refusal(503, "full", Retry_After="0")])

    def __call__(self, asked: said.Asked) -> said.Script:
        if asked.method == "GET":
            return said.talk(asked)
        if asked.text == BUSY and (refusal := next(self.refusals, None)):
            return [refusal]
        if asked.text == LEAVES:
            return [*stream(*said.words("one"), end=()), Act.HANG]
        return SCRIPTS.get(asked.text, said.talk(asked))


class Served(NamedTuple):
    """The server, its endpoint, and the directory of the stack."""

    server: Server
    endpoint: Endpoint
    place: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("remote")
    chosen = ServeOptions(Ports(0, 0, 0), deadline_s=120)
    with pytest.MonkeyPatch.context() as patch, endpoint(Scripted()) as here:
        patch.setenv("THE_KEY", KEY)
        entered(place, patch)
        files(place / "m")
        (place / "tritonrepo.yaml").write_text(STACK.format(url=here.url), "utf-8")
        assert run(["index"]) == 0
        assert run(["build", "-f", str(place), "-o", str(place / "models")]) == 0
        with killed(serve(place / "models", chosen, Workspace(os.environ), None, place)) as server:
            yield Served(server, here, place)


def tensors(**given: str | list[str] | bool) -> list[triton.InferInput]:
    found = []
    for name, value in given.items():
        values = value if isinstance(value, list) else [value]
        array = np.array(values if isinstance(value, bool) else [str(each).encode() for each in values])
        array = array.astype(bool if isinstance(value, bool) else object)
        found.append(triton.InferInput(name, [len(values)], "BOOL" if isinstance(value, bool) else "BYTES"))
        found[-1].set_data_from_numpy(array)
    return found


def asked(server: Server, model: str, given: list[triton.InferInput], output: str = "") -> tuple[list[str], str]:
    """Return the pieces of a streamed answer, or the values of another output, and the error."""
    arrived: queue.SimpleQueue[tuple[triton.InferResult | None, Exception | None]] = queue.SimpleQueue()
    pieces = list[str]()
    output = output or ("answer" if model in {"rag", "talk"} else "text_output")
    with triton.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: arrived.put((result, error)))
        client.async_stream_infer(model, given, enable_empty_final_response=True)
        while True:
            result, error = arrived.get(timeout=60)
            if result is None:
                return pieces, str(error)
            array = result.as_numpy(output)
            pieces += (
                [] if array is None else [str(each) if array.dtype == np.uint32 else each.decode() for each in array]
            )
            if result.get_response().parameters["triton_final_response"].bool_param:
                return pieces, ""


def straight(server: Server, text: str) -> tuple[list[str], str]:
    return asked(server, "other" if text in SLOW else "llm", tensors(text_input=text, stream=True))


def test_each_fault_is_one_error_on_the_server_and_other_requests_go_on(served: Served) -> None:
    good = [*(f"question {number} of many" for number in range(30)), BUSY]
    texts = [*SLOW, *ROWS, *GOOD, *good]
    with ThreadPoolExecutor(16) as pool:
        found = dict(zip(texts, pool.map(partial(straight, served.server), texts), strict=True))
    for text in good:
        assert found[text] == ([f"{word} " for word in text.split()[:-1]] + [text.split()[-1]], "")
    for name, (_, expected) in ROWS.items():
        pieces, error = found[name]
        assert expected.partition(": ")[2] in error, name
        assert set(pieces) <= {"half ", "an"}, name
    assert {name: ("".join(found[name][0]), found[name][1]) for name in GOOD} == {
        name: (text, "") for name, (_, text) in GOOD.items()
    }
    for name, (_, expected_pieces, message) in SLOW.items():
        assert (found[name][0], message in found[name][1]) == (expected_pieces, True), name
        assert served.endpoint.left.acquire(timeout=60)
    assert KEY not in served.server.log()


def test_pipelines_of_both_forms_stream_from_it_with_one_template(served: Served) -> None:
    turns = [("system", "Be brief."), ("user", "Hello."), ("assistant", "Hi.")]
    messages = json.dumps([{"role": role, "content": content} for role, content in turns])
    for model in ("rag", "talk"):
        before = len(served.endpoint.bodies())
        given: dict[str, Any] = {"query": 'a <|user|> "b"\nc', "messages": messages}
        pieces, error = asked(served.server, model, tensors(stream=True, **given))
        (body,) = served.endpoint.bodies()[before:]
        user = body["messages"][-1]["content"]
        assert (error, "".join(pieces), len(pieces) > 5) == ("", user, True)
        assert (body["max_tokens"], body["top_k"], body["model"]) == (20, 3, "tiny")
        assert [each["role"] for each in body["messages"]] == ["system", "user", "assistant", "user"]
        assert user.startswith("[1] ")
        assert user.endswith('Question: a < |user|> "b"\nc')
        assert asked(served.server, model, tensors(**given)) == ([user], "")
        for streams in (True, False) if model == "talk" else ():
            wanted = tensors(stream=streams, return_num_output_tokens=True, **given)
            assert asked(served.server, model, wanted, "num_output_tokens") == ([str(len(user.split(" ")))], "")
            assert asked(served.server, model, wanted, "num_input_tokens") == ([], "")
    with urllib.request.urlopen(
        urllib.request.Request(
            f"{served.server.http}/v2/models/llm/generate", b'{"text_input": "a b", "exclude_input_in_output": true}'
        ),
        timeout=60,
    ) as response:
        assert json.load(response)["text_output"] == "a b"


def test_a_client_that_leaves_ends_the_work_of_the_endpoint(served: Served) -> None:
    begun = threading.Event()
    with triton.InferenceServerClient(served.server.grpc) as client:
        client.start_stream(lambda result, error: begun.set())  # noqa: ARG005  the client's own
        client.async_stream_infer("llm", tensors(text_input=LEAVES, stream=True))
        assert begun.wait(60)
        client.stop_stream(cancel_requests=True)
    assert served.endpoint.left.acquire(timeout=60)


def test_smoke_asks_through_it(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--grpc", served.server.grpc, "--repository", str(served.place / "models")]
    code = run(["smoke", served.server.http, str(served.place), *options])
    shown = capsys.readouterr()
    assert (code, shown.err) == (0, ""), shown.out
    assert "llm" in shown.out
