"""Running cases, one after the other: each has its deadline, none hides another, a dead server ends all of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tritonrepo.diagnostics import Diagnostic, Severity, Stop, failure
from tritonrepo.server.client import Client
from tritonrepo.server.rpc import Rpc
from tritonrepo.server.tensors import Request, Tensor, Tensors
from tritonrepo.server.unpacking import of_event
from tritonrepo.smoke.case import Answered, Case, Check, Flaw, Protocol, Reply, Result, found
from tritonrepo.smoke.generated import tried, unknown
from tritonrepo.smoke.judge import described, differences
from tritonrepo.smoke.repeating import repeated
from tritonrepo.smoke.served import Declared

BROKEN = {"server-unreachable", "server-answer", "server-late"}
"""What may mean that the whole server is gone, not only this response."""

DEAD = "is not healthy"
"""What the server says of a model whose process is gone, to any request (python_backend, src/python_be.cc)."""

SINGLE = "its responses to single requests are already wrong"

GLANCE_S = 5.0
"""How long a server that may be gone has to show that it is alive."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One server, over each protocol that is used."""

    http: Client
    rpc: Rpc | None

    def lives(self) -> bool:
        """Return whether the server responds at all."""
        try:
            timeout_s = min(GLANCE_S, self.http.endpoint.timeout_s)
            return Client(replace(self.http.endpoint, timeout_s=timeout_s, whole_s=None)).live()
        except Stop:
            return False


class Asking:
    """A run of cases in order that remembers whether the server is still there."""

    def __init__(self, connection: Connection, outputs: Mapping[str, tuple[Declared, ...]]) -> None:
        self.connection = connection
        self.outputs = outputs
        self.lost, self.why = "", "the server stopped responding"
        self.wrong: set[tuple[str, str]] = set()
        """Models and versions whose response to a single request was wrong."""
        self.fits: dict[tuple[str, str], int] = {}
        """Models and versions with the number of the made-up request that they accept."""

    def run(self, case: Case) -> Iterator[Result]:
        """Yield the results of a case as they arrive, and that of comparing protocols."""
        replies = {}
        protocols = [p for p in case.protocols if p is Protocol.HTTP or self.connection.rpc is not None]
        if not protocols:
            yield _skipped(case)
        elif case.follows and not self.lost and (case.request.model, case.request.version) in self.wrong:
            yield Result(case.request.model, case.request.version, case.check, case.what, unchecked=SINGLE)
            return
        for protocol in protocols:
            if self.lost:
                yield self.unasked(case, protocol)
                continue
            asked, answered = tried(case, protocol, self.answer, self.fits)
            yield unknown(asked, protocol, answered) or self.told(asked, protocol, answered)
            if not answered.flaws:
                replies[protocol] = answered.reply
            elif not case.guess:
                self.wrong.add((case.request.model, case.request.version))
        if case.compared is not None and len(replies) == len(Protocol):
            yield _compared(case, list(replies.values()))

    def answer(self, case: Case, protocol: Protocol) -> Answered:
        """Send the request once, and judge the reply."""
        began = time.monotonic()
        responses: list[Tensors] = []
        flaws: list[Flaw] = []
        try:
            for response in self._responses(case, protocol):
                responses.append(response)  # noqa: PERF402  what arrived before a flaw is kept
        except Stop as stop:
            flaws = [self._flaw(stop.diagnostics[0], case, len(responses))]
        ms = round((time.monotonic() - began) * 1000)
        reply = Reply(tuple(responses), flat=case.streamed and protocol is Protocol.HTTP)
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
            diagnostics.append(found(case.check, Severity.ERROR, case.at, Flaw(message, hint), request.model))
        what = (request.model, request.version, case.check, case.what, str(protocol), answered.ms)
        return Result(*what, tuple(diagnostics))

    def unasked(self, case: Case, protocol: Protocol) -> Result:
        """Return the result of a case for which the server is gone."""
        request = case.request
        message = f"version {request.version}, {protocol}: not tested, because {self.why}"
        flaw = Flaw(message, self.lost)
        diagnostic = found(case.check, Severity.ERROR, case.at, flaw, request.model)
        return Result(request.model, request.version, case.check, case.what, str(protocol), diagnostics=(diagnostic,))

    def _flaw(self, diagnostic: Diagnostic, case: Case, count: int) -> Flaw:
        """Return the flaw of an incomplete reply, and remember it if the server itself is gone."""
        message = diagnostic.message
        if case.streamed:
            message = f"after {count} response{'' if count == 1 else 's'}: {message}"
        if diagnostic.rule == "server-denied":
            if not self.connection.lives():
                self.lost, self.why = diagnostic.hint, "the server denies access"
            return Flaw(message, diagnostic.hint)
        if diagnostic.rule in BROKEN and not self.connection.lives():
            name = f"{case.request.model} version {case.request.version}"
            self.lost = f"Restart the server. It stopped responding while {name} was tested ({case.check})."
            return Flaw(f"the server stopped responding: {message}", "Check its log and restart it.")
        late = "Check whether the model hangs. If it needs more time, raise --timeout."
        refused = diagnostic.rule == "server-refused" and DEAD not in message
        return Flaw(message, late if diagnostic.rule == "server-late" else "", refused=refused)

    def _responses(self, case: Case, protocol: Protocol) -> Iterable[Tensors]:
        connection, request = self.connection, case.request
        if protocol is Protocol.HTTP:
            return self._events(request) if case.streamed else [connection.http.infer(request)]
        assert connection.rpc is not None  # noqa: S101  run uses only protocols that exist
        return connection.rpc.stream(request) if case.streamed else [connection.rpc.infer(request)]

    def _events(self, request: Request) -> Iterator[Tensors]:
        """Yield the responses of an HTTP stream, whose events keep neither types nor shapes."""
        outputs = self.outputs[request.model]
        body: dict[str, Any] = {tensor.name: _plain(tensor) for tensor in request.inputs}
        if request.sequence:
            body["parameters"] = {"sequence_id": request.sequence, "sequence_start": True, "sequence_end": True}
        for event in self.connection.http.stream(request.model, body, request.version):
            try:
                yield {o.name: of_event(o.name, o.datatype, event[o.name]) for o in outputs if o.name in event}
            except ValueError as error:
                raise failure("server-answer", self.connection.http.url, f"an event does not fit: {error}") from None


def streams_over_http(request: Request) -> bool:
    """Return whether HTTP's generate_stream can carry a request: JSON lists of one dimension besides the batch."""
    return all(
        tensor.values.size == max(tensor.values.shape, default=1) and tensor.datatype not in {"FP16", "BF16"}
        for tensor in request.inputs
    )


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
