"""The rows of the served steps: the example's embedder beside ONNX Runtime in this process, and what joining costs.

The example is built for a CPU and served by the real Triton, whose ONNX models run in the stand-in of this project.
Texts are the questions and the passages of the example, shuffled: a third have about 75 tokens, the others about 15.
In this process, each client tokenizes and computes one text at a time, by one session that has the threads of the one
that is served: as many as there are cores, and none that spins.
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

import onnxruntime
from tokenizers import Tokenizer

from benchmarks.asking import Asking, asked, at_once, repeated
from benchmarks.bench_rag import built
from benchmarks.machine import cores
from benchmarks.pairs import Row, Side, paired, rate, tree
from benchmarks.questions import questions
from benchmarks.streams import EXAMPLE
from tritonrepo import api
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
BUSY = (
    "a text goes through three processes, Triton, the step and the stand-in for the ONNX backend, and its client takes "
    "a turn on the same cores: 2 to 4 ms of a processor beyond the 10 that ONNX Runtime takes. The model waits while "
    "the step tokenizes the next batch; a second instance of the step was tried, and halves the batches."
)
GROUPED = (
    "texts of like length share a call, so a batch takes two or three. Fewer calls with more padding were tried (128 "
    "tokens a call in place of 64): 7.9 texts a call, and 5 to 9 % more processor time."
)
HOPS = (
    "a pipeline in Python is a process between the server and its steps: each of its four calls, and each look whether "
    "the client still waits, goes through both, and each waits for a turn on the cores. At a load of 7, its own "
    "code took 1.8 ms of them: tensors of texts, sources as JSON, and these looks."
)


def on_cpu(said: dict[str, Any]) -> None:
    """Let the ONNX models of the search run on the CPU, whatever the server has."""
    for name in ("embedder", "reranker"):
        said["models"][name]["instances"] = {"kind": "cpu"}


def texts() -> list[str]:
    """Return texts of mixed lengths, always in the same order."""
    lines = (EXAMPLE / "docs" / "handbook.jsonl").read_text("utf-8").splitlines()
    found = [each.text for each in questions()] + [json.loads(line)["text"] for line in lines]
    random.Random(7).shuffle(found)
    return found


def alone(models: Path) -> Callable[[str], object]:
    """Return what embeds one text in this process, with the graph and the tokenizer of a repository."""
    (step,) = (models / "embedder").glob("*/settings.json")
    settings = json.loads(step.read_text("utf-8"))
    tokenizer = Tokenizer.from_file(str(models / "embedder" / settings["tokenizer"]))
    tokenizer.no_padding()
    tokenizer.enable_truncation(settings["max_tokens"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    (graph,) = (models / "embedder_model").glob("*/model.onnx")
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])

    def embed(text: str) -> object:
        read = tokenizer.encode(text)
        return session.run(None, {"input_ids": [read.ids], "attention_mask": [read.attention_mask]})

    return embed


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


def embedding(server: Server, models: Path, count: int, rounds: int) -> Iterator[Row]:
    """Yield the rows of the embedder."""
    said, embed, clients = texts(), alone(models), Asking(server.grpc)
    requests = [asked("embedder", "text", (1, 1), text) for text in said]
    at_once(clients.whole, requests[:WARMUP], 1)
    at_once(embed, said[:WARMUP], 1)
    for many, goal in CLIENTS.items():
        before = counted(server)
        served = Side(
            "Triton and the clients",
            partial(at_once, clients.whole, repeated(requests, count), many),
            processes=partial(tree, server.pid),
        )
        taken = paired(rounds, served, Side("in-process", partial(at_once, embed, repeated(said, count), many)))
        name = f"embedder, {many} client{'s' if many > 1 else ''}, {count} texts"
        yield rate(f"{name}: requests/s / ONNX Runtime, one text at a time", *taken, goal, BUSY)
        if many == max(CLIENTS):
            found = since(server, before, ("embedder", "embedder_model"))
            for model, what in ("embedder", "a batch"), ("embedder_model", "a call of the ONNX model"):
                mean = found[model].inferences / found[model].executions
                yield Row(f"{name}: texts in {what}", mean, "", ROWS, at_least=True, missed=GROUPED)


def joined(server: Server, count: int) -> Iterator[Row]:
    """Yield what pipelines add to their steps, as one client sees it: its way to the server is a part of it."""
    clients, said = Asking(server.grpc), repeated([each.text for each in questions()], count)
    sampling = {"sampling_parameters": '{"max_tokens": 1}', "stream": "true"}
    searches = [asked("search", "query", (1,), text) for text in said]
    streams = [asked("rag", "query", (1,), text, **sampling) for text in said]
    for name, ask, requests, steps in (
        ("`search`, an ensemble, beyond its steps", clients.whole, searches, SEARCH),
        ("`rag`, in Python, to its sources, beyond its steps", clients.first, streams, (*SEARCH, "generator_prompt")),
    ):
        at_once(ask, requests[:WARMUP], 1)
        added = [beyond_ms(server, partial(ask, request), steps) for request in requests]
        yield Row(
            f"{name}: the lower quartile of {count} requests", quantiles(added)[0], "ms", OVERHEAD_MS, missed=HOPS
        )


def beyond_ms(server: Server, ask: Callable[[], int], steps: tuple[str, ...]) -> float:
    """Return how much longer a request takes than its steps, by the client's clock and the server's counts."""
    before = counted(server)
    took = ask()
    found = since(server, before, steps)
    return took / 1e6 - sum(found[name].mean_ms("success") or 0 for name in steps)


def rows(folder: Path, *, small: bool) -> Iterator[Row]:
    """Yield the rows of the served steps."""
    work = api.Workspace(os.environ)
    models = built(folder, work, on_cpu)
    with api.serve(models, api.ServeOptions(api.Ports(0, 0, 0), engine="script"), work) as server:
        yield from embedding(server, models, FEW if small else COUNT, 1 if small else ROUNDS)
        yield from joined(server, FEW if small else COUNT)
