"""The rows of the served steps: the example's embedder beside ONNX Runtime in this process, and what joining costs.

The example is built for a CPU and served by the real Triton, whose ONNX models run in the stand-in of this project.
Texts are the questions and the passages of the example, shuffled: a third have about 75 tokens, the others about 15.
In this process, each client tokenizes and computes one text at a time, by one session that has as many threads as those
that are served have together: as many as there are cores, and none that spins.

What Triton itself takes is measured beside: its way to the same ONNX model, asked with tokens, and a pipeline that does
nothing but call a model that does nothing.
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np
import onnxruntime
from tokenizers import Tokenizer
from tritonclient.grpc import service_pb2

from benchmarks import empty
from benchmarks.asking import Asking, asked, at_once, repeated
from benchmarks.bench_rag import built
from benchmarks.pairs import Row, Side, paired, rate, tree
from benchmarks.questions import questions
from benchmarks.streams import EXAMPLE
from tritonrepo import api
from tritonrepo.cores import cores
from tritonrepo.server.client import Client
from tritonrepo.server.process import Server
from tritonrepo.server.statistics import Counted

CLIENTS = {1: 0.75, 8: 0.95, 32: 0.95}
"""Goals by clients: how many times as many requests as ONNX Runtime alone."""

COUNT, FEW = 256, 24
WARMUP = 8
"""Requests before the first round: the first ones load code and memory."""

ROUNDS = 5
ROWS, OVERHEAD_MS = 8, 1
"""Goals: texts that are computed together at 32 clients; what a pipeline adds to its steps."""

SEARCH = ("embedder", "retriever", "reranker")
ITSELF = "this is Triton, gRPC and the stand-in for the ONNX backend alone: the tokens are in the request."
HOP = (
    "a text goes through three processes, and waits for a turn in each. In turns at a load of 5: 10.9 ms in this "
    "process, 10.9 for the ONNX model asked with tokens, 13.5 through the step. 1.0 of the 2.6 ms are the step's own: "
    "tokens 0.35, response 0.17, tensors 0.15, groups 0.1. The others are Triton's call of a model by a model, which "
    "takes 0.5 ms between an empty step and an empty model."
)
BUSY = (
    "the calls of a batch follow each other, each by two threads that wait for each other. Client, Triton and step "
    "take 1.1 ms of a processor a text more at 32 clients and 1.6 at 8, where ONNX Runtime takes about 10. An instance "
    "per core, as in the rows below, computes calls at the same time. It is not the default: a client alone waits for "
    "one thread then, and Triton's ONNX backend has no parameter by which threads do not spin; two sessions in a "
    "process with two such threads each took 16.7 ms where one took 13.9. Two instances of the step were tried: "
    "batches of 6 in place of 15, and as much processor time. To tokenize the next batch meanwhile was not: tokens "
    "take 0.13 ms of a text."
)
GROUPED = (
    "texts of like length share a call, so a batch takes three or four. Fewer calls with more padding were tried: 6.5 "
    "texts a call took 5 % more processor time than 4.1."
)
LEAST = (
    "Triton takes it: a stream to a Python model, its calls and its first response go through three processes, without "
    "any work in them."
)
HOPS = (
    "what Triton takes of an empty pipeline is beside. At a load of 6, the pipeline's own code took 2.0 ms: requests "
    "with tensors of texts 0.9, four looks whether the client still waits 0.3, sources as JSON 0.3, a thread 0.25, "
    "its inputs and outputs 0.3. An empty pipeline with these looks took 0.02 to 0.17 ms longer."
)


def on_cpu(said: dict[str, Any]) -> None:
    """Let the ONNX models of the search run on the CPU, whatever the server has."""
    for name in ("embedder", "reranker"):
        said["models"][name]["instances"] = {"kind": "cpu"}


def on_each_core(said: dict[str, Any]) -> None:
    """Let the embedder's ONNX model have an instance per core; the stand-in shares the cores among them."""
    on_cpu(said)
    said["models"]["embedder"]["instances"]["count"] = cores()


def texts() -> list[str]:
    """Return texts of mixed lengths, always in the same order."""
    lines = (EXAMPLE / "docs" / "handbook.jsonl").read_text("utf-8").splitlines()
    found = [each.text for each in questions()] + [json.loads(line)["text"] for line in lines]
    random.Random(7).shuffle(found)
    return found


def read(models: Path) -> Callable[[str], Any]:
    """Return what tokenizes a text as the embedder of a repository does."""
    (step,) = (models / "embedder").glob("*/settings.json")
    settings = json.loads(step.read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(models / "embedder" / settings["tokenizer"]))
    tokenizer.no_padding()
    tokenizer.enable_truncation(settings["max_tokens"])
    encode: Callable[[str], Any] = tokenizer.encode
    return encode


def alone(models: Path) -> Callable[[str], object]:
    """Return what embeds one text in this process, with the graph and the tokenizer of a repository."""
    encode, options = read(models), onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    (graph,) = (models / "embedder_model").glob("*/model.onnx")
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

    def embed(text: str) -> object:
        found = encode(text)
        return session.run(None, {"input_ids": [found.ids], "attention_mask": [found.attention_mask]})

    return embed


def tokens(found: Any) -> bytes:  # noqa: ANN401  tokenizers does not export the type of what it returns
    """Return a request of the embedder's ONNX model with the tokens of a text."""
    request = service_pb2.ModelInferRequest(model_name="embedder_model")
    for name, values in ("input_ids", found.ids), ("attention_mask", found.attention_mask):
        request.inputs.add(name=name, datatype="INT64", shape=[1, len(values)])
        request.raw_input_contents.append(np.array(values, "<i8").tobytes())
    return bytes(request.SerializeToString())


