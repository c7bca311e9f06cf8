"""Clients that send requests to a pipeline without pause, and which responses they got when."""

from __future__ import annotations

import json
import threading
import time
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from itertools import groupby
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import urlsplit

PAUSE_S = 0.05
CLIENTS = 2
BODY = json.dumps({"inputs": [{"name": "ASK", "datatype": "BYTES", "shape": [1, 1], "data": ["?"]}]})


class Answer(NamedTuple):
    """When a request was sent and answered, what the models said, or what failed."""

    asked: float
    at: float
    tokens: frozenset[str]
    fault: str


class Load:
    """Clients that send requests until the `with` block is left."""

    def __init__(self, http: str, answers: list[Answer]) -> None:
        self.answers = answers
        self._place = urlsplit(http).netloc
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def _ask(self) -> None:
        connection = HTTPConnection(self._place, timeout=30)
        while not self._over.wait(PAUSE_S):
            asked = time.monotonic()
            tokens, fault = frozenset[str](), ""
            try:
                connection.request("POST", "/v2/models/pipeline/infer", BODY)
                answer = connection.getresponse()
                said = answer.read()
                if answer.status == HTTPStatus.OK:
                    tokens = frozenset(output["data"][0] for output in json.loads(said)["outputs"])
                else:
                    fault = f"{answer.status} {said.decode('utf-8', 'replace')[:200]}"
            except (OSError, HTTPException, ValueError, LookupError) as error:
                fault = repr(error)
                connection.close()
            self.answers.append(Answer(asked, time.monotonic(), tokens, fault))
        connection.close()

    def end(self) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()


def runs(answers: list[Answer]) -> list[tuple[float, str]]:
    """Return when the responses began to change, and to what."""
    found = []
    for said, some in groupby(sorted(answers, key=lambda one: one.at), key=lambda one: one.fault or sorted(one.tokens)):
        group = list(some)
        found.append((group[0].at, f"{len(group)} × {said}"))
    return found
