"""The baseline: a JSON document of findings that are known, each by its fingerprint, below the path that was checked.

All paths in it are relative to its own directory, so that it means the same wherever the command runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from tritonrepo.diagnostics import Span, Stop, fatal, line_and_column
from tritonrepo.report.json import dumps
from tritonrepo.rules import RULES

SYNTAX = "baseline-syntax"
VERSION = "baseline-schema"
SCHEMA = 1
MARK = ("tritonrepo", "baseline")
CONFLICT = re.compile(rb"^(?:<{7}|={7}|>{7})(?: |$)", re.MULTILINE)
FINGERPRINT = re.compile(r"[0-9a-f]{32}")


class Known(NamedTuple):
    """A finding that a baseline holds: where it was, and what it said, for people; its fingerprint identifies it."""

    path: str
    rule: str
    message: str
    model: str
    fingerprint: str


Baselined = Mapping[str, Sequence[Known]]
"""Path that was checked → the findings on it."""


def written(known: Baselined) -> str:
    """Return the document; it is sorted, so that the same findings give the same bytes."""
    findings = {path: [each._asdict() for each in sorted(entries)] for path, entries in known.items() if entries}
    return dumps({MARK[0]: MARK[1], "schema": SCHEMA, "findings": findings}) + "\n"


def read(content: bytes, file: str) -> dict[str, list[Known]]:
    """Return what a baseline holds; raise Stop if it is none, or one that this version cannot read."""
    data = _parsed(content, file)
    if not isinstance(data, dict) or data.get(MARK[0]) != MARK[1]:
        raise _fatal(file, "the file is not a baseline")
    if data.get("schema") != SCHEMA:
        message = f"the baseline has schema {json.dumps(data.get('schema'))[:20]}, but this tritonrepo reads {SCHEMA}"
        raise fatal(VERSION, file, message, "Use the version of tritonrepo that wrote it, or delete and rewrite it.")
    findings = data.get("findings")
    if not isinstance(findings, dict) or not all(isinstance(each, list) for each in findings.values()):
        raise _fatal(file, 'the baseline has no "findings" by path')
    return {path: [_known(each, path, file) for each in entries] for path, entries in findings.items()}


def _parsed(content: bytes, file: str) -> object:
    if found := CONFLICT.search(content):
        place = Span(file, content.count(b"\n", 0, found.start()) + 1)
        raise fatal(SYNTAX, place, "the baseline has an unresolved merge conflict", "Keep one side, then rewrite it.")
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise _fatal(
            Span(file, error.lineno, error.colno), f"the file is not a baseline, and no JSON: {error.msg}"
        ) from None
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        raise _fatal(Span(file, *line_and_column(before, len(before))), "the baseline is not UTF-8") from None
    except (RecursionError, ValueError):
        raise _fatal(file, "the baseline is nested too deeply, or has a number with too many digits") from None


def _known(entry: Any, path: str, file: str) -> Known:  # noqa: ANN401  JSON
    said = [entry.get(name) for name in Known._fields] if isinstance(entry, dict) else []
    texts = [each for each in said if isinstance(each, str)]
    if len(texts) < len(Known._fields) or not FINGERPRINT.fullmatch(texts[-1]):
        raise _fatal(file, f'a finding on "{path}" is incomplete: {json.dumps(entry, sort_keys=True)[:60]}')
    known = Known(*texts)
    if known.rule not in RULES:
        hint = "Use the version of tritonrepo that wrote the baseline, or delete and rewrite it."
        raise fatal(VERSION, file, f'the baseline names the rule "{known.rule}", which does not exist', hint)
    return known


def _fatal(at: Span | str, message: str) -> Stop:
    return fatal(SYNTAX, at, message, "Use another path, or restore the baseline from version control.")
