"""The text of tritonrepo.lock, which git can merge.

Git reports a conflict where changed lines of both sides touch (git, xdiff/xmerge.c, xdl_do_merge). So every item ends
with a line that never changes: a change of one item, or an item after it, leaves unchanged lines around the next one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, asdict, fields
from json import dumps as quoted
from typing import Any, NamedTuple, TypeVar

from tritonrepo.diagnostics import Span, Stop, fatal
from tritonrepo.spec.lock import ANY, ARCHES, LARGEST, SCHEMA, Index, Lock, Pin, Version, joined, numbered

SECTIONS = ("indexes", "models", "sources")
MARKS = ("<<<<<<<", "|||||||", "=======", ">>>>>>>")
"""What begins the lines of a conflict: our side, with `merge.conflictStyle` the base, their side, and its end."""

LONGEST = 60
"""Characters of a wrong value that a message quotes."""

Entry = TypeVar("Entry", Pin, Index)


def _shown(value: object) -> str:
    """Return a value as JSON, cut to a length that fits into a message."""
    text = quoted(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


class _WrongError(Exception):
    """What no lock says, and the keys that lead to it."""

    def __init__(self, message: str, *keys: str) -> None:
        self.keys = keys
        super().__init__(message)


def dump(lock: Lock) -> str:
    """Return the lock as text: equal locks give equal text."""
    data = {
        "schema": SCHEMA,
        "indexes": {name: _index_data(index) for name, index in sorted(lock.indexes.items())},
        "models": {name: _version_data(version) for name, version in sorted(lock.models.items())},
        "sources": {name: _pins_data(pins) for name, pins in sorted(lock.sources.items())},
    }
    return "\n".join([*_lines("", data, ""), ""])


def _lines(head: str, value: object, margin: str) -> Iterator[str]:
    """Yield the lines of a value; an empty mapping has two as well, so that its first item changes neither."""
    if not isinstance(value, Mapping):
        yield f"{margin}{head}{quoted(value)}"
        return
    yield f"{margin}{head}{{"
    for place, (name, inner) in enumerate(value.items(), 1):
        *above, last = _lines(f"{quoted(name)}: ", inner, f"{margin}  ")
        yield from above
        yield f"{last}{',' if place < len(value) else ''}"
    yield f"{margin}}}"


def _index_data(index: Index) -> dict[str, object]:
    made_from = {"documents": index.documents, "embedder": index.embedder}
    return {
        "files": {"embeddings": index.embeddings, "passages": index.passages},
        "made_from": made_from | ({"chunks": index.chunks} if index.chunks else {}),
    }


def _version_data(version: Version) -> dict[str, object]:
    contents = {str(number): digest or None for number, digest in version.known.items()}
    return {"version": version.version, "contents": contents}


def _pins_data(pins: Mapping[str, Pin]) -> dict[str, object]:
    return {
        arch: {name: value for name, value in sorted(asdict(pin).items()) if value}
        for arch, pin in sorted(pins.items())
    }


def load(content: bytes, path: str) -> Lock:
    """Return the lock that this text holds; raise Stop if it is not one, or if a merge left it in conflict."""
    text = _decoded(content, path)
    if line := _conflict(text):
        hint = "Run `tritonrepo lock`: it keeps the version numbers of both sides."
        raise fatal("lock-conflict", Span(path, line), "the lock file has an unresolved merge conflict", hint)
    return _parsed(text, path)


def merged(content: bytes, path: str) -> Lock:
    """Return the lock that this text holds, or that of both sides of a conflict; raise Stop if it is not one."""
    text = _decoded(content, path)
    if not _conflict(text):
        return _parsed(text, path)
    ours, theirs = (_parsed(_side(text, mark), path, in_place=False) for mark in (MARKS[0], MARKS[2]))
    return joined(ours, theirs)


def _decoded(content: bytes, path: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refusal(Span(path), f"it is not valid UTF-8 at byte {error.start}") from None


def _conflict(text: str) -> int:
    """Return the line of the first conflict, 0 if there is none."""
    lines = enumerate(text.splitlines(), 1)
    return next((number for number, line in lines if line.startswith((MARKS[0], MARKS[3]))), 0)


def _side(text: str, side: str) -> str:
    """Return the text of one side of all conflicts."""
    kept, within = [], ""
    for line in text.splitlines():
        mark = next((mark for mark in MARKS if line.startswith(mark)), None)
        if mark is None and within in {"", side}:
            kept.append(line)
        elif mark is not None:
            within = "" if mark == MARKS[3] else mark
    return "\n".join(kept)


def _parsed(text: str, path: str, *, in_place: bool = True) -> Lock:
    """Return the lock of a text; if it is not the file's own, mistakes have no line."""
    try:
        data: Any = json.loads(text, object_pairs_hook=_unique)
        return _lock(data, path)
    except json.JSONDecodeError as error:
        at = Span(path, error.lineno, error.colno) if in_place else Span(path)
        raise _refusal(at, error.msg) from None
    except _WrongError as wrong:
        at = Span(path, _line(text, wrong.keys) if in_place else 0)
        raise _refusal(at, str(wrong)) from None
    except RecursionError:
        raise _refusal(Span(path), "it is nested too deeply") from None
    except ValueError as error:
        raise _refusal(Span(path), str(error)) from None


def _refusal(at: Span, message: str) -> Stop:
    hint = (
        "Restore it from version control, or delete it and run `tritonrepo lock --from URI`, which takes the version"
        " numbers from a bucket. Without either, version numbers restart at 1."
    )
    return fatal("lock-syntax", at, f"the file is not a valid lock file: {message}", hint)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the pairs as a mapping: a key that is set twice is half of a merge."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _WrongError(f"{quoted(name)} is set twice", name, name)
        found[name] = value
    return found


