"""A Triton of gRPC alone whose models do what a test says, and a gateway before it."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from typing import Any, NamedTuple

import grpc
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

from tests.test_ask import config
from tritonrepo.gateway.gate import GatewayOptions
from tritonrepo.gateway.serving import gateway
from tritonrepo.server.endpoint import Endpoint

Given = Mapping[str, list[Any]]
Outputs = Mapping[str, list[Any]]
Untyped = Any
"""What grpc and its messages are, which have no types, and JSON."""


@dataclass
class Asked:
    """A request that arrived at the scripted server."""

    model: str
    id: str
    inputs: Given
    metadata: Mapping[str, str]
    left: threading.Event = field(default_factory=threading.Event)


class Fail(Exception):  # noqa: N818  becomes a status
    """An error of a model: its status, and its words."""

    def __init__(self, status: str, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


Answer = Callable[[Asked], Iterable[Outputs]]


class Scripted(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # grpc has no types
    """A server whose models have configs, and answers."""

    def __init__(self, models: Mapping[str, tuple[Mapping[str, Any], Answer]]) -> None:
        self.models, self.asked, self.away = dict(models), list[Asked](), set[str]()
        self.ready, self.listed = True, 0

    def ServerReady(self, _: Untyped, __: Untyped) -> Untyped:  # noqa: N802
        return service_pb2.ServerReadyResponse(ready=self.ready)

    def ServerLive(self, _: Untyped, __: Untyped) -> Untyped:  # noqa: N802
        return service_pb2.ServerLiveResponse(live=True)

    def ModelReady(self, request: Untyped, _: Untyped) -> Untyped:  # noqa: N802
        return service_pb2.ModelReadyResponse(ready=request.name in self.models and request.name not in self.away)

    def RepositoryIndex(self, _: Untyped, __: Untyped) -> Untyped:  # noqa: N802
        self.listed += 1
        states = {name: "UNAVAILABLE" if name in self.away else "READY" for name in self.models}
        return service_pb2.RepositoryIndexResponse(
            models=[{"name": name, "version": "1", "state": state} for name, state in states.items()]
        )

    def ModelConfig(self, request: Untyped, context: Untyped) -> Untyped:  # noqa: N802
        if request.name not in self.models or request.name in self.away:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Request for unknown model: '{request.name}' is not found")
        told = self.models[request.name][0]
        tensors = {
            kind: [
                {**each, "data_type": number(each["data_type"])}
                if kind == "input"
                else {
                    "name": each["name"],
                    "dims": each["dims"],
                    "data_type": number(each["data_type"]),
                }
                for each in told[kind]
            ]
            for kind in ("input", "output")
        }
        policy = told.get("model_transaction_policy")
        made = model_config_pb2.ModelConfig(
            name=request.name,
            max_batch_size=told.get("max_batch_size", 0),
            model_transaction_policy=policy,
            **tensors,
        )
        return service_pb2.ModelConfigResponse(config=made)

    def ModelInfer(self, request: Untyped, context: Untyped) -> Untyped:  # noqa: N802
        try:
            (outputs,) = self._answers(request, context)
            return response(outputs)
        except Fail as error:
            context.abort(getattr(grpc.StatusCode, error.status), error.words)

    def ModelStreamInfer(self, requests: Untyped, context: Untyped) -> Iterator[Any]:  # noqa: N802
        request = next(iter(requests))
        try:
            for outputs in self._answers(request, context):
                yield service_pb2.ModelStreamInferResponse(infer_response=response(outputs))
        except Fail as error:
            if not error.status:  # as one that Triton refuses before it is run
                yield service_pb2.ModelStreamInferResponse(error_message=error.words)
                return
            context.abort(getattr(grpc.StatusCode, error.status), error.words)
        last = service_pb2.ModelInferResponse()
        last.parameters["triton_final_response"].bool_param = True
        yield service_pb2.ModelStreamInferResponse(infer_response=last)

    def _answers(self, request: Untyped, context: Untyped) -> Iterable[Outputs]:
        given = {
            each.name: values(each.datatype, content)
            for each, content in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        asked = Asked(request.model_name, request.id, given, dict(context.invocation_metadata()))
        context.add_callback(asked.left.set)
        self.asked.append(asked)
        if request.model_name not in self.models:
            raise Fail("", f"Request for unknown model: '{request.model_name}' is not found")
        return self.models[request.model_name][1](asked)


def number(kind: str) -> int:
    """Return the number of a data type; one that no Triton has yet is 99."""
    return 99 if kind == "TYPE_NEW" else int(model_config_pb2.DataType.Value(kind))


def values(datatype: str, content: bytes) -> list[Any]:
    if datatype == "BOOL":
        return [bool(each) for each in content]
    found, place = [], 0
    while place < len(content):
        (size,) = struct.unpack_from("<I", content, place)
        found.append(content[place + 4 : place + 4 + size].decode())
        place += 4 + size
    return found


def response(outputs: Outputs) -> Untyped:
    """Return a response; floats are FP32 with the shape of their nesting, integers UINT32, all else texts."""
    made = service_pb2.ModelInferResponse()
    for name, told in outputs.items():
        flat = [each for row in told for each in row] if told and isinstance(told[0], list) else told
        shape = [len(told), len(told[0])] if flat is not told else [len(told)]
        if told and isinstance(flat[0], float):
            kind, content = "FP32", struct.pack(f"<{len(flat)}f", *flat)
        elif told and isinstance(flat[0], int):
            kind, content = "UINT32", struct.pack(f"<{len(flat)}I", *flat)
        else:
            raw = [each if isinstance(each, bytes) else str(each).encode() for each in flat]
            kind, content = "BYTES", b"".join(struct.pack("<I", len(each)) + each for each in raw)
        made.outputs.add(name=name, datatype=kind, shape=shape)
        made.raw_output_contents.append(content)
    return made


@contextmanager
def serving(scripted: Scripted, port: int = 0) -> Iterator[int]:
    """Run a scripted server and yield its port."""
    server = grpc.server(ThreadPoolExecutor(32), options=[("grpc.so_reuseport", 0)])
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(scripted, server)
    bound = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield bound
    finally:
        server.stop(None).wait()


class Said(NamedTuple):
    """A response of the gateway."""

    status: int
    head: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Untyped:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str | None]:
        """The status, the message, and the field at fault."""
        told = self.json["error"]
        assert {*told} == {"message", "type", "param", "code"}
        return self.status, told["message"], told["param"]

    @property
    def events(self) -> list[Any]:
        """The events of a stream, the last of which is no JSON."""
        *texts, last, rest = self.body.decode().split("\n\n")
        assert (last, rest) == ("data: [DONE]", "")
        return [json.loads(text.removeprefix("data: ")) for text in texts]


class Front(NamedTuple):
    """A gateway, and the scripted server that it asks."""

    port: int
    triton: Scripted
    url: str

    def send(self, method: str, path: str, body: object = None, **head: str) -> Said:
        """Send a request; a name of a header has `_` for `-`."""
        with self.open(method, path, body, **head) as got:
            return Said(got.status, {name.lower(): value for name, value in got.getheaders()}, got.read())

    @contextmanager
    def open(self, method: str, path: str, body: object = None, **head: str) -> Iterator[HTTPResponse]:
        """Send a request and yield the response, whose connection is closed at the end."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        usual = {"host": f"127.0.0.1:{self.port}", "content-length": str(len(content))}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {**usual, **{name.replace("_", "-"): value for name, value in head.items()}}.items():
            connection.putheader(name, value)
        connection.endheaders(content)
        with closing(connection), connection.getresponse() as got:
            yield got

    def post(self, path: str, **body: object) -> Said:
        return self.send("POST", path, body)


