"""What a stack file says wrong although every key fits: names that lead nowhere, chains that do not join."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tritonrepo.diagnostics import Diagnostic, Stop, closest
from tritonrepo.releases import RELEASES, instead
from tritonrepo.spec.nesting import circle, flat
from tritonrepo.spec.part import Parts, wrong
from tritonrepo.spec.stack import Ensemble, Expectation, Stack
from tritonrepo.spec.wiring import possible, wired

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""Names become directories and keys: what Triton's S3 pattern takes (core, src/filesystem/implementations/s3.h)."""

EXPECTATIONS = ("not_empty", "contains", "first", "equals", "close")
"""What can be expected of an output; `within` only says how close."""

LONGEST_NAME = 255
"""Bytes of a name in a directory on Linux (limits.h, NAME_MAX)."""

RESERVED = "tritonrepo.json"
"""The record at the top of a built repository (sync.record), where a model of this name would have its directory."""


def check(stack: Stack) -> None:
    """Raise Stop with everything that cannot mean anything, in the order of the file."""
    found = [
        *_empty(stack),
        *_target(stack),
        *_names(stack),
        *_ensembles(stack),
        *_models(stack),
        *_smoke(stack),
    ]
    if found:
        raise Stop(sorted(found, key=lambda d: d.at))


def _empty(stack: Stack) -> Iterator[Diagnostic]:
    if not stack.name.strip():
        yield wrong(stack.places, "name", '"name" is empty', "It tells one stack from another in a bucket.")
    if not stack.models:
        yield wrong(stack.places, "models", "there is no model", "Declare one, such as an embedder.")
    if not stack.target.images:
        yield wrong(stack.target.places, "images", "there is no image", "Leave images out for the usual ones.")


def _target(stack: Stack) -> Iterator[Diagnostic]:
    target = stack.target
    release = RELEASES.get(target.release)
    if release is None:
        message = f'Triton release "{target.release}" is not known'
        yield wrong(target.places, "release", message, instead(target.release))
        return
    for image in target.images:
        if release.images and image not in release.images:
            yield wrong(
                target.places,
                "images",
                f'release {release.name} has no image "{image}"',
                closest(image, release.images),
            )


def _names(stack: Stack) -> Iterator[Diagnostic]:
    taken: dict[str, tuple[str, str]] = {}
    members = [(name, model.places, stack.part(name).endings) for name, model in stack.models.items()]
    for name, places, endings in [*members, *((name, e.places, ()) for name, e in stack.ensembles.items())]:
        if not NAME.fullmatch(name) or name == RESERVED:
            yield wrong(
                places,
                "",
                f'"{name}" cannot be a model\'s name',
                f"Use letters, digits, _, - and . only; a letter or digit first; not {RESERVED}.",
            )
        for full in (name, *(name + ending for ending in endings)):
            if len(full) > LONGEST_NAME:
                message = f'"{full[:20]}…" has {len(full)} characters; a directory\'s name has at most {LONGEST_NAME}'
                yield wrong(places, "", message)
            owner, other = taken.get(full.casefold(), ("", full))
            if owner:
                message = f'"{name}" needs the name "{full}", which "{owner}" has'
                hint = "" if other == full else f' Not every file system tells "{full}" from "{other}".'
                yield wrong(places, "", message, f"Rename one of them.{hint}")
            taken.setdefault(full.casefold(), (name, full))


def _models(stack: Stack) -> Iterator[Diagnostic]:
    for name, model in stack.models.items():
        yield from stack.part(name).check(name, model, stack)


def _ensembles(stack: Stack) -> Iterator[Diagnostic]:
    chains, known = flat(stack), {*stack.models, *stack.ensembles}
    joined = {name: chain for name, chain in chains.items() if all(member in stack.models for member in chain)}
    faults = {name: list(_chain(name, stack.ensembles[name], chain, stack)) for name, chain in joined.items()}
    for name, ensemble in stack.ensembles.items():
        for member in ensemble.chain:
            if member not in known:
                message = f'"{name}" chains "{member}", which is not a model or pipeline of this stack'
                yield wrong(ensemble.places, "chain", message, closest(member, sorted(known - {name})))
        if circle(stack, name):
            hint = "Remove the pipeline that leads back to it."
            yield wrong(ensemble.places, "chain", f'the chain of "{name}" leads back to "{name}"', hint)
        if not any(faults.get(member) for member in ensemble.chain):
            yield from faults.get(name, ())


def _chain(name: str, ensemble: Ensemble, chain: Sequence[str], stack: Stack) -> Iterator[Diagnostic]:
    members = [(member, stack.part(member)) for member in chain]
    joined = wired(members)
    if joined is None:
        got = " → ".join(part.role for _, part in members) or "nothing"
        hint = f"A chain is {', or '.join(possible(stack.parts))}."
        yield wrong(ensemble.places, "chain", f'"{name}" chains {got}', hint)
        return
    for member in joined.members:
        for message, hint in member.part.fed(member.name, stack.models[member.name], member.makers):
            yield wrong(ensemble.places, "chain", message, hint)
    yield from _answers(name, ensemble, [port.name for port in joined.outputs], stack.parts)
    roles = {part.role for _, part in members}
    for part in stack.parts.values():
        for key in part.pipeline_keys:
            if key in ensemble.places and part.role not in roles:
                yield wrong(ensemble.places, key, f'"{name}" has no {part.role}, so no {key}', f"Remove {key}.")


def _answers(name: str, ensemble: Ensemble, given: Sequence[str], parts: Parts) -> Iterator[Diagnostic]:
    """Yield the outputs that a pipeline names and does not have."""
    for output in dict.fromkeys(ensemble.outputs or ()):
        role = next((part.role for part in parts.values() if part.answers(output)), "model that gives it")
        if output not in given:
            has = f"{', '.join(given[:-1])} and {given[-1]}" if given[1:] else given[0]
            hint = f"Without a {role} the outputs are {has}."
            yield wrong(ensemble.places, "outputs", f'"{name}" has no {role}, so no {output}', hint)


def _smoke(stack: Stack) -> Iterator[Diagnostic]:
    """Yield what no case of smoke can mean: a model that is not built, an expectation of nothing, words that clash."""
    built = stack.built()
    for case in stack.smoke:
        if case.model not in {*built, *stack.ensembles}:
            hint = closest(case.model, [*built, *stack.ensembles])
            yield wrong(case.places, "model", f'"{case.model}" is not a model that this stack builds', hint)
        if not case.expect:
            yield wrong(case.places, "expect", "nothing is expected", "Write expect: {OUTPUT: {not_empty: true}}.")
        for output, expectation in case.expect.items():
            yield from _expectation(output, expectation)


def _expectation(output: str, expectation: Expectation) -> Iterator[Diagnostic]:
    words = {word for word in EXPECTATIONS if getattr(expectation, word) is not None}
    if not words:
        hint = f"Write one of {', '.join(EXPECTATIONS)}."
        yield wrong(expectation.places, "", f'nothing is expected of "{output}"', hint)
    if "within" in expectation.places and "close" not in words:
        yield wrong(expectation.places, "within", '"within" belongs to "close"', 'Add "close", or write "equals".')
    for word in ("close", "within"):
        value = getattr(expectation, word)
        numbers = value if isinstance(value, list) and word == "close" else [value]
        if value is not None and not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers):
            yield wrong(expectation.places, word, f'"{word}" of "{output}" is a number, not {value!r}')
