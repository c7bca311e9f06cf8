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
from tests.test_step_endpoint import KEY, ROWS
from tritonrepo.cli import run
from tritonrepo.flows.serve import ServeOptions, serve
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server

GENERATOR = """\
    role: generator
    engine: openai
    endpoint: {{url: "{url}", model: tiny, api_key: {{env: THE_KEY}}, connections: 64, extra: {{top_k: 3}}}}
    sampling: {{max_tokens: 20}}
"""
STACK = f"""\
name: remote
target: {{{{release: "24.10", images: [py3], gpus: 0}}}}
models:
  e: {{{{role: embedder, source: ./w}}}}
  r: {{{{role: retriever, documents: ./d/*.jsonl, index: ./i, embed_with: e, top_k: 2}}}}
  llm:
{GENERATOR}\
    tokenizer: ./m
  other:
{GENERATOR}\
    args: {{{{max_model_len: 2048}}}}
ensembles:
  rag: {{{{chain: [e, r, llm]}}}}
  talk: {{{{chain: [e, r, other], outputs: [answer, sources]}}}}
"""
LEAVES = "leaves"


class Served(NamedTuple):
    """The server, its endpoint, and the directory of the stack."""

    server: Server
    endpoint: Endpoint
    place: Path


def scripted(asked: said.Asked) -> said.Script:
    if asked.method == "POST" and asked.text in ROWS:
        return ROWS[asked.text][0]
    if asked.method == "POST" and asked.text == LEAVES:
        return [*stream(*said.words("one"), end=()), Act.HANG]
    return said.talk(asked)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    place = tmp_path_factory.mktemp("remote")
    chosen = ServeOptions(Ports(0, 0, 0), deadline_s=120)
    with pytest.MonkeyPatch.context() as patch, endpoint(scripted) as here:
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


def asked(server: Server, model: str, given: list[triton.InferInput]) -> tuple[list[str], str]:
    """Return the pieces of a streamed answer, and its error."""
    arrived: queue.SimpleQueue[tuple[triton.InferResult | None, Exception | None]] = queue.SimpleQueue()
    pieces, output = list[str](), "text_output" if model == "llm" else "answer"
    with triton.InferenceServerClient(server.grpc) as client:
        client.start_stream(lambda result, error: arrived.put((result, error)))
        client.async_stream_infer(model, given, enable_empty_final_response=True)
        while True:
            result, error = arrived.get(timeout=60)
            if result is None:
                return pieces, str(error)
            array = result.as_numpy(output)
            pieces += [] if array is None else [each.decode() for each in array]
            if result.get_response().parameters["triton_final_response"].bool_param:
                return pieces, ""


def straight(server: Server, text: str) -> tuple[list[str], str]:
    return asked(server, "llm", tensors(text_input=text, stream=True))


def test_each_fault_is_one_error_on_the_server_and_other_requests_go_on(served: Served) -> None:
    good = [f"question {number} of many" for number in range(30)]
    with ThreadPoolExecutor(16) as pool:
        found = dict(zip([*ROWS, *good], pool.map(partial(straight, served.server), [*ROWS, *good]), strict=True))
    for text in good:
        assert found[text] == ([f"{word} " for word in text.split()[:-1]] + ["many"], "")
    for name, (_, expected) in ROWS.items():
        pieces, error = found[name]
        assert expected.partition(": ")[2] in error, name
        assert set(pieces) <= {"half ", "an"}, name
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
