"""Which models a running server could not load, and why: root causes first, then what only depends on them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from tritonrepo.diagnostics import Diagnostic, Severity, Span
from tritonrepo.server import logs
from tritonrepo.server.client import ModelState

DEPENDS = re.compile(r"ensemble '?[^' ]+'? depends on '([^']+)'")
"""core, src/model_repository_manager/model_repository_manager.cc: `… which has no loaded version`, `… is not valid`."""

NO_LIBRARY = re.compile(r"unable to find backend library for backend '([^']+)'")
"""core, src/backend_model.cc, ResolveBackendPaths."""

REASON_LINES = 12


def unavailable(
    index: Iterable[ModelState],
    log: str,
    repository: str,
    lacking: Collection[str] = (),
    *,
    explicit: bool = False,
) -> tuple[Diagnostic, ...]:
    """Return one error for each model that is not served because of its own fault, sorted by name.

    A model of a backend in `lacking` has none: it is a warning. In explicit mode, a model that nobody requested is not
    an error.
    """
    refused = faults([*index], logs.reasons(log), explicit=explicit)
    behind = _dependants(refused)
    return tuple(
        _left_out(Span(f"{repository}/{model}"), model, backend, behind[model])
        if (backend := _missing(reason, lacking))
        else Diagnostic(
            "server-model-unavailable",
            Severity.ERROR,
            Span(f"{repository}/{model}"),
            *words(model, reason, behind[model], repository),
            model=model,
        )
        for model, reason in sorted(refused.items())
        if model in behind
    )


def left_out(index: Iterable[ModelState], log: str, lacking: Collection[str]) -> dict[str, str]:
    """Return the models that are not served only because a backend in `lacking` is missing, each with the reason."""
    refused = faults([*index], logs.reasons(log), explicit=True)
    found: dict[str, str] = {}
    for model, behind in _dependants(refused).items():
        if backend := _missing(refused[model], lacking):
            found |= dict.fromkeys((model, *behind), f"this server has no {backend} backend")
    return found


def _missing(reason: str, lacking: Collection[str]) -> str:
    """Return the backend in `lacking` whose library the server did not find; "" if that is not the reason."""
    found = NO_LIBRARY.search(reason)
    return found[1] if found and found[1] in lacking else ""


def _left_out(at: Span, model: str, backend: str, behind: Sequence[str]) -> Diagnostic:
    """Return the warning about a model that another machine can serve."""
    message = f"{model} is not served here: this server has no {backend} backend"
    hint = f"Use a server whose image has the backend. {_because(behind)}".rstrip()
    return Diagnostic("server-backend-missing", Severity.WARNING, at, message, hint)


def _because(behind: Sequence[str]) -> str:
    return f"Not served because of it: {', '.join(behind)}." if behind else ""


def faults(index: Sequence[ModelState], reasons: Mapping[str, str], *, explicit: bool) -> dict[str, str]:
    """Return the reason for each model that has a failed version, or no version that serves."""
    serving = {model.name for model in index if model.state in {"READY", "LOADING"}}
    found = {}
    for model in index:
        if model.state == "UNAVAILABLE" and model.reason not in {"", "unloaded"}:
            found[model.name] = f"version {model.version}: {model.reason}"
    for name, reason in reasons.items():
        if name not in serving:
            found.setdefault(name, reason)
    for model in index:
        if model.name not in serving and not explicit:
            found.setdefault(model.name, "the server gives no reason")
    return found


def _dependants(refused: Mapping[str, str]) -> dict[str, list[str]]:
    """Return, for each model that failed by itself, those that are refused only because of it, nearest first."""
    blames = {
        model: found[1]
        for model, reason in refused.items()
        if (found := DEPENDS.search(reason)) and found[1] in refused
    }
    behind: dict[str, list[str]] = {model: [] for model in sorted(refused) if model not in blames}
    for root in behind:
        level = [root]
        while level:
            level = sorted(model for model, blamed in blames.items() if blamed in level)
            behind[root] += level
    return behind


def words(model: str, reason: str, behind: Sequence[str], within: str = "") -> tuple[str, str]:
    """Return message and hint: the reason's first line; the other lines, then what is refused because of it.

    Of a traceback, only the lines in files below `within` are kept.
    """
    version, colon, rest = reason.partition(": ") if reason.startswith("version ") else ("", "", reason)
    first, *more = [line.strip() for line in logs.KINDS.sub("", rest).splitlines() if line.strip()] or [
        "no reason is given"
    ]
    if first.endswith(":") and more:  # Python's own: the type, and the text on the lines below
        first, *more = [f"{first} {more[0]}", *more[1:]]
    name = f"{model} {version}" if colon else model
    also = [f"Fix this model first. {_because(behind)}"] if behind else []
    return f"the server did not load {name}: {first}", "\n".join([*logs.shortened(more, within)[:REASON_LINES], *also])
