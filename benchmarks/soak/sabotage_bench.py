"""A RAG on the real server to be sabotaged: both forms of a pipeline, a classifier with labels, and its smoke test."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from tests.conftest import EXAMPLE, MINILM
from tests.processes import killed
from tritonrepo.cli import run
from tritonrepo.diagnostics import Span
from tritonrepo.flows.serve import ServeOptions, serve
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server.launch import Mode
from tritonrepo.server.ports import Ports
from tritonrepo.server.process import Server
from tritonrepo.sources.cache import Cache, default_root
from tritonrepo.sources.resolve import resolve
from tritonrepo.spec.source import parse_source
from tritonrepo.sync.record import Record

PROMPT = """\
Context:
{% for passage in passages %}
[{{ loop.index }}] {{ passage }}

{% endfor %}
Question: {{ query }}
Answer briefly, and cite the numbers of the passages.
"""
TALK = """\
  talk:
    chain: [embedder, retriever, reranker, speaker]
    prompt: {file: prompt.j2, system: Answer from the given context., max_context_tokens: 1500}
"""
CLASSES = """\
name: "classes"
backend: "python"
version_policy { specific { versions: [ 1 ] } }
max_batch_size: 8
input { name: "embedding" data_type: TYPE_FP32 dims: [ 384 ] }
output { name: "topic" data_type: TYPE_FP32 dims: [ 3 ] label_filename: "labels.txt" }
instance_group { kind: KIND_CPU count: 1 }
"""
LABELS = "versions\nspeed\nconfigs\n"
CLASSIFIER = '''\
"""embedding [B,384] -> topic [B,3] FP32: how much of each of three topics there is in it."""

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def execute(self, requests):
        given = [pb_utils.get_input_tensor_by_name(request, "embedding").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("topic", rows[:, [0, 2, 1]].copy())]) for rows in given]
'''


class Asked(NamedTuple):
    """How `smoke` is called: the server's URL and gRPC address, what should be served, further options."""

    url: str
    grpc: str
    good: Path
    options: Sequence[str] = ()


class Found(NamedTuple):
    """The exit code, the document on stdout, and what is on stderr."""

    code: int
    document: Any
    err: str

    @property
    def failed(self) -> dict[tuple[str, str], str]:
        """Model and check of every failure, in the order of the messages, with the first message and its hint."""
        rules: dict[tuple[str, str], str] = {}
        for each in self.document["diagnostics"] if self.document else ():
            if each["severity"] in {"error", "fatal"}:
                key = each["model"], each["rule"].removeprefix("smoke-")
                rules.setdefault(key, f"{each['message']}\n{each['hint']}")
        return rules


class Bench:
    """The server, the repository that it reads, the good one, and the weights of the embedder."""

    def __init__(self, scratch: Path) -> None:
        self.good, self.place = scratch / "good", scratch / "served"
        self.stack = scratch / "stack"
        cache = Cache(default_root(os.environ))
        files = resolve(parse_source(MINILM), "x86_64", cache, None, Span("soak")).files
        self.weights = cache.directory("minilm", files)
        self.server: Server
        self.running = ExitStack()

    def build(self) -> None:
        """Write the stack, build it, and add the classifier."""
        shutil.copytree(EXAMPLE, self.stack)
        stack = self.stack / "tritonrepo.yaml"
        text = stack.read_text("utf-8")
        generator = re.findall(r"^  generator:\n(?:    .*\n)+", text, re.MULTILINE)[0]
        text = text.replace(generator, f"{generator}\n{generator.replace('generator:', 'speaker:', 1)}")
        stack.write_text(text.replace("ensembles:\n", f"ensembles:\n{TALK}"), "utf-8")
        (self.stack / "prompt.j2").write_text(PROMPT, "utf-8")
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
            code = run(["build", "-f", str(stack), "-o", str(self.good)])
        assert code == 0, said.getvalue()
        (self.good / "classes" / "1").mkdir(parents=True)
        (self.good / "classes" / "config.pbtxt").write_text(CLASSES, "utf-8")
        (self.good / "classes" / "labels.txt").write_text(LABELS, "utf-8")
        (self.good / "classes" / "1" / "model.py").write_text(CLASSIFIER, "utf-8")

    def start(self) -> None:
        """Start the server on a fresh copy of the good repository, and load everything."""
        self.running.close()
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.good, self.place, copy_function=os.link)
        self.server = self.running.enter_context(served(self.place, self.stack))
        for model in sorted(path.name for path in self.good.iterdir() if path.is_dir()):
            self.load(model)

    def version(self, model: str) -> Path:
        """Return the directory of the only version of a model; shared files are in directories with a leading zero."""
        (found,) = (path for path in (self.place / model).iterdir() if re.fullmatch(r"[1-9]\d*", path.name))
        return found

    def load(self, model: str, act: str = "load") -> None:
        """Load or unload a model; one that cannot be loaded stays as it is."""
        url = f"{self.server.http}/v2/repository/models/{model}/{act}"
        with urllib.request.urlopen(urllib.request.Request(url, b"{}"), timeout=120) as response:
            response.read()

    def restore(self, model: str) -> None:
        """Load a model as it was built."""
        shutil.rmtree(self.place / model)
        shutil.copytree(self.good / model, self.place / model, copy_function=os.link)
        self.load(model)

    def asked(self, *options: str) -> Asked:
        """Return how the server is tested."""
        named = [str(self.place) if option == "SERVED" else option for option in options]
        return Asked(self.server.http, self.server.grpc, self.good, named)


@contextmanager
def served(place: Path, base: Path) -> Iterator[Server]:
    """Run a server that loads models only on request; the echo of the prompt stands in for language models."""
    chosen = ServeOptions(Ports(0, 0, 0), None, "script", 120, Mode.EXPLICIT)
    with killed(serve(place, chosen, Workspace(os.environ), Record(), base)) as server:
        yield server


def smoke(asked: Asked) -> Found:
    """Test a server, and return what was found."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        code = run(["smoke", asked.url, str(asked.good), "--grpc", asked.grpc, "--format", "json", *asked.options])
    return Found(code, json.loads(out.getvalue() or "null"), err.getvalue())
