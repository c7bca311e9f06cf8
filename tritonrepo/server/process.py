"""Starting, watching and ending the real server on this machine.

The keeper (see `keeper`) ends the server and cleans up after it: here, everything that a start has set up is gone once
the leash is released, whatever the exception.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, failure
from tritonrepo.server import loading, logs, staging
from tritonrepo.server.client import Client, ModelState
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.following import Loading, Shown, Tail, still, stubs
from tritonrepo.server.launch import Launch, Mode, arguments, backends_path, copy_path, environment, log_path
from tritonrepo.server.leash import Leash
from tritonrepo.server.ports import HOST, Ports, choose, listens

GLANCE_S = 0.03
TOLD_S = 10
"""After how long a start is told to take its time, and again whenever that has doubled."""

Tell = Callable[[Diagnostic | str], None]
"""Receives lines of progress, and diagnostics from the server's log."""

TOLD_STUBS = 3
GRACE_S = 1
"""How long after its exit timeout a server may take to end before it is killed."""


class Server:
    """A running server; leaving its `with` block stops it."""

    def __init__(self, leash: Leash, pid: int, ports: Ports, launch: Launch) -> None:
        self._leash = leash
        self.pid = pid
        self.ports = ports
        self.launch = launch
        self.unavailable: tuple[Diagnostic, ...] = ()
        """Models that are not served: failed ones in poll and explicit mode, where they can still recover, and those
        whose backend this machine lacks."""
        self.left_out: Mapping[str, str] = {}
        """Models that cannot be served on this machine, each with the reason."""
        self.loading = Loading()
        self.hangs: logs.Hang | None = None
        """What the server waits for in vain, by what was read of its log."""
        self._tail = Tail(log_path(leash.home, launch.log))
        self._shown = Shown(self.place, str(launch.repository))

    @property
    def http(self) -> str:
        """The URL of the HTTP protocol."""
        return f"http://{HOST}:{self.ports.http}"

    @property
    def grpc(self) -> str:
        """The address of the gRPC protocol, as its clients need it: host and port."""
        return f"{HOST}:{self.ports.grpc}"

    @property
    def endpoint(self) -> Endpoint:
        """The server as its clients see it."""
        return Endpoint(self.http, grpc=self.grpc, metrics=self.metrics)

    @property
    def metrics(self) -> str:
        """The URL of the metrics."""
        return f"http://{HOST}:{self.ports.metrics}/metrics"

    @property
    def session(self) -> int:
        """The session id that the server shares with its stubs."""
        return self._leash.session

    @property
    def home(self) -> Path:
        """The temporary directory of this server: log, copy of the repository, backends."""
        return self._leash.home

    def alive(self) -> bool:
        """Return whether the server's process is running."""
        return self.exit_code() is None

    def exit_code(self) -> int | None:
        """Return the server's exit code, negative for a signal's number; None while it runs."""
        return self._leash.exit_code()

    def log(self) -> str:
        """Return the log so far, with the repository's paths as the user gave them."""
        text = ""
        with suppress(FileNotFoundError):
            text = log_path(self.home, self.launch.log).read_text(encoding="utf-8", errors="replace")
        return self.as_given(text)

    def log_tail(self, count: int = 40) -> str:
        """Return the log's last lines."""
        return "\n".join(self.log().splitlines()[-count:])

    def news(self) -> Iterator[Diagnostic | str]:
        """Yield what is new in the log and worth showing, or all of it if the whole log is shown."""
        lines = [self.as_given(line) for line in self._tail.read()]
        self.hangs = self.hangs or logs.hang("\n".join(lines))
        self.loading.heard(lines, time.monotonic())
        if self.launch.whole:
            yield from lines
        else:
            yield from self._shown.of("\n".join(lines))

    def place(self, model: str) -> Span:
        """Return where a user finds a model."""
        return self.launch.place(model)

    def as_given(self, text: str) -> str:
        """Return a text from the server with the private copy's path replaced by the path that the user knows."""
        return text.replace(str(copy_path(self.home)), str(self.launch.repository))

    def stop(self) -> None:
        """End the server and all it left behind, and wait for that; a second call does nothing."""
        self._leash.release()

    def restart(self, launch: Launch, tell: Tell) -> None:
        """End the server, and become one that is started in another way; raise Stop if that does not start."""
        self.stop()
        self.__dict__ |= vars(start(launch, tell))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(launch: Launch, tell: Tell = lambda _: None) -> Server:
    """Return the server once every model has loaded or failed; raise Stop if it does not start.

    A model that failed to load is a Stop only if models are loaded once; see `Server.unavailable`. One whose backend
    this machine lacks is a Stop only if no other model is served.
    """
    if launch.counted_memory:
        staging.check_memory()
    if not launch.remote:
        staging.check(Path(launch.repository), launch.links)
        if not launch.copied:
            staging.check_served(Path(launch.repository))
    try:
        return attempt(launch, tell)
    except Unlucky as unlucky:
        if unlucky.port and all(launch.ports):
            raise unlucky.stop from None
    try:
        return attempt(launch, tell)
    except Unlucky as unlucky:
        raise unlucky.stop from None


class Unlucky(Exception):  # noqa: N818  not an error: another try may do
    """The server exited by chance: another process took a port first, or the Python backend broke its own lock.

    The latter: server issues 5949 and 8882, open as of 25.02; seen in 24.10 while versions loaded on a busy machine.
    """

    def __init__(self, stop: Stop, *, port: bool) -> None:
        super().__init__()
        self.stop = stop
        self.port = port