def counted(server: Server) -> dict[str, Counted]:
    """Return what the server has counted for each model."""
    return {name: each for (name, _), each in Client(server.endpoint).statistics().items()}


def since(server: Server, before: Mapping[str, Counted], names: tuple[str, ...]) -> dict[str, Counted]:
    """Return what the server has counted for these models since an earlier look, when it has counted each of them.

    It counts a request after its response was sent.
    """
    while True:
        now = counted(server)
        found = {name: now[name].since(before[name]) for name in names}
        done = {name: each for name, each in found.items() if each and each.requests}
        if len(done) == len(names):
            return done


class Embedder:
    """The embedder of a served repository beside ONNX Runtime in this process."""

    def __init__(self, server: Server, models: Path, count: int, rounds: int) -> None:
        self.server, self.models, self.count, self.rounds = server, models, count, rounds
        self.said, self.embed, self.ask = texts(), alone(models), Asking(server.grpc).whole
        self.requests = [asked("embedder", "text", (1, 1), text) for text in self.said]
        at_once(self.ask, self.requests[:WARMUP], 1)
        at_once(self.embed, self.said[:WARMUP], 1)

    def beside(self, name: str, requests: list[bytes], clients: int, missed: str) -> Row:
        """Return the row of these requests, by so many clients at a time."""
        served = Side(
            "Triton and the clients",
            partial(at_once, self.ask, repeated(requests, self.count), clients),
            processes=partial(tree, self.server.pid),
        )
        process = Side("in-process", partial(at_once, self.embed, repeated(self.said, self.count), clients))
        figure = f"{name}, {clients} client{'s' if clients > 1 else ''}, {self.count} texts: requests/s / ONNX Runtime"
        ours, other = paired(self.rounds, served, process)
        return rate(f"{figure}, one text at a time", ours, other, CLIENTS[clients], missed)

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the embedder as it is by default."""
        encode = read(self.models)
        yield self.beside("the ONNX model itself", [tokens(encode(text)) for text in self.said], 1, ITSELF)
        yield self.beside("embedder", self.requests, 1, HOP)
        yield self.beside("embedder", self.requests, 8, BUSY)
        yield from self.many("embedder")

    def many(self, name: str) -> Iterator[Row]:
        """Yield the rows of many clients, with how many texts share a batch and a call."""
        before, clients = counted(self.server), max(CLIENTS)
        yield self.beside(name, self.requests, clients, BUSY)
        found = since(self.server, before, ("embedder", "embedder_model"))
        for model, what in ("embedder", "a batch"), ("embedder_model", "a call of the ONNX model"):
            mean = found[model].inferences / found[model].executions
            yield Row(f"{name}, {clients} clients: texts in {what}", mean, "", ROWS, at_least=True, missed=GROUPED)


def joined(server: Server, count: int) -> Iterator[Row]:
    """Yield what pipelines add to their steps, as one client sees it: its way to the server is a part of it.

    The pipeline in Python and the empty one are asked in turns.
    """
    clients, said = Asking(server.grpc), repeated([each.text for each in questions()], count)
    sampling = {"sampling_parameters": '{"max_tokens": 1}', "stream": "true"}
    searches = [asked("search", "query", (1,), text) for text in said]
    streams = [asked("rag", "query", (1,), text, **sampling) for text in said]
    nothing = [asked(empty.ASKS, "text", (1,), text) for text in said]
    for ask, requests in (clients.whole, searches), (clients.first, streams), (clients.first, nothing):
        at_once(ask, requests[:WARMUP], 1)
    of = f"the lower quartile of {count} requests"
    search = [beyond_ms(server, partial(clients.whole, each), SEARCH) for each in searches]
    yield Row(f"`search`, an ensemble, beyond its steps: {of}", quantiles(search)[0], "ms", OVERHEAD_MS)
    both = [
        (
            beyond_ms(server, partial(clients.first, stream), (*SEARCH, "generator_prompt")),
            beyond_ms(server, partial(clients.first, other), (empty.ANSWERS,), empty.CALLS),
        )
        for stream, other in zip(streams, nothing, strict=True)
    ]
    rag, least = (quantiles(each)[0] for each in zip(*both, strict=True))
    name = "`rag`, in Python, to its sources, beyond its steps"
    yield Row(f"{name}: {of}", rag, "ms", OVERHEAD_MS, missed=HOPS)
    yield Row(
        f"an empty pipeline of {empty.CALLS} calls, in turns with it: {of}", least, "ms", OVERHEAD_MS, missed=LEAST
    )
    yield Row(f"{name} and the empty pipeline", rag - least, "ms", OVERHEAD_MS, missed=HOPS)


def beyond_ms(server: Server, ask: Callable[[], int], steps: tuple[str, ...], calls: int = 1) -> float:
    """Return how much longer a request takes than so many calls of its steps, by the client and the server's counts."""
    before = counted(server)
    took = ask()
    found = since(server, before, steps)
    return took / 1e6 - calls * sum(found[name].mean_ms("success") or 0 for name in steps)


def rows(folder: Path, *, small: bool) -> Iterator[Row]:
    """Yield the rows of the served steps."""
    work, count, rounds = api.Workspace(os.environ), FEW if small else COUNT, 1 if small else ROUNDS
    options = api.ServeOptions(api.Ports(0, 0, 0), engine="script")
    models = built(folder / "one", work, on_cpu)
    empty.add(models)
    with api.serve(models, options, work) as server:
        yield from Embedder(server, models, count, rounds).rows()
        yield from joined(server, count)
    models = built(folder / "each", work, on_each_core)
    with api.serve(models, options, work) as server:
        embedder, name = Embedder(server, models, count, rounds), "embedder with an instance per core"
        yield embedder.beside(name, embedder.requests, 8, BUSY)
        yield from embedder.many(name)
