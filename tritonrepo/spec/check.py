"""What a stack file says wrong although every key fits: names that lead nowhere, chains that do not join."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, closest
from tritonrepo.releases import RELEASES, instead
from tritonrepo.spec.generating import generating
from tritonrepo.spec.nesting import circle, flat
from tritonrepo.spec.source import Hub
from tritonrepo.spec.stack import Embedder, Ensemble, Expectation, Generator, Places, Retriever, Stack

RULE = "stack-meaning"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""Names become directories and keys: what Triton's S3 pattern takes (core, src/filesystem/implementations/s3.h)."""

EXPECTATIONS = ("not_empty", "contains", "first", "equals", "close")
"""What can be expected of an output; `within` only says how close."""

LONGEST_NAME = 255
"""Bytes of a name in a directory on Linux (limits.h, NAME_MAX)."""

RESERVED = "tritonrepo.json"
"""The record at the top of a built repository (sync.record), where a model of this name would have its directory."""

STEPS: Mapping[type, tuple[str, ...]] = {Embedder: ("_model",), Generator: ("_prompt",)}
"""The further models that a role becomes, as endings of its own name."""


def check(stack: Stack) -> None:
    """Raise Stop with everything that cannot mean anything, in the order of the file."""
    found = [
        *_empty(stack),
        *_target(stack),
        *_names(stack),
        *_models(stack),
        *_indexes(stack),
        *_ensembles(stack),
        *_smoke(stack),
    ]
    if found:
        raise Stop(sorted(found, key=lambda d: d.at))


def _wrong(places: Places, name: str, message: str, hint: str = "") -> Diagnostic:
    return Diagnostic(RULE, Severity.FATAL, places.get(name, places.get("", Span(""))), message, hint)


def _empty(stack: Stack) -> Iterator[Diagnostic]:
    if not stack.name.strip():
        yield _wrong(stack.places, "name", '"name" is empty', "It tells one stack from another in a bucket.")
    if not stack.models:
        yield _wrong(stack.places, "models", "there is no model", "Declare one, such as an embedder.")
    if not stack.target.images:
        yield _wrong(stack.target.places, "images", "there is no image", "Leave images out for the usual ones.")


def _target(stack: Stack) -> Iterator[Diagnostic]:
    target = stack.target
    release = RELEASES.get(target.release)
    if release is None:
        message = f'Triton release "{target.release}" is not known'
        yield _wrong(target.places, "release", message, instead(target.release))
        return
    for image in target.images:
        if release.images and image not in release.images:
            yield _wrong(
                target.places,
                "images",
                f'release {release.name} has no image "{image}"',
                closest(image, release.images),
            )


def _names(stack: Stack) -> Iterator[Diagnostic]:
    taken: dict[str, tuple[str, str]] = {}
    members = [(name, model.places, type(model)) for name, model in stack.models.items()]
    for name, places, kind in [*members, *((name, e.places, Ensemble) for name, e in stack.ensembles.items())]:
        if not NAME.fullmatch(name) or name == RESERVED:
            yield _wrong(
                places,
                "",
                f'"{name}" cannot be a model\'s name',
                f"Use letters, digits, _, - and . only; a letter or digit first; not {RESERVED}.",
            )
        for full in (name, *(name + ending for ending in STEPS.get(kind, ()))):
            if len(full) > LONGEST_NAME:
                message = f'"{full[:20]}…" has {len(full)} characters; a directory\'s name has at most {LONGEST_NAME}'
                yield _wrong(places, "", message)
            owner, other = taken.get(full.casefold(), ("", full))
            if owner:
                message = f'"{name}" needs the name "{full}", which "{owner}" has'
                hint = "" if other == full else f' Not every file system tells "{full}" from "{other}".'
                yield _wrong(places, "", message, f"Rename one of them.{hint}")
            taken.setdefault(full.casefold(), (name, full))


def _models(stack: Stack) -> Iterator[Diagnostic]:
    for name, model in stack.models.items():
        match model:
            case Retriever():
                if not isinstance(stack.models.get(model.embed_with), Embedder):
                    embedders = [n for n, m in stack.models.items() if isinstance(m, Embedder)]
                    hint = closest(model.embed_with, embedders) if embedders else "Declare a model with role: embedder."
                    yield _wrong(
                        model.places, "embed_with", f'"{model.embed_with}" is not an embedder of this stack', hint
                    )
            case Generator():
                yield from _generator(name, model)
            case Embedder():
                if isinstance(model.source, Hub):
                    yield _wrong(
                        model.places,
                        "source",
                        "an embedder's weights from the hub are not supported yet",
                        "Download them and write source: ./directory.",
                    )


def _indexes(stack: Stack) -> Iterator[Diagnostic]:
    """Give retrievers that would write another's index over again and again: one directory, other vectors."""
    first: dict[str, tuple[str, Retriever]] = {}
    for name, model in stack.models.items():
        if isinstance(model, Retriever):
            at = model.places["index"]
            other, owner = first.setdefault(os.path.normpath(Path(at.path).parent / model.index), (name, model))
            if (owner.documents, owner.embed_with) != (model.documents, model.embed_with):
                message = f'"{name}" and "{other}" have one directory for two indexes'
                yield _wrong(model.places, "index", message, "Give each its own.")


