"""The files that the Python backend imports and their contents, which are read and parsed but never run.

Source: python_backend, src/pb_stub.cc, main (which directory), ModelContext::StubSetup (which module); both are
unchanged from r24.01 to r26.07.
"""

from __future__ import annotations

import ast
import posixpath
import re
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, TypeVar

from tritonrepo.repository import Model
from tritonrepo.repository.once import once
from tritonrepo.rules.layout.environments import is_elsewhere

LARGEST_SCRIPT = 1 << 16
"""Bytes of source that are parsed: the slowest source of this size takes a second, and nothing stops the parser."""

STUB = "triton_python_backend_stub"
FILENAME = "model.py"
NEWER = re.compile(r"\b(?:type\s+\w|(?:def|class)\s+\w+\s*\[)|[fF][rR]?[\"']|[rR][fF][\"']")
"""What Python 3.12 reads differently from 3.11: PEP 695 and 701."""
NEWER_BLOCK = re.compile(rb"(?:[fF][rR]?|[rR][fF])(?:\"\"\"|''')")

LATER = [
    re.compile(form)
    for form in (
        rb"except[ \t]{0,9}\*",
        rb"\[[ \t]{0,9}\*",
        rb"\n[ \t]{0,99}type[ \t]{1,9}\w",
        rb"def[ \t]{1,9}\w{1,99}[ \t]{0,9}\[",
        rb"class[ \t]{1,9}\w{1,99}[ \t]{0,9}\[",
    )
]
"""What some Python does not parse though a later one does; the earliest that an image has is 3.10.

Each form begins as it is written, which is ten times as fast to find.
"""

Version = tuple[int, int]
T = TypeVar("T")
OURS = sys.version_info[:2]


class SyntaxFault(NamedTuple):
    """Why Python cannot parse a source: line and column from 1, or 0 if unknown; our words, and the server's."""

    line: int
    column: int
    message: str
    reason: str


@dataclass(frozen=True, eq=False)
class Script:
    """A file that a served version imports: its path below the model, its content, the Python that runs it if known.

    Most sources are only compiled, which costs less than a tree; that is made when it is asked for.
    """

    path: str
    text: bytes
    python: Version | None

    @property
    def name(self) -> str:
        """The file's name."""
        return self.path.rpartition("/")[2]

    @cached_property
    def fault(self) -> SyntaxFault | None:
        """Why Python cannot compile the source, None if it can or that is uncertain."""
        if self.python is not None and self.python < OURS and any(form.search(b"\n" + self.text) for form in LATER):
            tree = _parse(self.name, self.text, self.python)
            if not isinstance(tree, ast.Module):
                return tree
        found = _tried(lambda: compile(self.text, self.name, "exec", dont_inherit=True), self.text, self.python)
        return found if isinstance(found, SyntaxFault) else None

    @cached_property
    def tree(self) -> ast.Module | SyntaxFault | None:
        """What Python parses, why it cannot, or None if that is uncertain."""
        return self.fault or _parse(self.name, self.text, self.python)


@once
def scripts(model: Model) -> tuple[Script, ...]:
    """Return the sources that are surely imported and small enough to parse; none for another backend."""
    if model.backend != "python":
        return ()
    name = model.inferred.filename or FILENAME
    paths = (posixpath.normpath(f"{model.directory_of(version)}/{name.lstrip('/')}") for version in model.served)
    files = ((path, model.file(path)) for path in paths if _is_imported(model, name, path))
    small = ((path, file.content()) for path, file in files if file is not None and file.size <= LARGEST_SCRIPT)
    python = python_of(model)
    return tuple(Script(path, text, python) for path, text in small)


def read(model: Model, path: str) -> Script | None:
    """Return another source of a model, or None if it is no file or too large to parse."""
    file = model.file(path)
    if file is None or file.size > LARGEST_SCRIPT:
        return None
    return Script(path, file.content(), python_of(model))


def _is_imported(model: Model, name: str, path: str) -> bool:
    """Return whether this file is imported, and not a package or library of the same name or a package around it."""
    directory, _, last = path.rpartition("/")
    stem = last.removesuffix(".py")
    if not name.endswith(".py") or "." in stem or refused_module(name):
        return False
    beside = [each[len(directory) + 1 :] for each in model.entries if each.startswith(f"{directory}/")]
    return "__init__.py" not in beside and not any(
        each.startswith(f"{stem}/") or (each.startswith(f"{stem}.") and each.endswith(".so")) for each in beside
    )


def nodes(tree: ast.AST) -> list[ast.AST]:
    """Return a node and all below it like ast.walk, except `ctx`, but faster: a source is walked many times."""
    found = [tree]
    for node in found:
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                found += [each for each in value if isinstance(each, ast.AST)]
            elif isinstance(value, ast.AST) and name != "ctx":
                found.append(value)
    return found


def refused_module(name: str) -> str:
    """Return the module that Python cannot find because of how default_model_filename is written, or "".

    Python imports the directory before the last `/`, a dot, and the file's name without its last three characters.
    """
    parts = [part for part in name.split("/") if part]
    return "." if len(parts) > 1 and parts[-2] in {".", ".."} else ""


def python_of(model: Model) -> Version | None:
    """Return the version of the Python that runs a model; None if the model brings its own or it is unknown.

    An environment does not change it, but one that cannot be seen may come with an image of one's own.
    """
    if STUB in model.children or is_elsewhere(model):
        return None
    major, _, minor = (model.target.release.python or "").partition(".")
    return (int(major), int(minor)) if minor else None


def _parse(name: str, text: bytes, python: Version | None) -> ast.Module | SyntaxFault | None:
    """Return a source's tree, why it has none, or None if that is uncertain."""

    def work() -> ast.Module:
        return ast.parse(text, name, feature_version=python if python is not None and python < OURS else None)

    return _tried(work, text, python)


def _tried(work: Callable[[], T], text: bytes, python: Version | None) -> T | SyntaxFault | None:
    """Return what parsing a source gives, the fault that it finds, or None if that is uncertain."""
    if b"\0" in text:
        line = text.count(b"\n", 0, text.index(b"\0")) + 1
        words = "source code string cannot contain null bytes"
        return SyntaxFault(line, 0, "the file contains a null byte", words)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return work()
        except SyntaxError as error:
            return None if _may_be_newer(error, text, python) else _fault(error)
        except (ValueError, LookupError, RecursionError, MemoryError, OverflowError):
            return None


def _may_be_newer(error: SyntaxError, text: bytes, python: Version | None) -> bool:
    """Return whether a newer Python than ours, which may be the server's, may parse what ours cannot."""
    if python is not None and python <= OURS:
        return False
    line = (error.text or "").strip()
    return bool(NEWER.search(line) or NEWER_BLOCK.search(text) or not line)


def _fault(error: SyntaxError) -> SyntaxFault:
    """Return the fault; if our Python only reports that the server's is too old, the server's words are cut short."""
    lacking = "only supported in Python" in error.msg
    kind = type(error).__name__
    reason = f"{kind}: " if lacking else f"{kind}: {error}"
    return SyntaxFault(error.lineno or 0, max(error.offset or 0, 0), error.msg, reason)
