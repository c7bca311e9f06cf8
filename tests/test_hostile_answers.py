"""What a hostile or broken server says about its outputs: a message in each case, and no more memory than its bytes."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.speaking import Said, plain, speaking
from tests.tabled import tabled
from tritonrepo.diagnostics import Span, Stop
from tritonrepo.server import rpc, unpacking
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.rpc import Rpc
from tritonrepo.server.tensors import Request, of_values
from tritonrepo.server.unpacking import of_event, of_messages, unpacked
from tritonrepo.smoke.served import of_config

TWO = np.array([1.5, -2], "<f4").tobytes()
WORDS = b"\2\0\0\0ab\0\0\0\0"


def said(name: object = "X", datatype: object = "FP32", shape: object = (2,), size: object = 8) -> dict[str, Any]:
    shape = [*shape] if isinstance(shape, tuple) else shape
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": size}}


LIES: dict[str, tuple[list[dict[str, Any]], bytes, str]] = {
    "fewer bytes than it says": ([said()], TWO[:-1], "output X has 8 bytes, but 7 are left"),
    "a negative size": ([said(size=-4)], TWO, "output X has -4 bytes, but 8 are left"),
    "a size that is true": ([said(size=True)], TWO, "output X has true bytes, but 8 are left"),
    "a size beyond any memory": ([said(size=1 << 80)], TWO, f"output X has {1 << 80} bytes, but 8 are left"),
    "bytes that nobody described": ([said()], TWO + b"xyz", "3 bytes follow the last output"),
    "a shape for fewer values": ([said(shape=(1,))], TWO, "output X is FP32 with shape [1], but has 8 bytes"),
    "a negative shape": ([said(shape=(-1,))], TWO, "output X has the shape [-1], but needs a list of sizes"),
    "two negative sizes": ([said(shape=(-2, -1))], TWO, "output X has the shape [-2, -1], but needs a list of sizes"),
    "a shape that overflows": (
        [said(shape=(1 << 62, 1 << 62, 2))], TWO,
        f"output X is FP32 with shape [{1 << 62}, {1 << 62}, 2], but has 8 bytes",
    ),
    "a shape that overflows to its size": ([said(shape=(1 << 63, 1 << 63))], b"", "output X has 8 bytes, but 0 are"),
    "an output twice": ([said(size=4, shape=(1,)), said(size=4, shape=(1,))], TWO, "output X occurs twice"),
    "half a number": ([said(datatype="INT64", shape=(1,), size=6)], TWO[:6], "is INT64 with shape [1], but has 6 b"),
    "a string that is cut off": ([said(datatype="BYTES", size=5)], WORDS[:5], "has a string that is cut off at byte 5"),
    "a length that is cut off": ([said(datatype="BYTES", size=8)], WORDS[:8], "has a string that is cut off at byte 8"),
    "a string longer than memory": (
        [said(datatype="BYTES", size=5)], b"\xff\xff\xff\xffa", "output X has a string that is cut off at byte 5",
    ),
    "more strings": ([said(datatype="BYTES", shape=(1,), size=10)], WORDS, "output X has shape [1], but 2 values"),
    "an unknown type": ([said(datatype="FP8")], TWO, 'the protocol does not have the data type "FP8"'),
    "half of a BF16": ([said(datatype="BF16", shape=(1,), size=1)], b"1", "is BF16 with shape [1], but has 1 bytes"),
}  # fmt: skip


@tabled(("outputs", "content", "message"), LIES.values(), ids=LIES)
def test_a_lie_about_sizes_is_told(outputs: list[dict[str, Any]], content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        unpacked({"outputs": outputs}, content)
    assert message in str(error.value)


def test_what_fits_is_read() -> None:
    outputs = [said(), said("W", "BYTES", (2, 1), 10), said("N", "INT8", (0, 5), 0), said("S", shape=(), size=4)]
    found = unpacked({"outputs": outputs}, TWO + WORDS + TWO[:4])
    assert {name: (t.values.shape, t.values.ravel().tolist()) for name, t in found.items()} == {
        "X": ((2,), [1.5, -2]),
        "W": ((2, 1), [b"ab", b""]),
        "N": ((0, 5), []),
        "S": ((), [1.5]),
    }


JSON: list[Any] = [
    None,
    True,
    -1,
    1.5,
    1e400,
    1 << 70,
    "",
    "\ud800",
    [],
    [[]],
    [None],
    ["a", 1],
    {},
    {"a": 1},
    [1, [2]],
]
"""A value of every type that JSON has, and some that surprise."""


def places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:  # noqa: ANN401  JSON
    yield path
    if isinstance(node, dict | list):
        for key in node if isinstance(node, dict) else range(len(node)):
            yield from places(node[key], (*path, key))


def damaged(node: object) -> Iterator[Any]:
    """Yield the value with each of `JSON` in each of its places."""
    for path in places(node):
        for value in JSON:
            whole: Any = {"": copy.deepcopy(node)}
            inner = whole
            *before, last = ("", *path)
            for key in before:
                inner = inner[key]
            inner[last] = value
            yield whole[""]


def refuses(read: Callable[[Any], object], good: object) -> set[bool]:
    """Return whether what is damaged is refused, for all damages; anything but a ValueError is raised."""
    found: set[bool] = set()
    for bad in damaged(good):
        try:
            read(bad)
        except ValueError as error:
            assert len(str(error)) < 300
            found |= {True}
        else:
            found |= {False}
    return found


def test_every_json_type_in_every_place_of_a_response_is_read_or_refused() -> None:
    both = [{"name": "Y", "datatype": "BYTES", "shape": [1, 1], "data": ["a"]}, said()]
    assert refuses(lambda head: unpacked(head, TWO), {"outputs": both}) == {True, False}


def test_every_json_type_in_every_place_of_a_config_is_read_or_refused() -> None:
    tensor = {"name": "X", "data_type": "TYPE_FP32", "dims": ["2"], "optional": False}
    config = {"name": "m", "max_batch_size": 4, "input": [tensor], "output": [tensor]}
    policy = {"model_transaction_policy": {"decoupled": True}, "sequence_batching": {}}

    def read(config: dict[str, Any]) -> None:
        served = of_config(config, "1", Span("x"))
        assert served.decoupled in {True, False}

    assert refuses(read, config | policy) == {True, False}


EVENTS: dict[str, tuple[str, object, bool]] = {
    "a number": ("FP32", 1.5, True),
    "a whole number for a float": ("FP32", [1, 2.5], True),
    "no number": ("FP32", "1.5", False),
    "true for a number": ("INT32", True, False),
    "a fraction for an integer": ("INT32", 1.5, False),
    "too large": ("INT8", [1 << 40], False),
    "nothing": ("FP32", None, False),
    "a text": ("BYTES", "ü", True),
    "half a character": ("BYTES", "\ud800", False),
    "a number for a text": ("BYTES", 1, False),
    "an object": ("BYTES", {"a": 1}, False),
    "a number for a truth value": ("BOOL", 1, False),
}


@tabled(("datatype", "value", "fits"), EVENTS.values(), ids=EVENTS)
def test_a_value_of_an_event_fits_its_type_or_is_refused(datatype: str, value: object, *, fits: bool) -> None:
    if fits:
        assert of_event("X", datatype, value).values.ndim == 1
    else:
        with pytest.raises(ValueError, match=f"output X is (not )?{datatype}"):
            of_event("X", datatype, value)


def test_deep_nesting_and_long_lists_are_read_without_recursion() -> None:
    deep: Any = 1
    for _ in range(5000):
        deep = [deep]
    assert of_event("X", "INT64", deep).values.tolist() == [1]


def messages(*shapes: list[int], datatype: str = "FP32") -> list[Any]:
    from tritonclient.grpc import service_pb2

    named = zip("XYZ", shapes, strict=False)
    return [*service_pb2.ModelInferResponse(
        outputs=[{"name": name, "datatype": datatype, "shape": shape} for name, shape in named]
    ).outputs]  # fmt: skip


RAW: dict[str, tuple[list[list[int]], list[bytes], str]] = {
    "too few contents": ([[2], [2]], [TWO], "it has 2 outputs, but the contents of 1"),
    "too many contents": ([[2]], [TWO, TWO], "it has 1 outputs, but the contents of 2"),
    "contents too short": ([[2]], [TWO[:7]], "output X is FP32 with shape [2], but has 7 bytes"),
    "a negative shape": ([[-2]], [TWO], "output X has the shape [-2], but needs a list of sizes"),
    "a shape beyond memory": ([[1 << 62, 4]], [TWO], "but has 8 bytes"),
    "no contents at all": ([[2]], [], "output X has shape [2], but 0 values"),
}


@tabled(("shapes", "contents", "message"), RAW.values(), ids=RAW)
def test_a_grpc_response_whose_contents_do_not_fit_is_told(
    shapes: list[list[int]], contents: list[bytes], message: str
) -> None:
    with pytest.raises(ValueError, match=r".") as error:
        of_messages(messages(*shapes), contents)
    assert message in str(error.value)


def test_contents_of_another_server_of_the_protocol_are_read() -> None:
    from tritonclient.grpc import service_pb2

    typed = service_pb2.ModelInferResponse(
        outputs=[{"name": "X", "datatype": "INT64", "shape": [2], "contents": {"int64_contents": [1, 2]}}]
    )
    assert of_messages(typed.outputs, typed.raw_output_contents)["X"].values.tolist() == [1, 2]


BIG = 1 << 10
BODIES: dict[str, tuple[Said, str]] = {
    "a length beyond memory": (Said(b"{}", head={"Content-Length": str(10 << 30)}), "is larger than 0 MiB"),
    "a body that is too large": (Said(b" " * (BIG + 1)), "is larger than 0 MiB"),
    "a body cut short": (Said(b"{}", head={"Content-Length": "900"}), "of the response: 898 bytes are missing"),
    "a header that is no number": (
        Said(b"{}", head={"Inference-Header-Content-Length": "x"}), "it must be an object with a list of outputs",
    ),
    "a header of 5,000 digits": (
        Said(b"{}", head={"Inference-Header-Content-Length": "9" * 5000}), "it must be an object with a list",
    ),
    "nested too deep": (Said(b"[" * 1000), "the response is not JSON: [[["),
    "no UTF-8": (Said(b'{"outputs": [{"name": "\xff"}]}'), "the response is not JSON: "),
    "a long error": (plain({"error": "x" * 900}, 500), "/v2/models/m/infer: xxx"),
}  # fmt: skip


@pytest.mark.parametrize(("said", "message"), BODIES.values(), ids=BODIES)
def test_a_body_that_is_no_inference_is_told(monkeypatch: pytest.MonkeyPatch, said: Said, message: str) -> None:
    monkeypatch.setattr("tritonrepo.server.client.LARGEST", BIG)
    monkeypatch.setattr(unpacking, "LONGEST", 100)
    with speaking(lambda _: said) as server, pytest.raises(Stop) as stop:
        Client(Endpoint(server.url, 30)).infer(Request("m", "", (of_values("X", "FP32", [1], [1]),)))
    (diagnostic,) = stop.value.diagnostics
    assert message in diagnostic.message
    assert len(diagnostic.message) < 400


STUCK = b"nothing more is sent"


@contextmanager
def replying(*messages: bytes) -> Iterator[Endpoint]:
    """Run a server that answers each gRPC request with these bytes: a single one with the first, a stream with all."""
    import grpc

    over = threading.Event()

    def stream(requests: Iterator[bytes], _: object) -> Iterator[bytes]:
        next(requests)
        for message in messages:
            if message is STUCK:
                over.wait()
            else:
                yield message

    handlers = {
        "ModelInfer": grpc.unary_unary_rpc_method_handler(lambda *_: messages[0]),
        "ModelStreamInfer": grpc.stream_stream_rpc_method_handler(stream),
    }
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield Endpoint("http://127.0.0.1", 30, 30, grpc=f"127.0.0.1:{port}")
    finally:
        over.set()
        server.stop(None).wait()


def message(size: int = 8, *, final: bool = False) -> bytes:
    """Return a response with an output of two numbers, whose contents have this size."""
    from tritonclient.grpc import service_pb2

    response = service_pb2.ModelInferResponse(
        outputs=[{"name": "XYZ", "datatype": "FP32", "shape": [2]}], raw_output_contents=[b"\0" * size]
    )
    if final:
        response.parameters["triton_final_response"].bool_param = True
    return bytes(response.SerializeToString())


def streamed(response: bytes) -> bytes:
    """Return the message of a stream with this response: field 2 of ModelStreamInferResponse."""
    return b"\x12" + bytes([len(response)]) + response


SENT: dict[str, tuple[bytes, str]] = {
    "contents too short": (message(7), "output XYZ is FP32 with shape [2], but has 7 bytes"),
    "no message": (b"\xff\xff\xff", "Exception deserializing response"),
    "a name that is no UTF-8": (message().replace(b"XYZ", b"X\xffZ"), "Exception deserializing response"),
    "too large": (message(99 << 10), "the response is larger than 256 MiB"),
}


@pytest.mark.parametrize(("sent", "words"), SENT.values(), ids=SENT)
def test_a_grpc_message_that_is_no_inference_is_told(monkeypatch: pytest.MonkeyPatch, sent: bytes, words: str) -> None:
    monkeypatch.setattr(rpc, "OPTIONS", [("grpc.max_receive_message_length", 64 << 10)])
    with replying(sent) as endpoint, Rpc(endpoint) as client, pytest.raises(Stop) as stop:
        client.infer(Request("m", "", ()))
    assert words in stop.value.diagnostics[0].message


def test_a_grpc_stream_is_judged_response_by_response(monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request("m", "", ())
    good, last, bad = (streamed(each) for each in (message(), message(final=True), message(7)))
    with replying(good, last, b"ignored") as endpoint, Rpc(endpoint) as client:
        assert [one["XYZ"].values.tolist() for one in client.stream(request)] == [[0, 0], [0, 0]]
    error = b"\x0a\x03bad"  # field 1 of ModelStreamInferResponse
    for messages, words in (
        ((good, bad), "but has 7 bytes"),
        ((good, error, last), "bad"),
        ((good, b"\xff\xff"), "Exception deserializing response"),
    ):
        came: list[object] = []
        with replying(*messages) as endpoint, Rpc(endpoint) as client, pytest.raises(Stop) as stop:
            came += client.stream(request)
        assert words in stop.value.diagnostics[0].message
    monkeypatch.setattr(rpc, "LARGEST", 40)
    with replying(good, good, last) as endpoint, Rpc(endpoint) as client, pytest.raises(Stop, match="is larger than"):
        list(client.stream(request))


def test_a_grpc_stream_without_its_final_flag_ends_and_names_the_cause() -> None:
    for messages, words in (
        ([STUCK], "the stream's final flag did not arrive within 0.2 s"),
        ([], "the server ended the stream without its final flag"),
    ):
        with replying(streamed(message()), *messages) as endpoint:
            within = replace(endpoint, whole_s=0.2 if messages else 30)
            with Rpc(within) as client, pytest.raises(Stop) as stop:
                list(client.stream(Request("m", "", ())))
        ((said, hint),) = [(d.message, d.hint) for d in stop.value.diagnostics]
        assert said == words
        assert hint.startswith("Check that the model sends TRITONSERVER_RESPONSE_COMPLETE_FINAL after its last")


def test_a_stream_is_read_up_to_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tritonrepo.server.client.LARGEST", BIG)
    event = b"data: " + json.dumps({"X": "y" * 100}).encode() + b"\n\n"
    with speaking(lambda _: Said(event * 20)) as server, pytest.raises(Stop, match="is larger than 0 MiB"):
        list(Client(Endpoint(server.url, 30)).stream("m", {}))
