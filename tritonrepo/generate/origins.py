"""Findings on generated files, moved to the stack file: a draft knows where in it each field comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from tritonrepo.diagnostics import Diagnostic
from tritonrepo.pbtxt import parse
from tritonrepo.spec.part import Places
from tritonrepo.tree import File, Tree

KEY = re.compile(r'  "([^"\\]+)": ')
"""A top-level key of a JSON file that was written here: each is on its own line."""


def moved(diagnostic: Diagnostic, origins: Mapping[str, Places], tree: Tree) -> Diagnostic:
    """Return the diagnostic at the stack's place; the generated file is named in the message."""
    path = diagnostic.at.path
    places = origins.get(path, origins.get(path.partition("/")[0]))
    if places is None:
        return diagnostic
    entry = tree.get(path)
    content = entry.content() if isinstance(entry, File) and path in origins and diagnostic.at.line else b""
    field = _json_key if path.endswith(".json") else _config_field
    at = places.get(field(content, diagnostic.at.line), places[""])
    message = f"{diagnostic.message}, in the generated {diagnostic.at}"
    # Its fix would change the generated file, which the next build overwrites.
    return replace(diagnostic, at=at, message=message, fix=None)


def _config_field(content: bytes, line: int) -> str:
    """Return the top-level field of a config that a line belongs to."""
    before = [field for field in parse(content).root.fields if field.line <= line]
    return before[-1].name if before else ""


def _json_key(content: bytes, line: int) -> str:
    """Return the top-level key of a JSON object that a line belongs to."""
    before = [found[1] for text in content.decode().splitlines()[:line] if (found := KEY.match(text))]
    return before[-1] if before else ""
