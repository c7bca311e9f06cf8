"""Readers of tables of figures, whoever made them: ours, aiperf's, genai-perf's, vLLM's, CSV and Markdown."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from tritonrepo.bench import saved
from tritonrepo.bench.claim import Claim
from tritonrepo.bench.judging import of_result
from tritonrepo.bench.tables import aiperf, serving, texts
from tritonrepo.bench.tables.building import Reading, claim, unstated
from tritonrepo.bench.tables.cells import commas
from tritonrepo.bench.tables.places import Places, starts
from tritonrepo.bench.tables.runs import Grid, runs
from tritonrepo.diagnostics import Span, Stop, fatal, line_and_column

LARGEST = 32 << 20
"""Bytes of a file that are read; the records of requests are no table."""

JSON = re.compile(r"\s*(?:\{|\[\s*[{\]])")
"""How JSON begins; a Markdown text can begin with the bracket of a link."""

BETWEEN = re.compile(r"[\s,]*")

FORMS = (
    "Use a result of `tritonrepo bench`, aiperf, genai-perf, vLLM or SGLang, or a CSV or Markdown table whose headings"
    " name figures, such as `Throughput (tok/s)` or `TTFT P50 (ms)`."
)


def read(path: str, content: bytes) -> tuple[Claim, ...]:
    """Return what each row or run in a file claims; raise Stop if the file has nothing that can be judged."""
    text = _text(path, content)
    if not text.strip():
        raise fatal("bench-table", path, "the file is empty", FORMS)
    found = tuple(islice(_claimed(text, path), texts.ROWS + 1))
    if not found:
        raise fatal("bench-table", path, "the file has no table of figures that is understood", FORMS)
    if len(found) > texts.ROWS:
        raise fatal("bench-table", path, f"the file has more than {texts.ROWS:,} runs", "Use a summary.")
    return found


def _claimed(text: str, path: str) -> Iterator[Claim]:
    if JSON.match(text):
        return _of_json(text, path)
    if serving.BLOCK in text:
        return serving.of_text(text, path)
    grids = [*(texts.markdown(text, path) if texts.is_markdown(text) else texts.delimited(text, path))]
    return _of_grids(grids)


def _text(path: str, content: bytes) -> str:
    if len(content) > LARGEST:
        message = f"the file has more than {LARGEST >> 20} MiB, which is not a table of figures"
        raise fatal("bench-table", path, message, "Use a summary, not the records of requests.")
    encoding = "utf-16" if content[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        message = f"the file is not text in UTF-8: byte {error.start:,} cannot be read"
        raise fatal("bench-table", path, message, FORMS) from None
    if "\0" in text:
        raise fatal("bench-table", path, "the file is binary", FORMS)
    return text


def _of_grids(grids: list[Grid]) -> Iterator[Claim]:
    comma, unclear = commas(cell for grid in grids for row in grid[1:] for cell in row)
    reading = Reading(comma=comma)
    found = [(run, one) for run in runs(grids) if (one := claim(run, reading)) is not None]
    if any(one.cells for _, one in found):
        for run, one in found:
            yield replace(one, remarks=(*unclear, *one.remarks), unstated=unstated(run, one))


def _of_json(text: str, path: str) -> Iterator[Claim]:
    """Yield the claims of a document, of a list of them, or of one a line, as `--append-result` writes them."""
    decoder, at, lines = json.JSONDecoder(), len(text) - len(text.lstrip()), starts(text)
    while at < len(text):
        try:
            data, end = decoder.raw_decode(text, at)
        except RecursionError:
            raise fatal("bench-table", path, "the JSON is nested too deeply", FORMS) from None
        except ValueError as error:
            place = Span(path, *line_and_column(text, error.pos if isinstance(error, json.JSONDecodeError) else at))
            raise fatal("bench-table", place, f"the file is not valid JSON: {_reason(error)}", FORMS) from None
        yield from _claims(data, Places(path, text, lines, at, end))
        at = BETWEEN.match(text, end).end()  # type: ignore[union-attr]  # it matches nothing as well


def _reason(error: ValueError) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else "a number has too many digits"


def _claims(data: Any, places: Places) -> Iterator[Claim]:  # noqa: ANN401  data from a file
    for each in data if isinstance(data, list) else [data]:
        if isinstance(each, dict) and isinstance(each.get(saved.KEY), list):
            yield from _ours(each, places)
        elif serving.is_serving(each):
            yield serving.of_json(each, places)
        elif aiperf.is_aiperf(each):
            yield aiperf.of_json(each, places)


def _ours(document: dict[str, Any], places: Places) -> Iterator[Claim]:
    try:
        results = saved.results(json.dumps(document), places.path)
    except (ValueError, Stop) as error:
        if isinstance(error, Stop):
            raise
        raise fatal("bench-table", places.path, "the file has a value that cannot be read", FORMS) from None
    for result in results:
        yield of_result(result, places.of("target"))
