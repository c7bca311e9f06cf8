"""A prompt template tried by the Jinja that the prompt step carries, so that mistakes are told before a server runs."""

from __future__ import annotations

from pathlib import Path

from tritonrepo.diagnostics import Span, fatal, nearest
from tritonrepo.sources.template import TEMPLATE_BYTES, Jinja, Said
from tritonrepo.tree import File

RULE = "source-prompt"
GIVEN = ("query", "passages")
"""What the prompt step renders a template with; `raise_exception` is there as for chat templates."""

TRIAL = {"query": "Which passage was given?", "passages": [f"Passage {n}. " + "It has words. " * 60 for n in range(8)]}


def checked(file: File, path: Path, jinja: Jinja) -> File:
    """Return the template; raise Stop if it is not one, uses unknown variables, or never uses query."""
    if file.size > TEMPLATE_BYTES:
        raise fatal(RULE, str(path), f"has {file.size:,} bytes; a prompt template has at most {TEMPLATE_BYTES:,}")
    text = file.content()
    try:
        template = text.decode("utf-8")
    except UnicodeDecodeError as error:
        at = Span(str(path), text.count(b"\n", 0, error.start) + 1)
        raise fatal(RULE, at, f"is not UTF-8 at byte {error.start}", "Save it as UTF-8 text.") from None

    def judge(said: Said) -> None:
        _judge(said, str(path))

    jinja.tried(template, TRIAL, f"checking {path.name}", judge)
    return file


def _judge(said: Said, path: str) -> None:
    at = Span(path, said.line)
    if said.error and not said.read:
        raise fatal(RULE, at, f"is no Jinja template: {said.error}")
    if said.others:
        raise fatal(RULE, at, f"is no Jinja template: it is alone, and takes from {said.others[0]}")
    if said.names:  # none are known where reading it took too much
        _judge_names(said.names, path)
    if said.error:
        hint = "It is rendered with a question and eight passages of 850 characters."
        raise fatal(RULE, at, f"cannot be rendered: {said.error}", hint)
    if "query" not in said.names:
        raise fatal(RULE, path, "never asks for the query", "Write {{ query }} where the question stands.")


def _judge_names(names: tuple[str, ...], path: str) -> None:
    for name in names:
        if name not in GIVEN:
            near = nearest(name, GIVEN)
            hint = f'Did you mean "{near}"?' if near else f"It is given {' and '.join(GIVEN)}."
            raise fatal(RULE, path, f'asks for "{name}", which is nowhere', hint)
