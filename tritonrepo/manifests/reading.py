"""Manifest files as text: whether a text is a manifest, and the objects in it or what is wrong with it."""

from __future__ import annotations

import codecs
import re
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, line_and_column
from tritonrepo.manifests.objects import Object, is_manifest, objects
from tritonrepo.manifests.secrets import hidden
from tritonrepo.spec.nodes import MANIFEST, Keys, documents

SYNTAX = MANIFEST.rule
BEGUN = re.compile(rb"^[ \t]{0,8}(?:\{[ \t]{0,8})?[\"']?(?:apiVersion|kind)[\"']?[ \t]{0,8}:", re.MULTILINE)
"""How a line begins by which a text that is not YAML is known as a manifest."""

SEARCHED_BYTES = 1 << 16
VALUES = re.compile(r"\{\{[^}\n]{0,200}\.(?:Values|Release|Chart)\b")
BRACES = re.compile(r"\{\{")
"""Actions of Helm, or of another tool; those without values are also in texts, such as the alerts of Prometheus."""


class Read(NamedTuple):
    """A manifest file: the objects in it, or why it cannot be read; whether its first document is meant to be one.

    A `template` makes manifests, and is none.
    """

    path: str
    content: bytes
    objects: tuple[Object, ...] = ()
    faults: tuple[Diagnostic, ...] = ()
    meant: bool = False
    template: bool = False


def read(content: bytes, path: str) -> Read | None:
    """Return a text as a manifest; None if it is not meant to be one: its first object has no apiVersion."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return resource(content, path) if b"apiVersion" in content.replace(b"\0", b"") else None
    if b"apiVersion" not in content and not (b"kind" in content and b"metadata" in content):
        return None
    found = resource(content, path)
    if found.faults:
        return found if BEGUN.search(content, 0, SEARCHED_BYTES) else None
    return found if found.meant else None


def _is_meant(first: Keys) -> bool:
    """Return whether a mapping is meant to be an object; the apiVersion of a Chart.yaml is that of Helm."""
    said = first.keys.keys() & {"apiVersion", "kind", "metadata", "spec"}
    return is_manifest(first) or len(said) > 1


def resource(content: bytes, path: str) -> Read:
    """Return a text that is taken for a manifest; what is wrong with it is an error, as it is what is checked."""
    try:
        found = documents(content, path)
    except Stop as stop:
        template = _template(content, path, BRACES)
        return Read(path, content, (), template or stop.of(Severity.ERROR).diagnostics, template=bool(template))
    meant, template = any(map(_is_meant, found[:1])), _template(content, path, VALUES)
    return Read(path, content, () if template else tuple(objects(found)), template, meant, bool(template))


def _template(content: bytes, path: str, action: re.Pattern[str]) -> tuple[Diagnostic, ...]:
    """Return what is said of a template, with its first such action; nothing of any other text."""
    text = content.decode("utf-8", "replace")
    found = action.search(text)
    if found is None:
        return ()
    at = Span(path, *line_and_column(text, found.start()))
    hint = "Check what is made of it, as in `helm template CHART | tritonrepo validate -`."
    return (
        Diagnostic(SYNTAX, Severity.ERROR, at, "this is a template, not a manifest: its actions are not YAML", hint),
    )


def without_secrets(of: Read) -> list[str]:
    """Return the lines of a file as they may be printed: with `*` in place of each character of a secret."""
    lines = of.content.decode("utf-8", "replace").split("\n")
    for value in (value for each in of.objects for value in hidden(each)):
        at = value.at
        for number in range(at.line, min(at.end_line or at.line, len(lines)) + 1):
            line = lines[number - 1]
            start = at.column - 1 if number == at.line else 0
            end = at.end_column - 1 if number == at.end_line else len(line)
            lines[number - 1] = f"{line[:start]}{'*' * (end - start)}{line[end:]}"
    return lines
