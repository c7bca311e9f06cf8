"""Reading model.json, the arguments of vLLM's engine, and multi_lora.json, as the backend reads them.

Source: vllm_backend, src/model.py, _init_engine_args (init_engine in 24.10).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Fix, Span, line_and_column
from tritonrepo.repository import Model
from tritonrepo.repository.json_edits import Cut, Pair, changed, pairs, removed, renamed
from tritonrepo.repository.once import once
from tritonrepo.rules.backends import json_hints
from tritonrepo.rules.mending import rewritten
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
    pairs: Sequence[Pair] = ()

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
        """Return the place of a key: of several, the last, which counts."""
        path, text = f"{model.name}/{self.path}", self.text or ""
        found = next((each for each in reversed(self.pairs) if each.key == key), None)
        if found is None:
            return Span(path, 1, 1)
        return Span(path, *line_and_column(text, found.start), *line_and_column(text, found.key_end))

    def repaired(self, model: Model) -> Fix | None:
        """Return the fix for a text that cannot be read."""
        from tritonrepo.rules.backends.json_repairs import repair

        found = repair(self.text or "") if self.fault else None
        return rewritten(model, self.path, self.text or "", *found.cuts, safe=found.safe) if found is not None else None

    def changed(self, model: Model, key: str, value: Any, *, safe: bool) -> Fix | None:  # noqa: ANN401  JSON
        """Return the fix that changes the value of a key."""
        return rewritten(model, self.path, self.text or "", *changed(self.pairs, key, value), safe=safe)

    def removed(self, model: Model, key: str) -> Fix | None:
        """Return the fix that removes a key, which is unsafe."""
        return rewritten(model, self.path, self.text or "", *removed(self.pairs, key), safe=False)

    def renamed(self, model: Model, key: str, new: str, *, safe: bool) -> Fix | None:
        """Return the fix that renames a key; None if the object has the other one as well."""
        cuts = renamed(self.pairs, key, new) if new not in self.value else ()
        return rewritten(model, self.path, self.text or "", *cuts, safe=safe)

    def inverted(self, model: Model, key: str, new: str) -> Fix | None:
        """Return the fix that replaces a boolean by another key that means the opposite."""
        text, value = self.text or "", self.value[key]
        cuts: list[Cut] = (
            [] if new in self.value else [*renamed(self.pairs, key, new), *changed(self.pairs, key, not value)]
        )
        return rewritten(model, self.path, text, *cuts, safe=True)


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
        value = json.loads(text)
        return Arguments(path, text, value, pairs=pairs(text) if isinstance(value, dict) else ())
    except json.JSONDecodeError as error:
        error = _images(error)
        return Arguments(path, text, None, f"JSONDecodeError: {error}", error.lineno, error.colno, error.pos)
    except (ValueError, RecursionError) as error:
        return Arguments(path, text, fault=f"{type(error).__name__}: {error}")