@contextmanager
def fronted(scripted: Scripted, **options: Untyped) -> Iterator[Front]:
    """Run a scripted server with a gateway before it."""
    with (
        serving(scripted) as port,
        gateway(Endpoint("http://unused:1", grpc=f"127.0.0.1:{port}"), GatewayOptions(**options)) as opened,
    ):
        yield Front(int(opened.url.rpartition(":")[2]), scripted, opened.url)


RAG = config("query?,messages?,sampling_parameters?,BOOL stream?", "answer,sources")
PLAIN = config("query,BOOL stream?", "answer")
VLLM = config(
    "text_input,sampling_parameters?,BOOL stream?,BOOL return_finish_reason?,BOOL return_num_input_tokens?,"
    "BOOL return_num_output_tokens?",
    "text_output,finish_reason,UINT32 num_input_tokens,UINT32 num_output_tokens",
)
RAW = config("text_input", "text_output")
PROMPT = config("messages?,STRING[-1] passages,sampling_parameters?", "prompt,sampling_parameters")
EMBEDDER = config("text,input_type?", "FP32[3] embedding,UINT32 num_input_tokens", max_batch_size=2)
RERANKER = config(
    "query,STRING[-1] passages,STRING[-1] ids", "passages,ids,FP32 scores,UINT32 num_input_tokens", max_batch_size=4
)
SOURCES = [
    {"id": "a", "title": "First", "url": "https://example.com/a", "score": 0.75, "text": "one", "metadata": {"p": 1}},
    {"id": "b", "title": None, "url": None, "score": None, "text": "two"},
]
