"""What a smoke test sends and finds: cases, replies, flaws and results as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.server.tensors import Request, Tensors

SOURCES = "sources"
"""The output of a pipeline with the passages of its answer, which are no part of the answer."""


class Check(StrEnum):
    """What a result is about."""

    LOADED = "loaded"
    VERSIONS = "versions"
    CONFIG = "config"
    FILES = "files"
    ANSWER = "answer"
    REFERENCE = "reference"
    SEARCH = "search"
    RANKING = "ranking"
    PROMPT = "prompt"
    STREAM = "stream"
    AGREEMENT = "agreement"
    AT_ONCE = "at-once"
    DECLARED = "declared"
    BATCHING = "batching"
    HARDWARE = "hardware"
    FAILURES = "failures"


RULES = {
    Check.LOADED: "smoke-loaded",
    Check.VERSIONS: "smoke-versions",
    Check.CONFIG: "smoke-config",
    Check.FILES: "smoke-files",
    Check.ANSWER: "smoke-answer",
    Check.REFERENCE: "smoke-reference",
    Check.SEARCH: "smoke-search",
    Check.RANKING: "smoke-ranking",
    Check.PROMPT: "smoke-prompt",
    Check.STREAM: "smoke-stream",
    Check.AGREEMENT: "smoke-agreement",
    Check.AT_ONCE: "smoke-at-once",
    Check.DECLARED: "smoke-declared",
    Check.HARDWARE: "smoke-hardware",
    Check.FAILURES: "smoke-failures",
}
"""The name under which a failed check is reported; batching never fails, since requests may happen not to meet."""


class Protocol(StrEnum):
    """How requests are sent to a model."""

    GRPC = "grpc"
    HTTP = "http"


class Reply(NamedTuple):
    """What arrived: one response, or those of a stream up to its end, and when it ended, in milliseconds.

    HTTP's streams keep no shapes: `flat`.
    """

    responses: tuple[Tensors, ...]
    flat: bool = False
    ms: int = 0


class Flaw(NamedTuple):
    """What is wrong with a reply, in one line; the hint, and what was expected.

    `refused`: the model refused the request, so that its values may be what is wrong. `minor`: only a warning.
    """

    message: str
    hint: str = ""
    expected: str = ""
    refused: bool = False
    minor: bool = False


class Answered(NamedTuple):
    """The outcome of a request over one protocol: the reply, as far as it arrived, and what is wrong with it."""

    reply: Reply
    flaws: Sequence[Flaw]
    ms: int

    @property
    def wrong(self) -> bool:
        """Whether more than a warning was found."""
        return any(not flaw.minor for flaw in self.flaws)


Judge = Callable[[Reply], Iterable[Flaw]]


@dataclass(frozen=True, slots=True)
class Case:
    """One request to one version of a model, over one or more protocols, and the judge of the reply.

    `what` distinguishes cases of one check; `compared`: the severity if the protocols do not return the same.
    `others`: requests with other made-up values, which are sent in turn while the model refuses them. `guess`: nothing
    is wrong if it refuses them all. `follows`: not sent if another response of this version was wrong. `before` is run
    first: its judge keeps what this one needs.
    """

    check: Check
    request: Request
    judge: Judge
    at: Span
    what: str = ""
    protocols: tuple[Protocol, ...] = (Protocol.GRPC, Protocol.HTTP)
    streamed: bool = False
    compared: Severity | None = None
    others: tuple[Request, ...] = ()
    guess: bool = False
    follows: bool = False
    before: Case | None = None


@dataclass(frozen=True, slots=True)
class Crowd:
    """Requests to one version of a model that are sent all at once: each must get its own response.

    `batched`: the server joins such requests to batches, and some must have shared one for the check to mean anything.
    """

    cases: tuple[Case, ...]
    batched: bool


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    WARNING = "warning"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the report; `ms` is its duration in milliseconds. `unchecked` says why nothing was checked.

    `seen` is what was observed where that is worth telling although it passed. `calls` are the models that this one
    calls, also through others; `cause` is one of them that failed. `unasked`: whether an earlier fault kept it from
    being sent.
    """

    model: str
    version: str
    check: Check
    what: str = ""
    protocol: str = ""
    ms: int = field(default=0, compare=False)
    diagnostics: tuple[Diagnostic, ...] = ()
    unchecked: str = ""
    seen: str = ""
    calls: frozenset[str] = frozenset()
    cause: str = ""
    unasked: bool = False

    @property
    def outcome(self) -> Outcome:
        """The worst outcome that was found."""
        severities = {diagnostic.severity for diagnostic in self.diagnostics}
        if not severities - {Severity.INFO}:
            return Outcome.NOT_CHECKED if self.unchecked else Outcome.PASSED
        return Outcome.WARNING if severities <= {Severity.INFO, Severity.WARNING} else Outcome.FAILED


def found(check: Check, severity: Severity, at: Span, flaw: Flaw, model: str) -> Diagnostic:
    """Return the diagnostic of a flaw."""
    return Diagnostic(RULES[check], severity, at, flaw.message, flaw.hint, model=model)


def streams_over_http(request: Request) -> bool:
    """Return whether HTTP's generate_stream can carry a request: JSON lists of one dimension besides the batch."""
    return all(
        tensor.values.size == max(tensor.values.shape, default=1) and tensor.datatype not in {"FP16", "BF16"}
        for tensor in request.inputs
    )
