"""Reading model.json, the arguments of vLLM's engine, and multi_lora.json, as the backend reads them.

Source: vllm_backend, src/model.py, _init_engine_args (init_engine in 24.10).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Span
from tritonrepo.repository import Model
from tritonrepo.repository.json_text import place
from tritonrepo.repository.once import once
from tritonrepo.rules.backends import json_hints
from tritonrepo.tree import Directory, File

NAME = "model.json"
ADAPTERS = "multi_lora.json"
LARGEST_JSON = 1 << 20
"""Bytes of a model.json or multi_lora.json; a larger one is not read."""


class Arguments(NamedTuple):
    """The model.json of one version; `value` is None if the file is missing or has a `fault`."""

    path: str
    text: str | None
    value: Any = None
    fault: str = ""
    line: int = 0
    column: int = 0
    offset: int = 0

    @property
    def said(self) -> str:
        """What is wrong with the text, without its place and without advice on Python."""
        kind, _, words = self.fault.partition(": ")
        if kind == "RecursionError":
            return "cannot be read: it is nested too deeply"
        if words.startswith("Exceeds the limit"):
            return "cannot be read: an integer has more than 4300 digits"
        words = words.partition(": line ")[0].partition(" (decode using")[0]
        words = f"{words.removesuffix(' at')} here" if words.endswith(" at") else words
        return f"is not valid {'UTF-8' if kind.startswith('Unicode') else 'JSON'}: {words}"

    @property
    def hint(self) -> str:
        """The hint for a text that cannot be read."""
        if "BOM" in self.fault or self.fault.startswith("Unicode"):
            return "Save the file as UTF-8 without a byte order mark."
        if not self.line:
            return self.fault and "Fix the JSON."
        report = self.fault.partition(": ")[2]
        return json_hints.hint(self.text or "", self.offset, report) or "Fix the JSON syntax here."

    def at(self, model: Model, key: str) -> Span:
        """Return the place of a key."""
        return place(f"{model.name}/{self.path}", self.text or "", key)


@once
def arguments(model: Model) -> Sequence[Arguments]:
    """Read the model.json of each served version, except huge ones; cached, because many rules need them."""
    return list(_read(model)) if model.backend == "vllm" else ()


def _images(error: json.JSONDecodeError) -> json.JSONDecodeError:
    """Return an error as the Python of the images, 3.10 or 3.12, reports it: 3.13 has its own for a trailing comma."""
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
    """Read the multi_lora.json next to a model.json; None if it is huge."""
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
        return Arguments(path, text, None, f"JSONDecodeError: {error}", error.lineno, error.colno, error.pos)
    except (ValueError, RecursionError) as error:
        return Arguments(path, text, fault=f"{type(error).__name__}: {error}")
