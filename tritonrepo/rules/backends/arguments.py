"""model.json, the arguments of vLLM's engine: its text, and which of its keys a release's vLLM has.

Source: vllm_backend, src/model.py, _init_engine_args (init_engine in 24.10); the keys are data/vllm_arguments.json.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Span
from tritonrepo.releases import Release
from tritonrepo.repository import Model
from tritonrepo.repository.json_text import place
from tritonrepo.repository.once import once
from tritonrepo.tree import Directory, File

NAME = "model.json"
ADAPTERS = "multi_lora.json"
LARGEST_JSON = 1 << 20
"""Bytes of a model.json or multi_lora.json; a larger one is not read."""


class Arguments(NamedTuple):
    """The model.json of one version: `value` is None where there is no text, or a `fault` in it."""

    path: str
    text: str | None
    value: Any = None
    fault: str = ""
    line: int = 0
    column: int = 0

    @property
    def said(self) -> str:
        """What is wrong with the text, in words that need no place and no other program's advice."""
        kind, _, words = self.fault.partition(": ")
        if kind == "RecursionError":
            return "it is nested too deeply"
        if words.startswith("Exceeds the limit"):
            return "a whole number has more than 4300 digits"
        words = words.partition(": line ")[0].partition(" (decode using")[0]
        return f"{words.removesuffix(' at')} here" if words.endswith(" at") else words

    @property
    def cure(self) -> str:
        """The next step where the text cannot be read."""
        if "BOM" in self.fault or self.fault.startswith("Unicode"):
            return "Save it as UTF-8, without a byte order mark."
        return "Mend the JSON here." if self.line else self.fault and "Mend the JSON."

    def at(self, model: Model, key: str) -> Span:
        """Return the place of a key."""
        return place(f"{model.name}/{self.path}", self.text or "", key)


@once
def arguments(model: Model) -> Sequence[Arguments]:
    """Read the model.json of each version that is served; kept for the rules that come next. Huge ones are left out."""
    return list(_read(model)) if model.backend == "vllm" else ()


def _images(error: json.JSONDecodeError) -> json.JSONDecodeError:
    """Return an error as the Python of the images has it, 3.10 or 3.12: 3.13 tells a trailing comma apart, at its place."""
    if not error.msg.startswith("Illegal trailing comma"):
        return error
    behind = error.doc[error.pos + 1 :]
    place = error.pos + 1 + len(behind) - len(behind.lstrip(" \t\n\r"))
    expected = "Expecting property name enclosed in double quotes" if "object" in error.msg else "Expecting value"
    return json.JSONDecodeError(expected, error.doc, place)


def objects(model: Model) -> Iterator[tuple[Arguments, dict[str, Any]]]:
    """Yield those that hold an object."""
    for each in arguments(model):
        if isinstance(each.value, dict):
            yield each, each.value


def _read(model: Model) -> Iterator[Arguments]:
    for version in model.served:
        found = _file(model, f"{model.directory_of(version)}/{NAME}")
        if found is not None:
            yield found


def adapters(model: Model, beside: Arguments) -> Arguments | None:
    """Read the multi_lora.json beside a model.json; None of a huge one."""
    return _file(model, f"{beside.path.rpartition('/')[0]}/{ADAPTERS}")


def _file(model: Model, path: str) -> Arguments | None:
    entry = model.entries.get(path)
    if entry is None or isinstance(entry, Directory):
        return Arguments(path, None)
    return _parse(path, entry.content()) if isinstance(entry, File) and entry.size <= LARGEST_JSON else None


def _parse(path: str, content: bytes) -> Arguments:
    """Read the text as the backend's json.load does."""
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        return Arguments(path, "", fault=f"UnicodeDecodeError: {error}")
    try:
        return Arguments(path, text, json.loads(text))
    except json.JSONDecodeError as error:
        error = _images(error)
        return Arguments(path, text, None, f"JSONDecodeError: {error}", error.lineno, error.colno)
    except (ValueError, RecursionError) as error:
        return Arguments(path, text, fault=f"{type(error).__name__}: {error}")


class KnownKey(NamedTuple):
    """A key that some vLLM has: its first and last version, as positions; what took its place."""

    since: int
    until: int
    uncertain: frozenset[int]
    now: str


class Keys(NamedTuple):
    """The keys of all vLLM versions, and those versions, oldest first."""

    versions: Sequence[str]
    known: Mapping[str, KnownKey]

    def of(self, release: Release) -> list[int]:
        """Return the positions of the vLLM versions that a release may have; none where it has no vLLM, or a new one."""
        return [self.versions.index(name) for name in release.vllm_builds if name in self.versions]


@cache
def keys() -> Keys:
    """Return the facts of data/vllm_arguments.json."""
    data = json.loads(resources.files("tritonrepo").joinpath("data/vllm_arguments.json").read_text("utf-8"))
    versions = data["versions"]
    position = {name: number for number, name in enumerate(versions)}
    known = {
        key: KnownKey(
            position[facts["since"]],
            position[facts.get("until", versions[-1])],
            frozenset(position[name] for name in facts.get("uncertain", ())),
            facts.get("now", ""),
        )
        for key, facts in data["arguments"].items()
    }
    return Keys(versions, known)
