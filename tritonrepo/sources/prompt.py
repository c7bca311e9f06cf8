"""A prompt template tried with the Jinja of the prompt step, so that mistakes are reported before a server runs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tritonrepo.diagnostics import Span, fatal, nearest
from tritonrepo.sources.template import TEMPLATE_BYTES, Jinja, Said
from tritonrepo.tree import File

RULE = "source-prompt"
GIVEN = ("query", "passages", "sources")
"""The variables of a template in the prompt step; `raise_exception` is defined as for chat templates."""

QUERY = "Which passage was given?"
PASSAGES = [f"Passage {n}. " + "It has words. " * 60 for n in range(8)]
METADATA: dict[str, Any] = {"title": "Words", "url": "https://example.com/words"}
TRIALS: Mapping[str, Mapping[str, Any]] = {
    "a question and eight passages of 850 characters, of which one has a title and url": {
        "query": QUERY,
        "passages": PASSAGES,
        "sources": [METADATA | {"text": PASSAGES[0]}, *({"text": text} for text in PASSAGES[1:])],
    },
    "a question without passages": {"query": QUERY, "passages": [], "sources": []},
}
"""What a template is rendered with: a search can find nothing, and a document can have no metadata."""


def checked(file: File, path: Path, jinja: Jinja) -> File:
    """Return the template; raise Stop if it is not one, uses unknown variables, or never uses query."""
    if file.size > TEMPLATE_BYTES:
        raise fatal(
            RULE, str(path), f"the prompt template has {file.size:,} bytes, but at most {TEMPLATE_BYTES:,} are allowed"
        )
    text = file.content()
    try:
        template = text.decode("utf-8")
    except UnicodeDecodeError as error:
        at = Span(str(path), text.count(b"\n", 0, error.start) + 1)
        message = f"the prompt template is not valid UTF-8 at byte {error.start}"
        raise fatal(RULE, at, message, "Save it as UTF-8 text.") from None

    for what, trial in TRIALS.items():
        jinja.tried(template, trial, f"checking {path.name}", partial(_judge, path=str(path), what=what))
    return file


def _judge(said: Said, path: str, what: str) -> None:
    at = Span(path, said.line)
    if said.error and not said.read:
        raise fatal(RULE, at, f"the file is not a Jinja template: {said.error}", "Fix the template.")
    if said.others:
        message = f"the prompt template uses {said.others[0]}, but it must be a single file"
        raise fatal(RULE, at, message, "Copy what it needs into this file.")
    if said.names:  # unknown if parsing exceeded a limit
        _judge_names(said.names, path)
    if said.error:
        hint = f"Fix the template. The test uses {what}."
        raise fatal(RULE, at, f"the prompt template cannot be rendered: {said.error}", hint)
    if "query" not in said.names:
        message = "the prompt template does not use the variable query"
        raise fatal(RULE, path, message, "Write `{{ query }}` where the question belongs.")


def _judge_names(names: tuple[str, ...], path: str) -> None:
    for name in names:
        if name not in GIVEN:
            near = nearest(name, GIVEN)
            hint = f'Did you mean "{near}"?' if near else "Use only query, passages and sources."
            raise fatal(RULE, path, f'the template uses the undefined variable "{name}"', hint)
