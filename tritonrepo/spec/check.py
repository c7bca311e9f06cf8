"""Checks of a stack file whose keys all fit: unknown names, chains that cannot be joined."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tritonrepo.diagnostics import Diagnostic, Fix, Span, Stop, either
from tritonrepo.llm.gpus import gpu, gpus
from tritonrepo.releases import RELEASES, instead, is_own
from tritonrepo.spec import expectation, forms, steps
from tritonrepo.spec.mending import rewritten
from tritonrepo.spec.nesting import circle, flat
from tritonrepo.spec.part import Parts, misspelt, wrong
from tritonrepo.spec.stack import LONGEST_NAME, RESERVED, Ensemble, Stack
from tritonrepo.spec.wiring import Chain, possible, wired

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""Names become directories and object keys: Triton's S3 pattern (core, src/filesystem/implementations/s3.h)."""


def check(stack: Stack) -> None:
    """Raise Stop with every fault, in the order of the file."""
    found = [
        *_empty(stack),
        *_target(stack),
        *_gpu(stack),
        *_names(stack),
        *_ensembles(stack),
        *_models(stack),
        *_smoke(stack),
    ]
    if found:
        raise Stop(sorted(found, key=lambda d: d.at))


def _empty(stack: Stack) -> Iterator[Diagnostic]:
    if not stack.name.strip():
        yield wrong(
            stack.places, "name", '"name" is empty', "Set name to a name that identifies this stack in a bucket."
        )
    if not stack.models:
        yield wrong(stack.places, "models", '"models" is empty', "Add a model, such as an embedder.")
    if not stack.target.images:
        yield wrong(stack.target.places, "images", '"images" is empty', "Remove images to use the default ones.")


def _target(stack: Stack) -> Iterator[Diagnostic]:
    target = stack.target
    release = RELEASES.get(target.release)
    if release is None:
        message = f'unknown Triton release "{target.release}"'
        fix = _released(target.places.get("release"), target.release)
        yield wrong(target.places, "release", message, instead(target.release), fix)
        return
    for place, image in enumerate(target.images):
        if release.images and image not in release.images and not is_own(image):
            message = f'Triton {release.name} has no image "{image}"'
            yield misspelt(target.places, f"images.{place}", message, image, list(release.images))


def _released(at: Span | None, text: str) -> Fix | None:
    """Return the fix for a release that lacks the zero of its month."""
    year, _, month = text.partition(".")
    name = f"{year}.0{month}"
    return rewritten(at, text, name, safe=True) if name in RELEASES and f'"{name}"' in instead(text) else None


def _gpu(stack: Stack) -> Iterator[Diagnostic]:
    named = stack.target.gpu
    if named is not None and gpu(named) is None:
        message, places = f'unknown GPU "{named}"', stack.target.places
        if named.isdecimal():
            yield wrong(places, "gpu", message, "Set gpus to the number of GPUs.")
        else:
            yield misspelt(places, "gpu", message, named, list(gpus()))


def _names(stack: Stack) -> Iterator[Diagnostic]:
    taken: dict[str, tuple[str, str]] = {}
    members = [(name, f"models.{name}", stack.part(name).endings) for name in stack.models]
    for name, place, endings in [*members, *((name, f"ensembles.{name}", ()) for name in stack.ensembles)]:
        if not NAME.fullmatch(name) or name == RESERVED:
            yield wrong(
                stack.places,
                place,
                f'"{name}" cannot be the name of a model',
                f"Use only letters, digits, _, - and ., beginning with a letter or digit; {RESERVED} is reserved.",
            )
        for full in (name, *(name + ending for ending in endings)):
            if len(full) > LONGEST_NAME:
                message = (
                    f'"{full[:20]}…" has {len(full)} characters, but a directory name can have at most {LONGEST_NAME}'
                )
                yield wrong(stack.places, place, message, "Choose a shorter name.")
            owner, other = taken.get(full.casefold(), ("", full))
            if owner:
                message = f'"{name}" needs the name "{full}", which "{owner}" already uses'
                hint = "" if other == full else f' Some file systems treat "{full}" and "{other}" as the same name.'
                yield wrong(stack.places, place, message, f"Rename one of them.{hint}")
            taken.setdefault(full.casefold(), (name, full))


def _models(stack: Stack) -> Iterator[Diagnostic]:
    for name, model in stack.models.items():
        yield from stack.part(name).check(name, model, stack)


