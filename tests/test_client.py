"""Our client of Triton's HTTP protocol: what it sends, and what it makes of each kind of answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from tests.speaking import Asked, Said, arrays, inferred, plain, speaking
from tests.tabled import tabled
from tritonrepo.diagnostics import Stop
from tritonrepo.server.client import Client, ModelState
from tritonrepo.server.endpoint import Address, Endpoint
from tritonrepo.server.rpc import Rpc
from tritonrepo.server.tensors import Request, Tensor, of_values
from tritonrepo.server.wire import events

ADDRESSES: dict[str, tuple[str, Address]] = {
    "a host alone": ("triton.example", Address("triton.example", None, "", secure=False)),
    "a host and port": ("triton.example:8500", Address("triton.example", 8500, "", secure=False)),
    "a URL": ("http://triton.example:1", Address("triton.example", 1, "", secure=False)),
    "over TLS": ("https://triton.example", Address("triton.example", None, "", secure=True)),
    "behind a path": ("https://x:1/a/b/", Address("x", 1, "/a/b", secure=True)),
    "IPv6": ("http://[::1]:9/", Address("::1", 9, "", secure=False)),
}


@tabled(("url", "address"), ADDRESSES.values(), ids=ADDRESSES)
def test_a_url_is_taken_apart(url: str, address: Address) -> None:
    assert Endpoint(url).address() == address


NO_URLS = {
    "another scheme": ("ftp://host", "this is not the URL of a server"),
    "no host": ("http://", "this is not the URL of a server"),
    "a port of letters": ("http://host:port", "this is not the URL of a server"),
    "a port too high": ("http://host:65536", "this is not the URL of a server"),
    "a space": ("http://host/a b", "this is not the URL of a server"),
    "a line break": ("http://host/a\nb", "this is not the URL of a server"),
    "a delete character": ("http://host/\x7f", "this is not the URL of a server"),
    "brackets of nothing": ("http://[x", "this is not the URL of a server"),
    "a password": ("http://me:secret@host", "user and password in the URL of a server are not supported"),
}


@tabled(("url", "message"), NO_URLS.values(), ids=NO_URLS)
def test_what_is_no_url_of_a_server_is_told(url: str, message: str) -> None:
    with pytest.raises(Stop) as stop:
        Client(Endpoint(url))
    assert [(d.rule, d.severity, d.message) for d in stop.value.diagnostics] == [("server-url", "fatal", message)]
    assert "secret" not in str(stop.value)


def test_a_password_in_the_grpc_address_is_refused() -> None:
    with pytest.raises(Stop, match="user and password in the address of a gRPC server are not supported"):
        Endpoint("http://host", grpc="me:secret@host:1").grpc_address()


ASKS: dict[str, tuple[Callable[[Client], object], str, object]] = {
    "whether it lives": (lambda c: c.live(), "GET /v2/health/live", None),
    "whether it is ready": (lambda c: c.ready(), "GET /v2/health/ready", None),
    "its index": (lambda c: c.index(), "POST /v2/repository/index", {}),
    "metadata": (lambda c: c.metadata("m"), "GET /v2/models/m", None),
    "a config": (lambda c: c.config("m"), "GET /v2/models/m/config", None),
    "a version's config": (lambda c: c.config("m", "2"), "GET /v2/models/m/versions/2/config", None),
    "a name that a path cannot hold": (lambda c: c.config("a/b c?"), "GET /v2/models/a%2Fb%20c%3F/config", None),
    "statistics": (lambda c: c.shared("m", "2"), "GET /v2/models/m/versions/2/stats", None),
    "one answer": (lambda c: c.generate("m", {"a": 1}), "POST /v2/models/m/generate", {"a": 1}),
    "a stream": (lambda c: [*c.stream("m", {"a": 1})], "POST /v2/models/m/generate_stream", {"a": 1}),
    "a version's stream": (lambda c: [*c.stream("m", {}, "2")], "POST /v2/models/m/versions/2/generate_stream", {}),
}


def anything(asked: Asked) -> Said:
    if asked.path.endswith("index"):
        return plain([])
    counted = {"execution_count": 1, "inference_stats": {"success": {"count": 1}}}
    return plain({"model_stats": [counted]})


@tabled(("ask", "line", "body"), ASKS.values(), ids=ASKS)
def test_each_request_goes_to_its_path_with_the_headers(
    ask: Callable[[Client], object], line: str, body: object
) -> None:
    with speaking(anything) as server:
        ask(Client(Endpoint(f"{server.url}/behind/", 30, 30, headers={"X-Own": "y"})))
    ((method, path, head, sent),) = server.asked
    assert f"{method} {path}" == line.replace(" /", " /behind/", 1)
    assert (head["x-own"], head["content-type"]) == ("y", "application/json")
    assert (json.loads(sent) if sent else None) == body


@pytest.mark.parametrize(("status", "yes"), [(200, True), (400, False), (503, False), (204, False)])
def test_only_status_200_is_a_yes(status: int, *, yes: bool) -> None:
    with speaking(lambda _: Said(b"", status)) as server:
        client = Client(Endpoint(server.url, 30))
        assert (client.live(), client.ready()) == (yes, yes)


def test_an_index_is_read_with_what_it_leaves_out() -> None:
    index = [{"name": "a"}, {"name": "b", "version": "2", "state": "UNAVAILABLE", "reason": "why"}]
    with speaking(lambda _: plain(index)) as server:
        assert Client(Endpoint(server.url, 30)).index() == [
            ModelState("a", "", "", ""),
            ModelState("b", "2", "UNAVAILABLE", "why"),
        ]


def counted(success: object, executions: object) -> Said:
    return plain({"model_stats": [{"execution_count": executions, "inference_stats": {"success": {"count": success}}}]})


def test_requests_that_shared_an_execution_are_counted() -> None:
    with speaking(lambda _: counted("7", 3)) as server:
        assert Client(Endpoint(server.url, 30)).shared("m", "1") == 4


BAD: dict[str, tuple[Said, Callable[[Client], object], str, str]] = {
    "no statistics": (plain({}), lambda c: c.shared("m", "1"), "server-answer", "the response is not statistics"),
    "two versions' statistics": (
        plain({"model_stats": [{}, {}]}), lambda c: c.shared("m", "1"), "server-answer", "is not statistics",
    ),
    "counts of words": (counted("x", 1), lambda c: c.shared("m", "1"), "server-answer", "is not statistics"),
    "an index of one model": (plain({"name": "m"}), lambda c: c.index(), "server-answer", "Triton's format: {"),
    "an index of words": (plain(["m"]), lambda c: c.index(), "server-answer", 'Triton\'s format: ["m"]'),
    "a config that is a list": (plain([]), lambda c: c.config("m"), "server-answer", "Triton's format: []"),
    "an event that is a list": (
        Said(b"data: [1]\n\n"), lambda c: [*c.stream("m", {})], "server-answer", "Triton's format: [1]",
    ),
    "an event that is no JSON": (
        Said(b"data: {\n\n"), lambda c: [*c.stream("m", {})], "server-answer", "the response is not JSON: {",
    ),
    "nothing": (Said(b""), lambda c: c.index(), "server-answer", "the response is not JSON: an empty response"),
    "a body that is cut short": (
        Said(b"[]", head={"Content-Length": "9"}), lambda c: c.index(), "server-answer",
        "the connection closed before the end of the response: 7 bytes are missing",
    ),
    "a refusal": (
        plain({"error": "no such model"}, 400), lambda c: c.config("m"), "server-refused",
        "/v2/models/m/config: no such model",
    ),
    "a refusal without words": (plain({}, 500), lambda c: c.metadata("m"), "server-refused", "m: HTTP 500"),
    "a refusal of another form": (plain([], 404), lambda c: c.metadata("m"), "server-refused", "m: HTTP 404"),
    "an error within a stream": (
        Said(b'data: {"error": "in m"}\n\n'), lambda c: [*c.stream("m", {})], "server-refused", "m: in m",
    ),
    "a stream with status 400": (
        Said(b'data: {"a": 1}\n\n', 400), lambda c: [*c.stream("m", {})], "server-refused",
        "m: the response has HTTP status 400",
    ),
}  # fmt: skip


@tabled(("said", "ask", "rule", "words"), BAD.values(), ids=BAD)
def test_what_is_no_answer_is_an_error_in_its_own_words(
    said: Said, ask: Callable[[Client], object], rule: str, words: str
) -> None:
    with speaking(lambda _: said) as server, pytest.raises(Stop) as stop:
        ask(Client(Endpoint(server.url, 30)))
    ((found, severity, at, message),) = [(d.rule, d.severity, d.at.path, d.message) for d in stop.value.diagnostics]
    assert (found, severity, at) == (rule, "error", server.url)
    assert words in message


EVENTS: dict[str, tuple[list[bytes], list[bytes]]] = {
    "one": ([b"data: a\n\n"], [b"a"]),
    "several in a piece": ([b"data: a\n\ndata: b\n\n"], [b"a", b"b"]),
    "one in several pieces": ([b"da", b"ta: a", b"b\n", b"\n"], [b"ab"]),
    "without a space": ([b"data:a\n\n"], [b"a"]),
    "with CRLF": ([b"data: a\r\n\r\n"], [b"a"]),
    "the last without an end": ([b"data: a\n\ndata: b"], [b"a", b"b"]),
    "a body without events": ([b'{"error":', b' "x"}\n'], [b'{"error": "x"}']),
    "nothing": ([], []),
    "only line breaks": ([b"\n\n"], []),
    "comments and other fields": ([b": still here\n\nevent: x\nid: 1\nretry: 9\ndata: a\n\n"], [b"a"]),
}


@tabled(("pieces", "found"), EVENTS.values(), ids=EVENTS)
def test_events_are_found_wherever_the_pieces_end(pieces: list[bytes], found: list[bytes]) -> None:
    assert [event.strip() for event in events(pieces)] == found


@pytest.mark.parametrize("ask", [lambda r, q: r.infer(q), lambda r, q: [*r.stream(q)]], ids=["one", "a stream"])
def test_grpc_that_nobody_serves_is_told(ask: Callable[[Rpc, Request], object]) -> None:
    endpoint = Endpoint("http://127.0.0.1:1", 20, grpc="127.0.0.1:1")
    with Rpc(endpoint) as rpc, pytest.raises(Stop) as stop:
        ask(rpc, Request("m", "1", ()))
    ((rule, severity, at, message),) = [(d.rule, d.severity, d.at.path, d.message) for d in stop.value.diagnostics]
    assert (rule, severity, at) == ("server-unreachable", "fatal", "127.0.0.1:1")
    assert message.startswith("the connection was lost: ")


INPUTS = (
    of_values("N", "INT64", [1, -2], [1, 2]),
    of_values("T", "BYTES", ["grüß", ""], [2]),
    of_values("B", "BOOL", [True, False], [2]),
)


@pytest.mark.parametrize("sequence", [0, 7], ids=["alone", "a sequence"])
def test_an_inference_sends_its_inputs_in_binary(sequence: int) -> None:
    """docs/protocol/extension_binary_data.md and extension_sequence.md."""
    with speaking(lambda _: inferred(X=np.array([[1.5, np.nan]]), Y=np.array([b"\xff", b""], object))) as server:
        found = Client(Endpoint(server.url, 30)).infer(Request("m", "3", INPUTS, sequence))
    assert {name: (tensor.datatype, tensor.values.shape) for name, tensor in found.items()} == {
        "X": ("FP32", (1, 2)),
        "Y": ("BYTES", (2,)),
    }
    assert np.array_equal(found["X"].values, np.array([[1.5, np.nan]], np.float32), equal_nan=True)
    assert found["Y"].values.tolist() == [b"\xff", b""]
    (asked,) = server.asked
    assert asked.path == "/v2/models/m/versions/3/infer"
    assert asked.head["content-type"] == "application/octet-stream"
    sent = {name: values.tolist() for name, values in arrays(asked).items()}
    assert sent == {"N": [[1, -2]], "T": ["grüß".encode(), b""], "B": [True, False]}
    parameters = json.loads(asked.body[: int(asked.head["inference-header-content-length"])])["parameters"]
    whole = {"sequence_id": 7, "sequence_start": True, "sequence_end": True} if sequence else {}
    assert parameters == {"binary_data_output": True, **whole}


@contextmanager
def over_grpc() -> Iterator[tuple[Endpoint, list[Any]]]:
    """Run a server whose models return Y = "ü", in a stream twice before the final flag; yield also its requests."""
    import grpc
    from tritonclient.grpc import service_pb2, service_pb2_grpc

    asked: list[Any] = []
    said = service_pb2.ModelInferResponse(
        outputs=[{"name": "Y", "datatype": "BYTES", "shape": [1]}], raw_output_contents=[b"\2\0\0\0" + "ü".encode()]
    )
    final = service_pb2.ModelInferResponse(parameters={"triton_final_response": {"bool_param": True}})

    class Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # it has no types
        def ModelInfer(self, request: object, _: object) -> object:  # noqa: N802  the protocol's name
            asked.append(request)
            return said

        def ModelStreamInfer(self, requests: Iterator[object], _: object) -> Iterator[object]:  # noqa: N802  the same
            asked.append(next(requests))
            for response in (said, said, final):
                yield service_pb2.ModelStreamInferResponse(infer_response=response)

    server = grpc.server(ThreadPoolExecutor(1))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Endpoint("http://127.0.0.1", 30, grpc=f"127.0.0.1:{port}"), asked
    finally:
        server.stop(None).wait()


ASK: dict[str, tuple[Callable[[Rpc, Request], Sequence[Mapping[str, Tensor]]], int]] = {
    "one": (lambda rpc, request: [rpc.infer(request)], 1),
    "a stream": (lambda rpc, request: [*rpc.stream(request)], 2),
}


@pytest.mark.parametrize(("ask", "count"), ASK.values(), ids=ASK)
@pytest.mark.parametrize("sequence", [0, 7], ids=["alone", "a sequence"])
def test_grpc_sends_the_same(
    ask: Callable[[Rpc, Request], Sequence[Mapping[str, Tensor]]], count: int, sequence: int
) -> None:
    """docs/protocol/extension_sequence.md and extension_binary_data.md."""
    with over_grpc() as (endpoint, requests), Rpc(endpoint) as rpc:
        found = ask(rpc, Request("m", "3", INPUTS, sequence))
    assert [{name: tensor.values.tolist() for name, tensor in one.items()} for one in found] == [
        {"Y": ["ü".encode()]}
    ] * count
    (asked,) = requests
    assert (asked.model_name, asked.model_version) == ("m", "3")
    assert [(one.name, one.datatype, [*one.shape]) for one in asked.inputs] == [
        ("N", "INT64", [1, 2]),
        ("T", "BYTES", [2]),
        ("B", "BOOL", [2]),
    ]
    assert [*asked.raw_input_contents] == [
        np.array([1, -2], "<i8").tobytes(),
        b"\6\0\0\0" + "grüß".encode() + b"\0\0\0\0",
        b"\1\0",
    ]
    named = ("sequence_id", "sequence_start", "sequence_end")
    told = {name: asked.parameters[name] for name in named if name in asked.parameters}
    assert [(name, told[name].int64_param or told[name].bool_param) for name in told] == (
        [("sequence_id", 7), ("sequence_start", True), ("sequence_end", True)] if sequence else []
    )


def test_outputs_in_json_are_read_as_well() -> None:
    """As a server sends what was not asked for in binary."""
    outputs: list[dict[str, Any]] = [
        {"name": "X", "datatype": "FP32", "shape": [2, 1], "data": [1.5, 2]},
        {"name": "Y", "datatype": "BYTES", "shape": [1], "data": ["ü"]},
    ]
    with speaking(lambda _: plain({"outputs": outputs})) as server:
        found = Client(Endpoint(server.url, 30)).infer(Request("m", "", ()))
    assert server.asked[0].path == "/v2/models/m/infer"
    assert (found["X"].values.tolist(), found["Y"].values.tolist()) == ([[1.5], [2]], ["ü".encode()])


NO_INFERENCES: dict[str, tuple[Said, str, str]] = {
    "a refusal": (plain({"error": "bad input"}, 400), "server-refused", "/v2/models/m/infer: bad input"),
    "no outputs": (plain({}), "server-answer", "the response is not an inference response: it must be"),
    "a tensor without a shape": (
        plain({"outputs": [{"name": "X", "datatype": "FP32", "data": [1]}]}), "server-answer",
        "output X has the shape null, but needs a list of sizes",
    ),
    "values that do not fit their shape": (
        plain({"outputs": [{"name": "X", "datatype": "FP32", "shape": [3], "data": [1]}]}), "server-answer",
        "output X has shape [3], but 1 values",
    ),
    "a data type that does not exist": (
        plain({"outputs": [{"name": "X", "datatype": "FP8", "shape": [1], "data": [1]}]}), "server-answer",
        'the protocol does not have the data type "FP8"',
    ),
}  # fmt: skip


@tabled(("said", "rule", "words"), NO_INFERENCES.values(), ids=NO_INFERENCES)
def test_what_is_no_inference_is_told(said: Said, rule: str, words: str) -> None:
    with speaking(lambda _: said) as server, pytest.raises(Stop) as stop:
        Client(Endpoint(server.url, 30)).infer(Request("m", "", ()))
    assert [d.rule for d in stop.value.diagnostics] == [rule]
    assert words in stop.value.diagnostics[0].message


def test_bf16_is_the_upper_half_of_a_float() -> None:
    """1.0 is 0x3F800000 and -2.5 is 0xC0200000 as a float32 of IEEE 754."""
    asked: list[bytes] = []

    def answer(request: Asked) -> Said:
        asked.append(request.body[int(request.head["inference-header-content-length"]) :])
        head = {"name": "X", "datatype": "BF16", "shape": [2], "parameters": {"binary_data_size": 4}}
        text = json.dumps({"outputs": [head]}).encode()
        return Said(text + b"\x20\xc0\x80\x3f", head={"Inference-Header-Content-Length": str(len(text))})

    with speaking(answer) as server:
        given = of_values("A", "BF16", [1, -2.5], [2])
        found = Client(Endpoint(server.url, 30)).infer(Request("m", "", (given,)))
    assert asked == [b"\x80\x3f\x20\xc0"]
    assert (found["X"].values.tolist(), found["X"].values.dtype.str) == ([-2.5, 1], "<f4")
