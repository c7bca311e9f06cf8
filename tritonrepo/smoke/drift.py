"""Drift: what the server serves, compared with the repository. What the core fills in does not count.

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
"""Top fields that the core, or a backend's auto-complete, fills in if the repository does not set them."""

TENSORS = {"input", "output"}

ADDING = {"vllm"}
"""Backends that add what a config lacks of their tensors (vllm_backend, src/model.py, auto_complete_config)."""

KINDS = {"KIND_AUTO"}
"""What a repository may say about an instance's kind that the server replaces with what it found."""

AGAIN = "Check that the server reads this repository. Reload the model, or restart the server."


def versions(expected: Mapping[str, Expected], served: Mapping[str, list[str]], missing: Span) -> Iterator[Result]:
    """Yield, for every model of the repository, whether exactly the versions that it selects are served.

    `served` is model → versions that are ready; a model that the repository lacks is a warning at `missing`.
    """
    for name, model in expected.items():
        ready = served.get(name)
        hint = AGAIN
        if model.fault:
            message = f"the config in the repository cannot be read: {model.fault}"
            hint = "Run `tritonrepo validate`."
        elif not ready:
            message = "the server does not serve this model, but the repository has it"
        elif sorted(ready, key=int) != sorted(model.versions, key=int):
            wanted = _versions(model.versions)
            message = f"the server serves {_versions(ready)}, but the repository selects {wanted}"
        else:
            yield Result(name, _listed(ready), Check.VERSIONS)
            continue
        diagnostic = found(Check.VERSIONS, Severity.ERROR, model.at, Flaw(f"{name}: {message}", hint), name)
        yield Result(name, _listed(ready or ()), Check.VERSIONS, diagnostics=(diagnostic,))
    for name in sorted(served.keys() - expected.keys()):
        hint = "Check whether it belongs to another stack."
        flaw = Flaw(f"the server serves {name}, which the repository does not have", hint)
        diagnostic = found(Check.VERSIONS, Severity.WARNING, missing, flaw, name)
        yield Result(name, _listed(served[name]), Check.VERSIONS, diagnostics=(diagnostic,))


def _listed(numbers: Sequence[str]) -> str:
    return ", ".join(sorted(numbers, key=int)) or "none"


def _versions(numbers: Sequence[str]) -> str:
    return f"version{'' if len(numbers) == 1 else 's'} {_listed(numbers)}" if numbers else "no version"


def config(expected: Expected, served: Served) -> Result:
    """Return whether the served config matches the repository's."""
    faults = [*_top(expected, served)]
    diagnostics = tuple(
        found(Check.CONFIG, Severity.ERROR, expected.places.get(field, expected.at), Flaw(message, AGAIN), served.name)
        for field, message in faults
    )
    return Result(served.name, served.version, Check.CONFIG, diagnostics=diagnostics)


def _top(expected: Expected, served: Served) -> Iterator[tuple[str, str]]:
    """Yield the top field and the message of every difference."""
    ours, theirs = expected.config, served.config
    for field in sorted(ours.keys() | theirs.keys()):
        if field == "version_policy":
            continue  # versions are compared separately
        if field in TENSORS and ours.get(field):
            yield from ((field, f"{served.name}: {message}") for message in _tensors(field, ours, theirs))
            continue
        for path, here, there in _differences(field, ours.get(field), theirs.get(field), filled=field in FILLED):
            if not _completed(path, here, there, ours):
                says = f"the repository says {_shown(here)}, but the server serves {_shown(there)}"
                yield field, f"{served.name}: {path}: {says}"


def _tensors(field: str, ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterator[str]:
    """Yield the message of every difference between inputs or outputs of one name; their order has no meaning."""
    here, there = ({str(tensor.get("name")): tensor for tensor in config.get(field, ())} for config in (ours, theirs))
    more = there.keys() - here.keys() if theirs.get("backend") not in ADDING else ()
    for name in sorted(more):
        yield f"the server serves the {field} {name}, which the repository does not have"
    for name, tensor in here.items():
        if name not in there:
            yield f"the repository has the {field} {name}, which the server does not serve"
            continue
        for path, mine, its in _differences(f"{field} {name}", tensor, there[name], filled=False):
            yield f"{path}: the repository says {_shown(mine)}, but the server serves {_shown(its)}"


def differences_of(recorded: Mapping[str, Any], served: Mapping[str, Any]) -> Iterator[str]:
    """Yield how the config of a model differs from that of the same version when a plan was recorded."""
    for field in sorted(recorded.keys() | served.keys()):
        for path, then, now in _differences(field, recorded.get(field), served.get(field), filled=False):
            yield f"{path}: {_shown(then)} when the plan was recorded, {_shown(now)} now"


def _differences(path: str, ours: Any, theirs: Any, *, filled: bool) -> Iterator[tuple[str, Any, Any]]:  # noqa: ANN401
    """Yield path, our value and theirs of every difference; `filled`: the server may set what we do not."""
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
        yield path, _counted(ours), _counted(theirs)


def _counted(value: object) -> object:
    """Return the number of messages, whose whole text is too long to see in what they differ; else the value."""
    messages = isinstance(value, list) and bool(value) and all(isinstance(each, Mapping) for each in value)
    return f"a list of {len(value)}" if messages and isinstance(value, list) else value


def _by_text(message: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a message or map with strings as keys, as in JSON."""
    return {str(key): value for key, value in message.items()}


def _same(ours: object, theirs: object) -> bool:
    """Compare values; a missing one is its type's default: empty, zero, false, or an enum's first name."""
    if _is_default(ours) and _is_default(theirs):
        return True
    if isinstance(ours, float) and isinstance(theirs, (int, float)):
        return abs(ours - theirs) <= 1e-6 * abs(ours)
    return str(ours) == str(theirs)


def _is_default(value: object) -> bool:
    return not value or (isinstance(value, str) and value in _first_names())


@cache
def _first_names() -> frozenset[str]:
    """Return the first name of every enum of a config: the value of one that is not set."""
    fields = (field for message in messages(None).values() for field in message.fields.values())
    return frozenset(field.enum.names[0] for field in fields if field.enum)


def _completed(path: str, ours: object, theirs: object, config: Mapping[str, Any]) -> bool:
    """Return whether a difference is what the core fills in, in a part that the repository sets."""
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