def _line(text: str, keys: Iterable[str]) -> int:
    """Return the line of the key to which these keys lead, as far as they exist; 0 without any."""
    end = 0
    for key in keys:
        found = re.compile(rf"{re.escape(quoted(key))}\s*:").search(text, end)
        if found is None:
            break
        end = found.end()
    return text.count("\n", 0, end) + 1 if end else 0


class _Form(NamedTuple):
    """How a schema writes the items of each section."""

    of_index: Callable[[str, Any], Index]
    of_version: Callable[[str, Any], Version]
    of_pins: Callable[[str, Any], Mapping[str, Pin]]


def _lock(data: object, path: str) -> Lock:
    top = _mapping(data, "the top level")
    schema = top.get("schema")
    if schema is None:
        raise _WrongError('"schema" is missing')
    if type(schema) is not int or schema not in FORMS:
        reads = f"this tritonrepo reads schemas {min(FORMS)} to {max(FORMS)}"
        message = f"the lock file has schema {_shown(schema)}, but {reads}"
        raise fatal("lock-schema", Span(path), message, "Upgrade tritonrepo.")
    form = FORMS[schema]
    indexes, models, sources = (_mapping(top.get(name), quoted(name), name) for name in SECTIONS)
    return Lock(
        {name: form.of_pins(name, each) for name, each in sources.items()},
        {name: form.of_index(name, each) for name, each in indexes.items()},
        {name: form.of_version(name, each) for name, each in models.items()},
        schema,
    )


def _mapping(data: object, what: str, *keys: str) -> Mapping[str, Any]:
    if not isinstance(data, dict):
        raise _WrongError(f"{what} is {_shown(data)}, not an object", *keys)
    return data


def _entry(kind: type[Entry], data: object, *keys: str) -> Entry:
    """Return the record of these values, which have its types."""
    given, named = _mapping(data, quoted(keys[-1]), *keys), {each.name: each for each in fields(kind)}
    for name, value in given.items():
        if name not in named:
            raise _WrongError(f'"{name}" of {quoted(keys[-1])} is not known', *keys, name)
        if type(value).__name__ != named[name].type:
            raise _WrongError(f'"{name}" of {quoted(keys[-1])} is {_shown(value)}', *keys, name)
    for name, each in named.items():
        if name not in given and each.default is MISSING:
            raise _WrongError(f'{quoted(keys[-1])} lacks "{name}"', *keys)
    return kind(**given)


def _first_version(name: str, data: object) -> Version:
    given = _mapping(data, quoted(name), "models", name)
    content = given.get("content")
    if not isinstance(content, str) or not content:
        raise _WrongError(f'"content" of {quoted(name)} is {_shown(content)}', "models", name)
    return Version(_number(given, name), content)


def _first_pins(name: str, data: object) -> Mapping[str, Pin]:
    pin = _entry(Pin, data, "sources", name)
    return {pin.arch: pin}


def _second_index(name: str, data: object) -> Index:
    given = _mapping(data, quoted(name), "indexes", name)
    parts = (
        _mapping(given.get(part), f'"{part}" of {quoted(name)}', "indexes", name) for part in ("files", "made_from")
    )
    return _entry(Index, {key: value for part in parts for key, value in part.items()}, "indexes", name)


def _second_version(name: str, data: object) -> Version:
    given = _mapping(data, quoted(name), "models", name)
    version = _number(given, name)
    contents = _mapping(given.get("contents"), f'"contents" of {quoted(name)}', "models", name)
    known: dict[int, str] = {}
    seen: set[str] = set()
    for text, digest in contents.items():
        keys = ("models", name, "contents", text)
        if not re.fullmatch(r"[1-9][0-9]{0,18}", text) or int(text) > LARGEST:
            raise _WrongError(f"{_shown(text)} of {quoted(name)} is not a version number from 1 to {LARGEST}", *keys)
        if digest is not None and (not isinstance(digest, str) or not digest):
            raise _WrongError(f"the content of {quoted(name)} version {text} is {_shown(digest)}", *keys)
        if digest in seen:
            message = f"version {text} of {quoted(name)} has the content of an earlier version: null belongs to one"
            raise _WrongError(message, *keys)
        known[int(text)] = digest or ""
        seen |= {digest} if digest else set()
    if version not in known:
        message = f"version {version} of {quoted(name)} is missing from its contents"
        raise _WrongError(message, "models", name, "version")
    return numbered(known, version)


def _number(given: Mapping[str, Any], name: str) -> int:
    if "version" not in given:
        raise _WrongError(f'{quoted(name)} lacks "version"', "models", name)
    value = given["version"]
    if type(value) is not int or not 1 <= value <= LARGEST:
        message = f'"version" of {quoted(name)} is {_shown(value)}, not a number from 1 to {LARGEST}'
        raise _WrongError(message, "models", name, "version")
    return value


def _second_pins(name: str, data: object) -> Mapping[str, Pin]:
    given = _mapping(data, quoted(name), "sources", name)
    for arch in given:
        if arch not in {ANY, *ARCHES}:
            message = f"{quoted(name)} is pinned for {quoted(arch)}, not for {ANY}, {' or '.join(ARCHES)}"
            raise _WrongError(message, "sources", name, arch)
    return {arch: _entry(Pin, pin, "sources", name, arch) for arch, pin in given.items()}


FORMS = {
    1: _Form(lambda name, data: _entry(Index, data, "indexes", name), _first_version, _first_pins),
    2: _Form(_second_index, _second_version, _second_pins),
}
