"""Drift: what the server serves against what the repository names. Nothing that the core fills in counts.

The core's own additions were seen from Triton 24.10: every scalar's default, the names and kinds of instance groups,
`platform` and `runtime`, `default_model_filename`, a preferred batch size of max_batch_size.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from tritonrepo.diagnostics import Severity, Span
from tritonrepo.pbtxt.schema import messages
from tritonrepo.smoke.case import Check, Flaw, Result, found
from tritonrepo.smoke.expected import Expected
from tritonrepo.smoke.served import Served

FILLED = {
    "name", "platform", "backend", "runtime", "version_policy", "max_batch_size", "input", "output", "optimization",
    "instance_group", "default_model_filename", "dynamic_batching", "model_transaction_policy",
}  # fmt: skip
"""Top fields that the core, or a backend's auto-complete, writes where the repository says nothing of them."""

KINDS = {"KIND_AUTO"}
"""What a repository may say of an instance's kind that the server replaces by what it found."""

AGAIN = "Has the server loaded this repository? Load the model again, or restart it."


def versions(expected: Mapping[str, Expected], served: Mapping[str, list[str]], missing: Span) -> Iterator[Result]:
    """Give, for every model of the repository, whether exactly the versions that it names are served.

    `served` is model → versions that are ready; a model that the repository lacks is a warning at `missing`.
    """
    for name, model in expected.items():
        ready = served.get(name)
        hint = AGAIN
        if model.fault:
            message = f"its config cannot be read: {model.fault}"
            hint = "tritonrepo validate says more."
        elif not ready:
            message = "the server does not serve it; the repository has it"
        elif sorted(ready, key=int) != sorted(model.versions, key=int):
            message = f"the server serves {_listed(ready)}; the repository names {_listed(model.versions)}"
        else:
            yield Result(name, _listed(ready), Check.VERSIONS)
            continue
        diagnostic = found(Check.VERSIONS, Severity.ERROR, model.at, Flaw(f"{name}: {message}", hint), name)
        yield Result(name, _listed(ready or ()), Check.VERSIONS, diagnostics=(diagnostic,))
    for name in sorted(served.keys() - expected.keys()):
        flaw = Flaw(f"the server serves {name}, which the repository does not have", "Is it another stack's?")
        diagnostic = found(Check.VERSIONS, Severity.WARNING, missing, flaw, name)
        yield Result(name, _listed(served[name]), Check.VERSIONS, diagnostics=(diagnostic,))


def _listed(numbers: Sequence[str]) -> str:
    return ", ".join(sorted(numbers, key=int)) or "none"


def config(expected: Expected, served: Served) -> Result:
    """Return whether the config that is served says what the repository's says."""
    faults = [*_top(expected, served)]
    diagnostics = tuple(
        found(Check.CONFIG, Severity.ERROR, expected.places.get(field, expected.at), Flaw(message, AGAIN), served.name)
        for field, message in faults
    )
    return Result(served.name, served.version, Check.CONFIG, diagnostics=diagnostics)


def _top(expected: Expected, served: Served) -> Iterator[tuple[str, str]]:
    """Yield top field and message of every difference."""
    ours, theirs = expected.config, served.config
    for field in sorted(ours.keys() | theirs.keys()):
        if field == "version_policy":
            continue  # versions are compared by themselves
        for path, here, there in _differences(field, ours.get(field), theirs.get(field), filled=field in FILLED):
            if not _completed(path, here, there, ours):
                says = f"the repository says {_shown(here)}, the server serves {_shown(there)}"
                yield field, f"{served.name}: {path}: {says}"


def _differences(path: str, ours: Any, theirs: Any, *, filled: bool) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    """Yield path, our and their value of what differs; `filled`: what we do not say at all is the server's to say."""
    if filled and ours is None:
        return
    if isinstance(ours, Mapping) or isinstance(theirs, Mapping):
        ours, theirs = ours or {}, theirs or {}
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            ours, theirs = _by_text(ours), _by_text(theirs)
            for key in sorted({*ours, *theirs}):
                yield from _differences(f"{path}.{key}", ours.get(key), theirs.get(key), filled=False)
            return
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _differences(f"{path}[{number}]", one, other, filled=False)
    elif not _same(ours, theirs):
        yield path, ours, theirs


def _by_text(message: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a message or map with text for keys, as JSON has them."""
    return {str(key): value for key, value in message.items()}


def _same(ours: object, theirs: object) -> bool:
    """Compare values; what is not there is its type's default: empty, zero, false, or an enum's first name."""
    if _is_default(ours) and _is_default(theirs):
        return True
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        return abs(ours - theirs) <= 1e-6 * abs(ours)
    return str(ours) == str(theirs)


def _is_default(value: object) -> bool:
    return not value or (isinstance(value, str) and value in _first_names())


@cache
def _first_names() -> frozenset[str]:
    """Return the names that every enum of a config begins with: what one that is not set reads as."""
    fields = (field for message in messages(None).values() for field in message.fields.values())
    return frozenset(field.enum.names[0] for field in fields if field.enum)


def _completed(path: str, ours: object, theirs: object, config: Mapping[str, Any]) -> bool:
    """Tell whether a difference is what the core fills in, in a part that the repository does speak of."""
    if path.startswith("instance_group["):
        return _is_default(ours) or ours in KINDS
    if path in {"dynamic_batching.preferred_batch_size", "sequence_batching.oldest.preferred_batch_size"}:
        return _is_default(ours) and theirs == [config.get("max_batch_size")]
    if path.startswith("optimization."):
        return _is_default(ours)
    return path == "model_transaction_policy.decoupled" and "ensemble_scheduling" in config


def _shown(value: object) -> str:
    shown = "nothing" if value is None else str(value)
    return shown if len(shown) <= 80 else f"{shown[:80]}…"  # noqa: PLR2004  a line's worth
