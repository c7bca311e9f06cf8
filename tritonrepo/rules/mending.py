"""Fixes that rules offer: edits of a model's config, and changes to whole files, with paths in the repository."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from tritonrepo.diagnostics import Create, FileChange, Fix, Move, Remove, Replacement, Span
from tritonrepo.pbtxt.editor import Edit, delete, delete_items, insert, put
from tritonrepo.pbtxt.nodes import Message, Source, Value
from tritonrepo.repository import Model
from tritonrepo.repository.json_edits import Cut, replacements
from tritonrepo.repository.model import CONFIG


def edited(model: Model, *edits: Edit, safe: bool) -> Fix | None:
    """Return the fix that makes these edits of the model's config; None if it has none.

    The edits are of nodes of `model.parsed`, not of a completed config, and do not overlap. Those that insert at one
    place insert in the given order.
    """
    if model.parsed is None:
        return None
    source, path = model.parsed.root.source, f"{model.name}/{CONFIG}"
    return Fix(tuple(_replacement(source, path, each) for each in _merged(edits)), safe=safe)


def rewritten(model: Model, path: str, text: str, *cuts: Cut, safe: bool) -> Fix | None:
    """Return the fix that makes these edits of the text of a JSON file of the model; None without edits."""
    return Fix(replacements(_in(model, path), text, cuts), safe) if cuts else None


def unset(message: Message, name: str) -> list[Edit]:
    """Remove a field, however often it is written."""
    return [delete(field) for field in message.fields if field.name == name]


def without(message: Message, name: str, gone: Collection[Value]) -> list[Edit]:
    """Remove values of a repeated field, however it is written."""
    edits: list[Edit] = []
    chosen = {*gone}
    for field in message.fields:
        places = {place for place, value in enumerate(field.values) if value in chosen} if field.name == name else set()
        edits += delete_items(field, places) if places else ()
    return edits


def set_parameter(model: Model, key: str, value: str) -> Edit:
    """Set a parameter of the config: of several with one key the last, which counts."""
    entries = [each for each in model.config.entries("parameters") if each.text("key") == key]
    inner = entries[-1].message("value") if entries else None
    if inner is not None:
        return put(inner, "string_value", value)
    return insert(model.config, "parameters", {key: {"string_value": value}})


def moved(model: Model, path: str, to: str, *, safe: bool) -> Fix:
    """Return the fix that gives a file or directory of the model another path, both below the model's directory."""
    return Fix((), safe, (Move(_in(model, path), _in(model, to)),))


def created(model: Model, path: str, text: str | None = None, *, safe: bool) -> Fix:
    """Return the fix that creates a text file below the model's directory, or an empty directory without text."""
    return Fix((), safe, (Create(_in(model, path), text),))


def removed(model: Model, path: str, *, safe: bool) -> Fix:
    """Return the fix that removes a file, link or directory below the model's directory."""
    return Fix((), safe, (Remove(_in(model, path)),))


def together(*fixes: Fix | None) -> Fix | None:
    """Return one fix that does what all of these do, all or nothing; None if one is missing."""
    replacements: list[Replacement] = []
    files: list[FileChange] = []
    for fix in fixes:
        if fix is None:
            return None
        replacements += fix.replacements
        files += fix.files
    return Fix(tuple(replacements), all(fix is not None and fix.safe for fix in fixes), tuple(files))


def _in(model: Model, path: str) -> str:
    return f"{model.name}/{path}"


def _replacement(source: Source, path: str, edit: Edit) -> Replacement:
    at = Span(path, *source.place(edit.start), *source.place(edit.end))
    return Replacement(at, edit.text.decode("utf-8", "surrogateescape"))


def _merged(edits: Iterable[Edit]) -> list[Edit]:
    """Return the edits sorted by place; those that insert at one place as one, before what is replaced there."""
    found: list[Edit] = []
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if found and found[-1].start == found[-1].end == edit.start:
            found[-1] = Edit(edit.start, edit.end, found[-1].text + edit.text)
        else:
            found.append(edit)
    return found
