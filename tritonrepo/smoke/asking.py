"""Running cases, one after the other: each has its deadline, none hides another, a dead server ends all of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Stop, failure
from tritonrepo.server.client import Client
from tritonrepo.server.tensors import Request, Tensor, Tensors
from tritonrepo.server.unpacking import of_event
from tritonrepo.smoke.case import Answered, Case, Check, Flaw, Protocol, Reply, Result, found
from tritonrepo.smoke.connection import Connection
from tritonrepo.smoke.generated import tried, unknown
from tritonrepo.smoke.judge import described, differences
from tritonrepo.smoke.pace import Clock
from tritonrepo.smoke.repeating import repeated
from tritonrepo.smoke.served import Declared

if TYPE_CHECKING:
    from tritonrepo.smoke.recording import Recorder

BROKEN = {"server-unreachable", "server-answer", "server-late"}
"""What may mean that the whole server is gone, not only this response."""

DEAD = "is not healthy"
"""What the server says of a model whose process is gone, to any request (python_backend, src/python_be.cc)."""

SINGLE = "its responses to single requests are already wrong"

MORE = "If it needs more time, raise --timeout."
LATE = f"Check whether the model hangs. {MORE}"

MOST_LATE = 2
"""How many responses of a version may be late before no further ones are waited for."""


class Lost(NamedTuple):
    """Why nothing more is asked, as in "not tested, because …", and the next step."""

    why: str
    hint: str


@dataclass(slots=True)
class Standing:
    """What a run has learnt of the server, whichever thread learnt it.

    `wrong`: models and versions whose response to a single request was wrong; `late`: how often one was late; `fits`:
    the number of the made-up request that they accept.
    """

    lost: Lost | None = None
    wrong: set[tuple[str, str]] = field(default_factory=set)
    late: Counter[tuple[str, str]] = field(default_factory=Counter)
    fits: dict[tuple[str, str], int] = field(default_factory=dict)


class Asking:
    """A run of cases in order that remembers whether the server is still there.

    `batched`: the models whose first dimension is that of a batch.
    """

    def __init__(
        self,
        connection: Connection,
        outputs: Mapping[str, tuple[Declared, ...]],
        batched: Collection[str] = (),
        clock: Clock | None = None,
    ) -> None:
        self.connection, self.outputs, self.batched = connection, outputs, batched
        self.clock, self.standing = clock or Clock(), Standing()
        self.recorder: Recorder | None = None

    @contextmanager
    def apart(self) -> Iterator[Asking]:
        """Yield the same with a connection of its own, for another thread."""
        with self.connection.another() as connection:
            other = Asking(connection, self.outputs, self.batched, self.clock)
            other.standing, other.recorder = self.standing, self.recorder
            yield other

    def run(self, case: Case) -> Iterator[Result]:
        """Yield the results of a case as they arrive, and that of comparing protocols."""
        version = (case.request.model, case.request.version)
        if case.follows and version in self.standing.wrong:
            yield from self._unsent(case)
            return
        if case.before is not None:
            yield from self.run(case.before)
        came: dict[Protocol, Answered] = {}
        sent = case
        protocols = [p for p in case.protocols if p is Protocol.HTTP or self.connection.rpc is not None]
        if not protocols:
            yield _skipped(case)
        for protocol in protocols:
            if lost := self.barred(case.request):
                yield unasked(case, protocol, lost)
                self.standing.wrong.add(version)
                continue
            sent, answered = tried(case, protocol, self.answer, self.standing.fits)
            if (refused := unknown(sent, protocol, answered)) is not None:
                yield refused
                continue
            yield self.told(sent, protocol, answered)
            came[protocol] = answered
            if answered.wrong and not case.guess:
                self.standing.wrong.add(version)
        yield from self._together(sent, came)

    def _together(self, case: Case, came: Mapping[Protocol, Answered]) -> Iterator[Result]:
        """Record the responses over all protocols, and compare them."""
        if self.recorder is not None:
            self.recorder.single(case, came)
        replies = [answered.reply for answered in came.values() if not answered.wrong]
        if case.compared is not None and len(replies) == len(Protocol):
            yield _compared(case, replies)

    def _unsent(self, case: Case) -> Iterator[Result]:
        """Yield the result of a case that is not sent; nothing if nothing is, as the first case says."""
        if not self.barred(case.request):
            yield Result(case.request.model, case.request.version, case.check, case.what, unchecked=SINGLE)

    def barred(self, request: Request) -> Lost | None:
        """Return why a request is not sent: the server is gone, time is up, or its model has been late often enough."""
        if self.standing.lost is None and self.clock.over:
            self.standing.lost = Lost(self.clock.why, "Raise `--deadline`, or select models with `--only`.")
        late = self.standing.late[request.model, request.version]
        if self.standing.lost is None and late >= MOST_LATE:
            return Lost(f"{late} responses of this version were already late", LATE)
        return self.standing.lost

    def answer(self, case: Case, protocol: Protocol) -> Answered:
        """Send the request once, and judge the reply."""
        began = time.monotonic()
        responses: list[Tensors] = []
        flaws: list[Flaw] = []
        try:
            for response in self._responses(self.connection.within(self.clock.left()), case, protocol):
                responses.append(response)  # noqa: PERF402  what arrived before a flaw is kept
        except Stop as stop:
            flaws = [self._flaw(stop.diagnostics[0], case, len(responses))]
        ms = round((time.monotonic() - began) * 1000)
        reply = Reply(tuple(responses), flat=case.streamed and protocol is Protocol.HTTP, ms=ms)
        return Answered(reply, flaws or list(case.judge(reply)), ms)

    def told(self, case: Case, protocol: Protocol, answered: Answered) -> Result:
        """Return the result of a response; each flaw says what was sent, received, expected, and how to repeat it."""
        request, came = case.request, answered.reply.responses
        endpoint = self.connection.http.endpoint
        diagnostics = []
        for flaw in answered.flaws:
            sent = f"Sent over {protocol}: {described(request.inputs)}"
            back = f"Received: {described(came[-1].values()) if came else 'nothing'}"
            message = f"version {request.version}, {protocol}: {flaw.message}"
            expected = f"Expected: {flaw.expected}" if flaw.expected else ""
            types = [output.datatype for output in self.outputs.get(request.model, ())]
            again = repeated(endpoint, case, protocol, types)
            hint = "\n".join(filter(None, [flaw.hint, sent, back, expected, again]))
            severity = Severity.WARNING if flaw.minor else Severity.ERROR
            diagnostics.append(found(case.check, severity, case.at, Flaw(message, hint), request.model))
        what = (request.model, request.version, case.check, case.what, str(protocol), answered.ms)
        return Result(*what, tuple(diagnostics))

    def _flaw(self, diagnostic: Diagnostic, case: Case, count: int) -> Flaw:
        """Return the flaw of an incomplete reply, and remember it if the server itself is gone."""
        message = diagnostic.message
        if case.streamed:
            message = f"after {count} response{'' if count == 1 else 's'}: {message}"
        if diagnostic.rule == "server-denied":
            if not self.connection.lives():
                self.standing.lost = Lost("the server denies access", diagnostic.hint)
            return Flaw(message, diagnostic.hint)
        if self.clock.over:
            return Flaw(f"the response was not complete when {self.clock.why}", "Raise `--deadline`.")
        if diagnostic.rule in BROKEN and not self.connection.lives():
            name = f"{case.request.model} version {case.request.version}"
            hint = f"Restart the server. It stopped responding while {name} was tested ({case.check})."
            self.standing.lost = Lost("the server stopped responding", hint)
            return Flaw(f"the server stopped responding: {message}", "Check its log and restart it.")
        if diagnostic.rule == "server-late":
            return self._late(message, diagnostic.hint, case.request)
        return Flaw(message, refused=diagnostic.rule == "server-refused" and DEAD not in message)

    def _late(self, message: str, hint: str, request: Request) -> Flaw:
        self.standing.late[request.model, request.version] += 1
        rows = request.inputs[0].values.shape[:1] if request.inputs and request.model in self.batched else ()
        if rows and rows[0] > 1:
            return Flaw(f"{message}, for a batch of {rows[0]}", f"{LATE} Batches of one row may be faster.")
        return Flaw(message, f"{hint} {MORE}" if hint else LATE)

    def _responses(self, connection: Connection, case: Case, protocol: Protocol) -> Iterable[Tensors]:
        request = case.request
        if case.streamed and protocol is Protocol.HTTP:
            return self._events(connection, request)
        client = connection.http if protocol is Protocol.HTTP else connection.rpc
        assert client is not None  # noqa: S101  run uses only protocols that exist
        if case.streamed:
            assert not isinstance(client, Client)  # noqa: S101  its streams are read above
            return client.stream(request)
        if request.ends:
            return [client.infer(request)]
        return (client.infer(replace(request, begins=first, ends=not first)) for first in (True, False))

    def _events(self, connection: Connection, request: Request) -> Iterator[Tensors]:
        """Yield the responses of an HTTP stream, whose events keep neither types nor shapes."""
        outputs = self.outputs[request.model]
        body: dict[str, Any] = {tensor.name: _plain(tensor) for tensor in request.inputs}
        if request.sequence:
            body["parameters"] = request.parameters()
        for event in connection.http.stream(request.model, body, request.version):
            try:
                yield {o.name: of_event(o.name, o.datatype, event[o.name]) for o in outputs if o.name in event}
            except ValueError as error:
                raise failure("server-answer", connection.http.url, f"an event does not fit: {error}") from None


def unasked(case: Case, protocol: Protocol, lost: Lost) -> Result:
    """Return the result of a case that is not asked."""
    request = case.request
    flaw = Flaw(f"version {request.version}, {protocol}: not tested, because {lost.why}", lost.hint)
    diagnostic = found(case.check, Severity.ERROR, case.at, flaw, request.model)
    said = (request.model, request.version, case.check, case.what, str(protocol))
    return Result(*said, diagnostics=(diagnostic,), unasked=True)


def _plain(tensor: Tensor) -> Any:  # noqa: ANN401  JSON
    values = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in tensor.values.ravel().tolist()]
    return values[0] if len(values) == 1 else values


def _skipped(case: Case) -> Result:
    request = case.request
    message = f"version {request.version} was not tested, because its inputs can be sent only over gRPC"
    flaw = Flaw(message, "Remove `--grpc none`.")
    diagnostic = found(case.check, Severity.WARNING, case.at, flaw, request.model)
    return Result(request.model, request.version, case.check, case.what, diagnostics=(diagnostic,))


def _compared(case: Case, replies: list[Reply]) -> Result:
    assert case.compared is not None  # noqa: S101  the caller asks
    flaws = [Flaw(f"version {case.request.version}: {f.message}", f.hint) for f in differences(*replies)]
    diagnostics = tuple(found(Check.AGREEMENT, case.compared, case.at, flaw, case.request.model) for flaw in flaws)
    return Result(case.request.model, case.request.version, Check.AGREEMENT, case.what, diagnostics=diagnostics)
