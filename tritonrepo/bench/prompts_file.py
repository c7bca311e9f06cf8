"""Prompts and traces from a file of the user: JSON Lines, or lines of text."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from tritonrepo.bench import prompts_made
from tritonrepo.bench.load import Prompt
from tritonrepo.bench.prompts import Source, listed
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop, fatal

RULE = "bench-prompts"
TEXTS = ("text", "question", "prompt", "query", "text_input")
DOCUMENTS = ("documents", "passages")
ANSWERS = ("max_tokens", "output_length")
MOST_WRONG = 20
MOST_TOKENS = 10_000_000
MOST_S = 10**9
FORM = 'Write `{"text": "..."}` on each line, or one text per line without any JSON.'
TRACE_FORM = 'Write `{"at_s": 0.5, "text": "..."}`, or `{"timestamp": 500, "input_length": 100, "output_length": 20}`.'


class _Wrong(Exception):  # noqa: N818  no error of the program
    """What is wrong with a line, the next step, and the column."""

    def __init__(self, message: str, hint: str, column: int = 1) -> None:
        super().__init__(message)
        self.message, self.hint, self.column = message, hint, column


class _Line(NamedTuple):
    at: Span
    text: str


def questions(content: bytes, path: str) -> Source:
    """Return the source of the questions of a file; raise Stop with every line that cannot be used.

    A line is a text or, if the first one begins with `{`, a JSON object with "text" (or "question", "prompt", "query")
    and, if it has them, "documents" (or "passages") and "max_tokens". Empty lines are passed over.
    """
    lines = [*_lines(content, path, FORM)]
    if not lines[0].text.lstrip().startswith("{"):
        found = [Prompt(line.text.strip()) for line in lines]
    else:
        found = _read(lines, _question)
    return listed(found, path)


def trace(content: bytes, path: str, seed: int = 0) -> Source:
    """Return the source of a trace's prompts in the order of their times, the first of which is 0.

    A line is a JSON object with the time ("at_s" in seconds, or "timestamp" in milliseconds), the prompt (as in a file
    of questions, or "input_length" in words) and "max_tokens" or "output_length". "hash_ids" say which blocks of 512
    words the prompts share, as in the traces of Mooncake. Numbers after the last one give prompts for a warm-up.
    """
    timed = sorted(_read([*_lines(content, path, TRACE_FORM)], lambda line: _timed(line, seed)), key=_time)
    start_s = _time(timed[0])
    rows = [prompt._replace(at_s=_time(prompt) - start_s) for prompt in timed]

    def make(number: int) -> Prompt:
        if number < len(rows):
            return rows[number]
        chance = random.Random(f"{seed} warm-up {number}")  # noqa: S311  no secret
        words = len(rows[number % len(rows)].text.split())
        return Prompt(prompts_made.text(chance, max(1, words)), answer_tokens=rows[number % len(rows)].answer_tokens)

    return Source(path, make, len(rows))


def _time(prompt: Prompt) -> float:
    return prompt.at_s or 0.0


def _lines(content: bytes, path: str, form: str) -> Iterator[_Line]:
    """Yield the lines that are not empty; raise Stop if there are none, or if they are no text."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise fatal(RULE, Span(path, line), "the file is not UTF-8", "Save it as UTF-8.") from None
    found = [
        _Line(Span(path, number), line.removesuffix("\r"))
        for number, line in enumerate(text.split("\n"), 1)
        if line.strip()
    ]
    if not found:
        raise fatal(RULE, Span(path), "the file has no prompts", form)
    yield from found


def _read(lines: list[_Line], read: Callable[[_Line], Prompt]) -> list[Prompt]:
    found, wrong = [], []
    for line in lines:
        try:
            found.append(read(line))
        except _Wrong as error:
            at = Span(line.at.path, line.at.line, error.column)
            wrong.append(Diagnostic(RULE, Severity.FATAL, at, error.message, error.hint))
    if len(wrong) > MOST_WRONG:
        wrong = [*wrong[:MOST_WRONG], Diagnostic(RULE, Severity.FATAL, wrong[MOST_WRONG].at, "more lines are wrong")]
    if wrong:
        raise Stop(wrong)
    return found


def _object(line: _Line, form: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line.text)
    except json.JSONDecodeError as error:
        raise _Wrong(f"the line is not JSON: {error.msg}", form, error.colno) from None
    except (RecursionError, ValueError) as error:
        raise _Wrong(f"the line is not JSON: {error}", form) from None
    if not isinstance(found, dict):
        raise _Wrong("the line must be a JSON object", form)
    return found


def _question(line: _Line) -> Prompt:
    data = _object(line, FORM)
    return Prompt(_text(data, FORM), _documents(data), _answer(data))


def _timed(line: _Line, seed: int) -> Prompt:
    data = _object(line, TRACE_FORM)
    if "at_s" in data:
        at_s = _number(data, "at_s", MOST_S)
    elif "timestamp" in data:
        at_s = _number(data, "timestamp", MOST_S * 1000) / 1000
    else:
        raise _Wrong('the time is missing: "at_s" in seconds, or "timestamp" in milliseconds', TRACE_FORM)
    if any(name in data for name in TEXTS) or "input_length" not in data:
        return Prompt(_text(data, TRACE_FORM), _documents(data), _answer(data), at_s)
    words = int(_number(data, "input_length", MOST_TOKENS, least=1, whole=True))
    ids = data.get("hash_ids", [])
    if not isinstance(ids, list) or not all(isinstance(each, int | str) for each in ids):
        raise _Wrong('"hash_ids" must be a list of the ids of blocks', TRACE_FORM)
    shared = prompts_made.blocks(ids, words, seed)
    chance = random.Random(f"{seed} {line.at.line}")  # noqa: S311  no secret
    return Prompt(prompts_made.text(chance, words, None, shared), (), _answer(data), at_s)


def _text(data: Mapping[str, Any], form: str) -> str:
    name = next((name for name in TEXTS if name in data), None)
    if name is None:
        raise _Wrong(f"the text is missing: the keys are {', '.join(map(str, data)) or 'none'}", form)
    if not isinstance(data[name], str) or not data[name].strip():
        raise _Wrong(f'"{name}" must be a text that is not empty', form)
    return str(data[name])


def _documents(data: Mapping[str, Any]) -> tuple[str, ...]:
    name = next((name for name in DOCUMENTS if name in data), None)
    if name is None:
        return ()
    listed_ = data[name]
    if not isinstance(listed_, list) or not all(isinstance(each, str) for each in listed_):
        raise _Wrong(f'"{name}" must be a list of texts', FORM)
    return tuple(listed_)


def _answer(data: Mapping[str, Any]) -> int | None:
    name = next((name for name in ANSWERS if data.get(name) is not None), None)
    return None if name is None else int(_number(data, name, MOST_TOKENS, least=1, whole=True))


def _number(data: Mapping[str, Any], name: str, most: float, least: float = 0, *, whole: bool = False) -> float:
    found = data[name]
    number = isinstance(found, int | float) and not isinstance(found, bool) and math.isfinite(found)
    if not number or not least <= found <= most or (whole and found != int(found)):
        kind = "an integer" if whole else "a number"
        shown = json.dumps(found)[:40]
        raise _Wrong(f'"{name}" must be {kind} from {least:,} to {most:,}, not {shown}', TRACE_FORM)
    return float(found)