def _generator(name: str, model: Generator) -> Iterator[Diagnostic]:
    if not isinstance(model.source, Hub):
        yield _wrong(
            model.places,
            "source",
            f'"{name}" loads its weights from the hub',
            "Write source: hf://OWNER/MODEL@REVISION; a local file goes under local.",
        )
    if model.tokenizer is None and model.local is None:
        yield _wrong(
            model.places,
            "",
            f'"{name}" needs "tokenizer", a GGUF file with the tokenizer and chat template of its model',
            "Tokenizers from the hub are not supported yet.",
        )
    for key in ("tokenizer", "local"):
        if isinstance(getattr(model, key), Hub):
            message = f'"{key}" cannot be on the hub yet'
            yield _wrong(model.places, key, message, "Download a GGUF file of the model and name its path.")
    for key, message, hint in generating(model):
        yield _wrong(model.places, key, message, hint)
    for key in ("model", "revision"):
        if key in model.args:
            yield _wrong(model.places, "args", f'"{key}" in args is written from "source"', f"Remove {key} from args.")


def _ensembles(stack: Stack) -> Iterator[Diagnostic]:
    chains, known = flat(stack), {*stack.models, *stack.ensembles}
    joined = {name: chain for name, chain in chains.items() if all(member in stack.models for member in chain)}
    wrong = {name: list(_chain(name, stack.ensembles[name], chain, stack)) for name, chain in joined.items()}
    for name, ensemble in stack.ensembles.items():
        for member in ensemble.chain:
            if member not in known:
                message = f'"{name}" chains "{member}", which is not a model or pipeline of this stack'
                yield _wrong(ensemble.places, "chain", message, closest(member, sorted(known - {name})))
        if circle(stack, name):
            hint = "Remove the pipeline that leads back to it."
            yield _wrong(ensemble.places, "chain", f'the chain of "{name}" leads back to "{name}"', hint)
        if not any(wrong.get(member) for member in ensemble.chain):
            yield from wrong.get(name, ())
        for generator in [m for m in chains.get(name, ()) if isinstance(stack.models.get(m), Generator)]:
            first = next(other for other in stack.ensembles if generator in chains.get(other, ()))
            if first != name:
                hint = "Its prompt step has one template: declare a second generator."
                yield _wrong(ensemble.places, "chain", f'"{generator}" stands in "{first}" already', hint)


def _chain(name: str, ensemble: Ensemble, chain: Sequence[str], stack: Stack) -> Iterator[Diagnostic]:
    members = [stack.models[member] for member in chain]
    shape = [type(member) for member in members]
    if shape not in ([Embedder, Retriever], [Embedder, Retriever, Generator]):
        got = " → ".join(member.role for member in members) or "nothing"
        yield _wrong(
            ensemble.places,
            "chain",
            f'"{name}" chains {got}',
            "A chain is embedder → retriever, or embedder → retriever → generator.",
        )
        return
    retriever = members[1]
    if isinstance(retriever, Retriever) and retriever.embed_with != chain[0]:
        yield _wrong(
            ensemble.places,
            "chain",
            f'"{chain[0]}" cannot feed "{chain[1]}", whose index is made by "{retriever.embed_with}"',
            f"Chain {retriever.embed_with} first.",
        )
    if shape[-1] is Retriever and ensemble.outputs:
        yield _wrong(
            ensemble.places,
            "outputs",
            f'"{name}" has no generator, so no answer',
            "Without a generator the outputs are ids, passages and scores.",
        )
    if shape[-1] is Retriever and "prompt" in ensemble.places:
        yield _wrong(ensemble.places, "prompt", f'"{name}" has no generator, so no prompt', "Remove prompt.")


def _smoke(stack: Stack) -> Iterator[Diagnostic]:
    """Give what no case of smoke can mean: a model that is not built, an expectation of nothing, words that clash."""
    built = [name + ending for name, m in stack.models.items() for ending in ("", *STEPS.get(type(m), ()))]
    for case in stack.smoke:
        if case.model not in {*built, *stack.ensembles}:
            hint = closest(case.model, [*built, *stack.ensembles])
            yield _wrong(case.places, "model", f'"{case.model}" is not a model that this stack builds', hint)
        if not case.expect:
            yield _wrong(case.places, "expect", "nothing is expected", "Write expect: {OUTPUT: {not_empty: true}}.")
        for output, expectation in case.expect.items():
            yield from _expectation(output, expectation)


def _expectation(output: str, expectation: Expectation) -> Iterator[Diagnostic]:
    words = {word for word in EXPECTATIONS if getattr(expectation, word) is not None}
    if not words:
        hint = f"Write one of {', '.join(EXPECTATIONS)}."
        yield _wrong(expectation.places, "", f'nothing is expected of "{output}"', hint)
    if "within" in expectation.places and "close" not in words:
        yield _wrong(expectation.places, "within", '"within" belongs to "close"', 'Add "close", or write "equals".')
    for word in ("close", "within"):
        value = getattr(expectation, word)
        numbers = value if isinstance(value, list) and word == "close" else [value]
        if value is not None and not all(isinstance(n, (int, float)) and not isinstance(n, bool) for n in numbers):
            yield _wrong(expectation.places, word, f'"{word}" of "{output}" is a number, not {value!r}')
