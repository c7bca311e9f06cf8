"""Documents in Markdown: the text as it is, without front matter; its headings; metadata from the front matter.

Headings are those of CommonMark 0.31 (4.2 and 4.3) that begin at the margin: not those in lists and quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from tritonrepo.diagnostics import Diagnostic, Span, Stop, fatal
from tritonrepo.indexing import texts
from tritonrepo.indexing.documents import RULE, Document, DocumentFile, Heading
from tritonrepo.spec import nodes
from tritonrepo.spec.load import plain
from tritonrepo.spec.scalars import Misfit

KEY = re.compile(r"(?![-#\s]).*?:(?:\s|$)")
"""The line of a key in YAML."""

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
HEADING = re.compile(r" {0,3}(#{1,6})(?=[ \t]|$)")
UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
PARAGRAPH = re.compile(r" {0,3}(?![-+*][ \t]|[>#|]|\d+[.)][ \t]|[-*_ \t]*$)\S")
"""The line of a paragraph, of which an underline makes a heading."""

HINT = "Correct it, or put the value in quotes."

LONGEST = 300
"""Maximum characters of a title."""

MARKUP = (
    (re.compile(r"!?\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])"), r"\1"),
    (re.compile(r"\s*\{#[^}]*\}\s*$"), ""),
    (re.compile(r"</?[A-Za-z][^>]*>"), ""),
    (re.compile(r"`+|\*\*|(?<!\w)[*_]+(?=\w)|(?<=\w)[*_]+(?!\w)"), ""),
)
"""What is markup in a title, and what it stands for."""


def read(file: DocumentFile) -> Iterator[tuple[Span, Document | Diagnostic]]:
    """Yield the document of a file, whose title is the first heading unless the front matter has one."""
    text = texts.decoded(texts.content(file), file)
    front, body = _parted(text)
    known = _keys(front, file) if front else {}
    body = body.strip("\n")
    headings = tuple(found(body))
    if headings and headings[0].title:
        known = {"title": headings[0].title, **known}
    yield from texts.document(file, body, known, headings)


def _parted(text: str) -> tuple[str, str]:
    """Return front matter, which is a mapping in YAML between two lines, and the text after it.

    Without a key, or before a blank line, the first of these lines is a thematic break (Pandoc's manual, Metadata
    blocks).
    """
    lines = text.split("\n")
    ends = (number for number, line in enumerate(lines[1:], 1) if line.rstrip() in {"---", "..."})
    end = next(ends, 0) if lines[0].rstrip() == "---" else 0
    first = next((line for line in lines[1:end] if line.strip() and line.strip()[0] != "#"), "")
    if not KEY.match(first) or not lines[1].strip():
        return "", text
    return "\n".join(lines[1:end]), "\n".join(lines[end + 1 :])


def _keys(text: str, file: DocumentFile) -> dict[str, Any]:
    """Return the metadata of front matter; raise Stop at the line that is not YAML."""
    try:
        data = plain(nodes.parse(f"\n{text}".encode(), str(file.path)))  # its lines keep their numbers
    except Stop as stop:
        (first, *_) = stop.diagnostics
        raise fatal(RULE, first.at, f"in the front matter, {first.message}", first.hint or HINT) from None
    except Misfit as misfit:
        raise fatal(RULE, misfit.at, f"in the front matter, {misfit}", misfit.hint or HINT) from None
    assert isinstance(data, dict)  # noqa: S101  nodes.parse returns a mapping
    return data


def found(text: str) -> Iterator[Heading]:
    """Yield the headings of a text in order, those outside of code blocks."""
    start, fence, before = 0, "", ""
    for line in text.split("\n"):
        end = start + len(line)
        if fence:
            fence = "" if re.fullmatch(rf" {{0,3}}{fence[0]}{{{len(fence)},}}[ \t]*", line) else fence
            before = ""
        elif opening := FENCE.match(line):
            fence, before = opening[1], ""
        elif heading := HEADING.match(line):
            yield Heading(start, end, len(heading[1]), _plain(_unclosed(line[heading.end() :])))
            before = ""
        elif before and UNDERLINE.match(line):
            yield Heading(start - len(before) - 1, end, 1 if "=" in line else 2, _plain(before))
            before = ""
        else:
            before = line if PARAGRAPH.match(line) else ""
        start = end + 1


def _unclosed(title: str) -> str:
    """Return a title without the number signs that can close it."""
    title = title.strip(" \t")
    rest = title.rstrip("#")
    return rest if rest[-1:] in {"", " ", "\t"} else title


def _plain(title: str) -> str:
    """Return the text of a title, shortened if it is longer than any title is."""
    title = title[:LONGEST]
    for pattern, meaning in MARKUP:
        title = pattern.sub(meaning, title)
    return " ".join(title.split())
