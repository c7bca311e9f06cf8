"""Sabotages of what is between a smoke test and its models: versions, files, processes, ports, certificates, tokens."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import NamedTuple

from benchmarks.soak.sabotage_bench import Asked, Bench, served
from tests.proxy import Forward, Reply, Request, proxy
from tests.sabotages import SHORT
from tests.test_smoke import edit
from tritonrepo.server.following import stubs
from tritonrepo.smoke.causes import ELSEWHERE

Act = Callable[[Bench], AbstractContextManager[Asked]]
"""Does it, gives how the server is then tested, and undoes it."""


class Wire(NamedTuple):
    """What is done, model and check of the failure, and the words that name the cause.

    A `check` that begins with `server-` is the name of a message: the test ends with exit status 2.
    """

    act: Act
    model: str
    check: str
    cause: str


@contextmanager
def newer(bench: Bench) -> Iterator[Asked]:
    """Expect version 2 of the search, of which the server has only the first."""
    good = bench.good.with_name("newer")
    shutil.copytree(bench.good, good, copy_function=os.link)
    (good / "retriever" / "1").rename(good / "retriever" / "2")
    edit(good / "retriever" / "config.pbtxt", (r"versions: \[ 1 \]", "versions: [ 2 ]"))
    calls = bench.version("rag").name
    edit(good / "rag" / calls / "calls.json", ('"retriever": 1', '"retriever": 2'))
    for caller in ("search", "talk"):
        edit(
            good / caller / "config.pbtxt", (r'"retriever"\n    model_version: 1', '"retriever"\n    model_version: 2')
        )
    yield bench.asked()._replace(good=good)
    shutil.rmtree(good)


@contextmanager
def refused(bench: Bench) -> Iterator[Asked]:
    """Let a search be refused, because its index is not there."""
    (bench.version("retriever") / "embeddings.npy").unlink()
    bench.load("retriever", "unload")
    with suppress(OSError):
        bench.load("retriever")
    yield bench.asked()
    bench.restore("retriever")
    for caller in ("search", "talk"):
        bench.load(caller)


@contextmanager
def labels(bench: Bench) -> Iterator[Asked]:
    """Serve the labels of another build."""
    edit(bench.place / "classes" / "labels.txt", ("versions\nspeed\n", "speed\nversions\n"))
    bench.load("classes")
    yield bench.asked("--repository", "SERVED")
    bench.restore("classes")


@contextmanager
def language_model(bench: Bench) -> Iterator[Asked]:
    """Serve another language model."""
    edit(bench.version("generator") / "model.json", ("SmolLM2-135M", "SmolLM2-360M"))
    bench.load("generator")
    yield bench.asked("--repository", "SERVED")
    bench.restore("generator")


def signalled(model: str, number: signal.Signals, count: int | None = None) -> Act:
    """Return the act of sending a signal to the processes of a Python model, or to so many of them."""

    @contextmanager
    def act(bench: Bench) -> Iterator[Asked]:
        pids = [stub.pid for stub in stubs(bench.server.session) if stub.model == model][:count]
        for pid in pids:
            os.kill(pid, number)
        yield bench.asked(*SHORT)
        for pid in pids if number == signal.SIGSTOP else ():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        bench.load(model, "unload")
        bench.restore(model)
        for caller in ("search", "talk"):
            bench.load(caller)

    return act


@contextmanager
def frozen(bench: Bench) -> Iterator[Asked]:
    """Stop the whole server."""
    os.kill(bench.server.pid, signal.SIGSTOP)
    yield bench.asked(*SHORT)
    os.kill(bench.server.pid, signal.SIGCONT)


@contextmanager
def dying(bench: Bench) -> Iterator[Asked]:
    """Let the server die of the third request to the search."""
    edit(
        bench.version("retriever") / "model.py",
        (
            r'( +)("""Answer all requests with one search;.*)',
            r"\1\2\n\1self.n = getattr(self, 'n', 0) + 1\n\1if self.n > 2: os.kill(os.getppid(), 9)",
        ),
    )
    bench.load("retriever")
    yield bench.asked(*SHORT)
    bench.start()


@contextmanager
def grpc_port(bench: Bench) -> Iterator[Asked]:
    """Name the gRPC port as the HTTP one."""
    yield bench.asked()._replace(url=f"http://{bench.server.grpc}")


@contextmanager
def closed_port(bench: Bench) -> Iterator[Asked]:
    """Name a port where nothing listens."""
    yield bench.asked()._replace(url="http://127.0.0.1:1")


@contextmanager
def tls(bench: Bench) -> Iterator[Asked]:
    """Name an HTTPS port that speaks no TLS."""
    yield bench.asked()._replace(url=bench.server.http.replace("http:", "https:"))


@contextmanager
def token(bench: Bench) -> Iterator[Asked]:
    """Stand before a gateway whose token has expired."""

    def tamper(_: Request, forward: Forward) -> Reply:
        del forward
        head = {"WWW-Authenticate": 'Bearer error="invalid_token", error_description="The access token expired"'}
        return Reply(401, head, b'{"message": "token expired"}')

    with proxy(bench.server.http, tamper) as url:
        yield bench.asked()._replace(url=url)


def another(copy: bool) -> Act:  # noqa: FBT001
    """Return the act of naming the gRPC port of another server: an older copy of the same, or one of other models."""

    @contextmanager
    def act(bench: Bench) -> Iterator[Asked]:
        place = bench.place.with_name("another")
        names = [path.name for path in bench.good.iterdir() if path.is_dir()]
        for name in names if copy else ["classes"]:
            shutil.copytree(bench.good / name, place / name, copy_function=os.link)
        with served(place, bench.stack) as server:
            bench_other = Bench.__new__(Bench)
            bench_other.server = server
            for name in sorted(names if copy else ["classes"]):
                bench_other.load(name)
            yield bench.asked()._replace(grpc=server.grpc)
        shutil.rmtree(place)

    return act


WIRES = {
    "an older version served": Wire(
        newer, "retriever", "versions", "the server serves version 1, but the repository selects version 2"
    ),
    "a version not loaded": Wire(refused, "retriever", "loaded", "embeddings.npy"),
    "label file swapped": Wire(labels, "classes", "files", "labels.txt differs"),
    "another language model": Wire(language_model, "generator", "files", "1/model.json"),
    "a killed stub": Wire(
        signalled("retriever", signal.SIGKILL), "retriever", "search", "Stub process 'retriever_0_0' is not healthy"
    ),
    "one of two stubs killed": Wire(
        signalled("embedder", signal.SIGKILL, 1), "embedder", "reference", "is not healthy"
    ),
    "a stub frozen": Wire(signalled("retriever", signal.SIGSTOP), "retriever", "search", "is not healthy"),
    "the server frozen": Wire(frozen, "", "server-late", "within 6 s"),
    "a wrong port: gRPC's": Wire(grpc_port, "", "server-unreachable", "the port speaks gRPC, not HTTP"),
    "a wrong port: nobody's": Wire(closed_port, "", "server-unreachable", "nothing listens on port 1"),
    "TLS mismatch": Wire(tls, "", "server-unreachable", "the port speaks HTTP without TLS"),
    "an expired token": Wire(token, "", "server-denied", "The access token expired"),
    "another server behind gRPC's URL": Wire(another(copy=False), "classes", "agreement", ELSEWHERE),
    "a copy of the server behind gRPC's URL": Wire(another(copy=True), "classes", "agreement", ELSEWHERE),
    "the server dies mid-run": Wire(dying, "retriever", "search", "the server stopped responding"),
}
