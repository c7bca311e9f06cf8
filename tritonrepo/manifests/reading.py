"""Manifest files as text: whether a text is a manifest, and the objects in it or what is wrong with it."""

from __future__ import annotations

import re
from typing import NamedTuple

from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, line_and_column
from tritonrepo.manifests.objects import Object, is_manifest, objects
from tritonrepo.spec.nodes import MANIFEST, Keys, documents

SYNTAX = MANIFEST.rule
BEGUN = re.compile(rb"^[ \t]{0,8}(?:\{[ \t]{0,8})?[\"']?(?:apiVersion|kind)[\"']?[ \t]{0,8}:", re.MULTILINE)
"""How a line begins by which a text that is not YAML is known as a manifest."""

SEARCHED_BYTES = 1 << 16
VALUES = re.compile(r"\{\{[^}\n]{0,200}\.(?:Values|Release|Chart)\b")
TEMPLATE = re.compile(
    rf"{VALUES.pattern}|\{{\{{-?\s{{0,9}}(?:/\*|(?:if|range|with|end|define|include|template|toYaml)\b)"
)
"""Actions of Helm; those without values are also in texts of other tools, such as the alerts of Prometheus."""


class Read(NamedTuple):
    """A manifest file: the objects in it, or why it cannot be read."""

    path: str
    content: bytes
    objects: tuple[Object, ...] = ()
    faults: tuple[Diagnostic, ...] = ()


def read(content: bytes, path: str) -> Read | None:
    """Return a text as a manifest; None if it is not meant to be one: its first object has no apiVersion."""
    if b"apiVersion" not in content and not (b"kind" in content and b"metadata" in content):
        return None
    found = resource(content, path)
    if found.faults:
        return found if BEGUN.search(content, 0, SEARCHED_BYTES) else None
    return found if found.objects and _is_meant(found.objects[0].node) else None


def _is_meant(first: Keys) -> bool:
    return is_manifest(first) or "apiVersion" in first.keys or {"kind", "metadata"} <= first.keys.keys()


def resource(content: bytes, path: str) -> Read:
    """Return a text that is taken for a manifest; what is wrong with it is an error, as it is what is checked."""
    try:
        found = documents(content, path)
    except Stop as stop:
        return Read(path, content, (), _template(content, path, TEMPLATE) or stop.of(Severity.ERROR).diagnostics)
    template = _template(content, path, VALUES)
    return Read(path, content, () if template else tuple(objects(found)), template)


def _template(content: bytes, path: str, action: re.Pattern[str]) -> tuple[Diagnostic, ...]:
    """Return what is said of a template of Helm, with its first such action; nothing of any other text."""
    text = content.decode("utf-8", "replace")
    found = action.search(text)
    if found is None:
        return ()
    at = Span(path, *line_and_column(text, found.start()))
    hint = "Check what Helm makes of it: `helm template CHART | tritonrepo validate -`."
    return (Diagnostic(SYNTAX, Severity.ERROR, at, "this is a template of Helm, not a manifest", hint),)
