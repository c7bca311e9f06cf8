"""Clients that send one request after another and record the responses, and the revisions that these identify."""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Mapping
from http.client import HTTPException
from itertools import cycle
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.conftest import EXAMPLE
from tritonrepo.cli import run

QUESTIONS = ("How do I roll a model back?", "How do I stop a half-uploaded version from being served?")
PAUSE_S = 1.0
"""Between a client's requests, so that servers and the push have processor time on a small machine."""
DOCUMENTS = 20
"""Of the example's 60, so that an index is made in a second."""

MARK = re.compile(r"(system|handbook)-revision-([0-9]+)")


class Revision(NamedTuple):
    """A build of the example whose prompt and passages carry its number; the embedder's graph changes with it."""

    number: int
    repository: Path


def revision(stack: Path, number: int, pooling: str) -> Revision:
    """Change embedder, documents and prompt of a copy of the example, and build it next to the other revisions."""
    text = (EXAMPLE / "tritonrepo.yaml").read_text("utf-8")
    text = text.replace("    batching:", f"    pooling: {pooling}\n    batching:", 1)
    text = lean(text)
    text = text.replace("system: You are", f"system: This is system-revision-{number}. You are")
    (stack / "tritonrepo.yaml").write_text(text, "utf-8")
    lines = (EXAMPLE / "docs" / "handbook.jsonl").read_text("utf-8").splitlines()[:DOCUMENTS]
    rows = [json.loads(line) for line in lines]
    marked = [row | {"text": f"{row['text']} handbook-revision-{number}"} for row in rows]
    (stack / "docs" / "handbook.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in marked), "utf-8")
    out = stack.parent / f"revision-{number}" / "model_repository"
    assert run(["index", "-f", str(stack)]) == 0
    assert run(["build", "-f", str(stack), "-o", str(out)]) == 0
    return Revision(number, out)


def lean(text: str) -> str:
    """Leave out the reranker: a request costs a fraction, and a server that looks asks for a third fewer files."""
    text = re.sub(r"^  reranker:\n(?:    .*\n)+\n", "", text, count=1, flags=re.MULTILINE)
    return text.replace("top_k: 8", "top_k: 2").replace("retriever, reranker", "retriever")


def first_stack(place: Path) -> Path:
    """Return a copy of the example that may be changed."""
    return shutil.copytree(EXAMPLE, place / "stack")


class Answer(NamedTuple):
    """A response: when, from which model, the revisions that it shows, its scores, and what failed."""

    at: float
    model: str
    revisions: frozenset[int]
    scores: tuple[float, ...]
    fault: str


def ask(http: str, model: str, query: str) -> Answer:
    """Query a pipeline and return its response, whatever it is."""
    body = {"query": query} | ({"sampling_parameters": '{"max_tokens": 900}'} if model == "rag" else {})
    at = time.monotonic()
    try:
        found = post(http, model, body)
    except (OSError, HTTPException, ValueError) as error:
        said = error.read().decode() if isinstance(error, urllib.error.HTTPError) else repr(error)
        return Answer(at, model, frozenset(), (), said)
    text = json.dumps(found)
    kinds = {kind for kind, _ in MARK.findall(text)}
    wanted = {"system", "handbook"} if model == "rag" else {"handbook"}
    fault = "" if kinds == wanted else f"shows {sorted(kinds)}: {text[:300]}"
    scores = tuple(round(float(score), 3) for score in found.get("scores", ()))
    return Answer(at, model, frozenset(int(number) for _, number in MARK.findall(text)), scores, fault)


def post(http: str, model: str, body: Mapping[str, object]) -> dict[str, Any]:
    request = urllib.request.Request(f"{http}/v2/models/{model}/generate", json.dumps(body).encode())
    with urllib.request.urlopen(request, timeout=60) as response:
        return dict(json.load(response))


class Load:
    """Queries `rag` and `search`, each with a separate client, and readiness, until it is left."""

    def __init__(self, http: str) -> None:
        self.http = http
        self.answers: list[Answer] = []
        self.readiness: Counter[int] = Counter()
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._watch)] + [
            threading.Thread(target=self._ask, args=(model,)) for model in ("rag", "search")
        ]

    def _ask(self, model: str) -> None:
        questions = cycle(QUESTIONS)
        while not self._over.wait(PAUSE_S):
            self.answers.append(ask(self.http, model, next(questions)))

    def _watch(self) -> None:
        while not self._over.wait(PAUSE_S):
            try:
                with urllib.request.urlopen(f"{self.http}/v2/health/ready", timeout=30) as response:
                    self.readiness[response.status] += 1
            except urllib.error.HTTPError as error:
                self.readiness[error.code] += 1

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def failed(self) -> list[Answer]:
        """Requests without a response, or with one that lacks what it must show."""
        return [answer for answer in self.answers if answer.fault]

    def mixed(self, scores: Mapping[int, set[tuple[float, ...]]]) -> list[Answer]:
        """Responses with marks of two revisions, or with scores that no revision has for its passages."""
        return [
            answer
            for answer in self.answers
            if not answer.fault
            and (len(answer.revisions) != 1 or (answer.scores and answer.scores not in scores[min(answer.revisions)]))
        ]

    def figures(self) -> str:
        """Return the counts as text."""
        by_model = Counter(f"{a.model} r{sorted(a.revisions)}" for a in self.answers if not a.fault)
        count = f"{len(self.answers)} requests, {len(self.failed)} failed"
        return f"{count}, {dict(by_model)}, readiness {dict(self.readiness)}"