def attempt(launch: Launch, tell: Tell = lambda _: None) -> Server:
    """Start the server once; if this raises, even KeyboardInterrupt, everything is cleaned up."""
    ports = choose(launch.ports)
    with ExitStack() as undo:
        leash = Leash()
        undo.callback(leash.release)
        if launch.copied:
            staging.copy(Path(launch.repository), copy_path(leash.home), launch.links)
            staging.replace(copy_path(leash.home), launch.replaced)
        staging.backends(launch.runtime, launch.backends, backends_path(leash.home))
        if launch.counted_memory:
            (leash.home / "regions").write_text(staging.COUNTED, "ascii")
        argv, env = arguments(launch, ports, leash.home), environment(launch, leash.home)
        grace_s, about = launch.exit_timeout_s + GRACE_S, str(launch.repository)
        pid = leash.start(
            argv, env, log=staging.emptied(log_path(leash.home, launch.log)), grace_s=grace_s, about=about
        )
        server = Server(leash, pid, ports, launch)
        await_up(server, tell)
        server.unavailable, server.left_out = decided(server)
        leash.ready()
        undo.pop_all()
        return server


def await_up(server: Server, tell: Tell = lambda _: None) -> None:
    """Wait until the server listens on all its ports; raise a failing Stop if it hangs, exits or takes too long."""
    began = time.monotonic()
    deadline, told_s = began + server.launch.deadline_s, TOLD_S
    while not listens(server.pid, server.ports):
        for each in mild(server):
            tell(each)
        if found := server.hangs:
            raise trouble(server, "server-hangs", found.message, found.hint, Span(found.path) if found.path else None)
        if time.monotonic() - began > told_s:
            told_s *= 2
            tell(server.loading.sentence(time.monotonic()))
        if (code := server.exit_code()) is not None:
            raise died(server, code)
        if time.monotonic() > deadline:
            raise late(server)
        time.sleep(GLANCE_S)
    if not Client(server.endpoint).live():
        message = "the server could not read its model repository"
        raise trouble(server, "server-repository", message, "Check the server's messages below.")


def mild(server: Server) -> Iterator[Diagnostic | str]:
    """Yield the news of a server that starts, without errors: those are told once it is known which models failed."""
    return (each for each in server.news() if isinstance(each, str) or each.severity is not Severity.ERROR)


def late(server: Server) -> Stop:
    """Return what to raise for a server that is not up at its deadline: what it still loads, and what the stubs do."""
    models = server.loading.waiting(time.monotonic())
    message = f"the server did not start within {server.launch.deadline_s:g} s{still(models)}"
    at = server.launch.place(*models) if len(models) == 1 else None
    hints = [str(stub) for stub in stubs(server.session) if stub.model in models]
    hint = "If a model needs longer to load, raise --timeout."
    if server.launch.remote and not models:
        hint = "Check that the bucket can be reached from this machine, and its credentials."
    return trouble(server, "server-deadline", message, "\n".join([*hints[:TOLD_STUBS], hint]), at)


def died(server: Server, code: int) -> Stop | Unlucky:
    """Return what to raise for a server that exited by itself."""
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    stop = trouble(server, "server-died", f"the server exited during startup with {how}", "")
    port = "already in use" in server.log()
    return Unlucky(stop, port=port) if port or "boost::interprocess::lock_exception" in server.log() else stop


def decided(server: Server) -> tuple[tuple[Diagnostic, ...], dict[str, str]]:
    """Return the models that are not served, and those of them that this machine cannot serve.

    Raise Stop with them if models are loaded once, and one of them failed or none is served.
    """
    launch = server.launch
    index = [state._replace(reason=server.as_given(state.reason)) for state in settled(server)]
    explicit, log = launch.mode is Mode.EXPLICIT and not launch.watched, server.log()
    within = str(launch.repository)
    found = tuple(
        replace(each, at=launch.place(each.at.path.removeprefix(f"{within}/")))
        for each in loading.unavailable(index, log, within, launch.lacking, explicit=explicit)
    )
    failed = any(each.severity is Severity.ERROR for each in found)
    if launch.mode is Mode.ONCE and (failed or (found and not any(state.state == "READY" for state in index))):
        kept = f"Check the server's log: `{staging.kept_log(server.home, server.launch.log)}`."
        last = found[-1]
        hint = "\n".join(filter(None, [last.hint, kept]))
        raise Stop([*found[:-1], replace(last, hint=hint)])
    return found, loading.left_out(index, log, launch.lacking)


def settled(server: Server) -> list[ModelState]:
    """Return the index once nothing is being loaded, or at the deadline as it is then.

    A polling server loads Python models again as soon as it has started: their `__pycache__` is new to it.
    """
    client = Client(server.endpoint)
    deadline = time.monotonic() + server.launch.deadline_s
    index = client.index()
    while any(state.state == "LOADING" for state in index) and time.monotonic() < deadline:
        time.sleep(GLANCE_S)
        index = client.index()
    return index


def trouble(server: Server, rule: str, message: str, hint: str, at: Span | None = None) -> Stop:
    """Return the failing Stop with the relevant lines of the log; the whole log is kept at the path in the hint."""
    kept = f"Check the server's log: `{staging.kept_log(server.home, server.launch.log)}`."
    lines = [hint, *logs.telling(server.log()), kept]
    return failure(rule, at or Span(str(server.launch.repository)), message, "\n".join(filter(None, lines)))