def _ensembles(stack: Stack) -> Iterator[Diagnostic]:
    chains, known = flat(stack), {*stack.models, *stack.ensembles}
    joined = {name: chain for name, chain in chains.items() if all(member in stack.models for member in chain)}
    faults = {name: list(_pipeline(name, stack.ensembles[name], chain, stack)) for name, chain in joined.items()}
    for name, ensemble in stack.ensembles.items():
        for place, member in enumerate(ensemble.chain):
            if member not in known:
                message = f'"{name}" chains "{member}", which is not a model or pipeline of this stack'
                yield misspelt(ensemble.places, f"chain.{place}", message, member, sorted(known - {name}))
            elif member in stack.ensembles and stack.ensembles[member].steps:
                message = f'"{name}" chains "{member}", which is wired by hand'
                yield wrong(ensemble.places, f"chain.{place}", message, f'Wire "{name}" by hand too, with steps.')
        if circle(stack, name):
            hint = f'Remove the pipeline that leads back to "{name}".'
            yield wrong(ensemble.places, "chain", f'the chain of "{name}" leads back to "{name}"', hint)
        if not any(faults.get(member) for member in ensemble.chain):
            yield from faults.get(name, ())


def _pipeline(name: str, ensemble: Ensemble, models: Sequence[str], stack: Stack) -> Iterator[Diagnostic]:
    chain = [] if ensemble.steps else [(model, stack.part(model)) for model in models]
    yield from forms.faults(name, ensemble, chain, stack.parts)
    yield from steps.faults(name, ensemble, stack) if ensemble.steps else _chain(name, ensemble, chain, stack)
    roles = {stack.part(model).role for model in models}
    for part in stack.parts.values():
        for key in part.pipeline_keys:
            if key in ensemble.places and part.role not in roles:
                message = f'ensemble "{name}" has a {key} but no {part.role}'
                hint = f"Remove {key}, or add a {part.role} to the chain."
                yield wrong(ensemble.places, key, message, hint)


def _chain(name: str, ensemble: Ensemble, members: Chain, stack: Stack) -> Iterator[Diagnostic]:
    if any(part.free for _, part in members):  # joined once their tensors are known: generate.ensemble
        return
    joined = wired(members)
    if joined.gaps:
        got = " → ".join(part.role for _, part in members)
        message = f'the chain of "{name}" cannot be joined: {got}' if got else f'the chain of "{name}" is empty'
        if "chain" not in ensemble.places:
            message = f'ensemble "{name}" sets neither chain nor steps'
        hint = f"Use a chain such as {either(possible(stack.parts))}."
        yield wrong(ensemble.places, "chain", message, hint if "chain" in ensemble.places else f"Add chain. {hint}")
        return
    for member in joined.members:
        model = stack.models[member.name]
        for message, hint in member.part.fed(member.name, model, member.makers):
            if not any(member.part.check(member.name, model, stack)):  # which is why it does not fit
                yield wrong(ensemble.places, "chain", message, hint)
    odd = any(forms.faults(name, ensemble, members, stack.parts))
    if not odd and forms.form(ensemble, members) == forms.ENSEMBLE:
        yield from _answers(name, ensemble, [port.name for port in joined.outputs], stack.parts)


def _answers(name: str, ensemble: Ensemble, given: Sequence[str], parts: Parts) -> Iterator[Diagnostic]:
    """Yield the outputs that a pipeline lists but does not have."""
    for output, place in {output: place for place, output in reversed([*enumerate(ensemble.outputs or ())])}.items():
        streamed = output == forms.SOURCES.name
        gives = (part.role for part in parts.values() if part.answers(output) or (streamed and part.streams))
        role = next(gives, "model that returns it")
        if output not in given:
            has = f"{', '.join(given[:-1])} and {given[-1]}" if given[1:] else given[0]
            message = f'ensemble "{name}" lists the output "{output}" but has no {role}'
            hint = f"Remove outputs, or add a {role} to the chain. The outputs of this chain are {has}."
            yield wrong(ensemble.places, f"outputs.{place}", message, hint)


def _smoke(stack: Stack) -> Iterator[Diagnostic]:
    """Yield the faults of smoke cases: a model that is not built, an empty expectation, keys that conflict."""
    built = stack.built()
    for case in stack.smoke:
        if case.model not in {*built, *stack.ensembles}:
            message = f'"{case.model}" is not a model that this stack builds'
            yield misspelt(case.places, "model", message, case.model, [*built, *stack.ensembles])
        if not case.expect:
            yield wrong(
                case.places,
                "expect",
                '"expect" is empty',
                "Add an output and what it must be, such as `{OUTPUT: {not_empty: true}}`.",
            )
        for output, wanted in case.expect.items():
            yield from expectation.faults(output, wanted)
