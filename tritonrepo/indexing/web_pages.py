"""Documents in HTML: the visible text of a page, its headings, and the title and canonical URL of its head."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from contextlib import suppress
from html.parser import HTMLParser
from typing import Any

from tritonrepo.diagnostics import Diagnostic, Span, fatal
from tritonrepo.indexing import texts
from tritonrepo.indexing.documents import RULE, Document, DocumentFile, Heading

UNSEEN = frozenset({
    "button", "canvas", "datalist", "dialog", "head", "iframe", "math", "nav", "noscript", "object", "script",
    "select", "style", "svg", "template", "textarea",
})  # fmt: skip
"""Elements whose content is not text of the page."""

VOID = frozenset({
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
})  # fmt: skip
"""Elements without content (HTML, 13.1.2, void elements)."""

BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "dd", "details", "div", "dl", "dt",
    "fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr",
    "html", "legend", "li", "main", "menu", "ol", "p", "pre", "search", "section", "summary", "table", "tbody",
    "tfoot", "thead", "tr", "ul",
})  # fmt: skip
"""Elements that begin and end a line of text."""

TIGHT = frozenset({"caption", "dd", "dt", "li", "td", "th", "tr", "tbody", "thead", "tfoot"})
"""Blocks after which no blank line follows."""

DEEPEST = 256
"""Maximum depth of elements; what is nested deeper has no effect of its own."""

LEVELS = {f"h{level}": level for level in range(1, 7)}
CLOSED_BY = {
    "p": BLOCKS | {"td", "th"},
    "li": frozenset({"li"}),
    "dt": frozenset({"dt", "dd"}),
    "dd": frozenset({"dt", "dd"}),
    "tr": frozenset({"tr", "tbody", "tfoot"}),
    "td": frozenset({"td", "th", "tr", "tbody", "tfoot"}),
    "th": frozenset({"td", "th", "tr", "tbody", "tfoot"}),
    "head": frozenset({"body"}) | BLOCKS,
}
"""Elements whose end tag can be left out, and the start tags that end them (HTML, 13.1.2.4)."""

META = re.compile(rb"<meta[^<>]*", re.IGNORECASE)
CHARSET = re.compile(rb"charset\s*=[\s\"']*([A-Za-z0-9_:.-]+)", re.IGNORECASE)
PRESCAN = 1024
"""How far a browser looks for the encoding (HTML, 13.2.3.2)."""

MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
NO_DISPLAY = re.compile(r"display\s*:\s*none", re.IGNORECASE)


def read(file: DocumentFile) -> Iterator[tuple[Span, Document | Diagnostic]]:
    """Yield the document of a page, whose title is that of its head, or the first heading of level 1."""
    data = texts.content(file)
    page = _Page()
    page.feed(texts.decoded(data, file, _encoding(data, file)))
    page.close()
    text, headings = page.finished()
    first = next((heading.title for heading in headings if heading.level == 1), "")
    known: dict[str, Any] = {"title": " ".join(page.title.split()) or first, "url": page.url}
    yield from texts.document(file, text, {name: value for name, value in known.items() if value}, headings)


def _encoding(data: bytes, file: DocumentFile) -> str:
    """Return the encoding that a page names by its byte order mark or in its head, otherwise UTF-8.

    What calls itself ASCII or Latin-1 is read as windows-1252, as browsers do (Encoding Standard, 4.2).
    """
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return encoding
    named = next(filter(None, map(CHARSET.search, META.findall(data[:PRESCAN]))), None)
    if named is None:
        return "utf-8-sig"
    label = named[1].decode()
    try:
        found = codecs.lookup(label)
        with suppress(UnicodeError):
            b" ".decode(label)
    except LookupError:
        message = f'the page names the encoding "{label}", which is unknown'
        raise fatal(RULE, Span(str(file.path)), message, "Save the file as UTF-8 text.") from None
    names = {"ascii": "cp1252", "iso8859-1": "cp1252", "utf-8": "utf-8-sig", "utf-16": "utf-8-sig"}
    return names.get(found.name, found.name)


class _Page(HTMLParser):
    """The text of a page in progress: lines with their headings, and the open elements."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.url = ""
        self.lines: list[str] = []
        self.line: list[str] = []
        self.headings: list[tuple[int, int]] = []
        self.level = 0
        self.open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element, and end those that its tag ends."""
        given = dict(attrs)
        if tag == "link" and "canonical" in (given.get("rel") or "").lower().split() and not self.url:
            self.url = (given.get("href") or "").strip()
        self._end_implied(tag)
        if tag in BLOCKS or tag == "br":
            self._break(blank=tag not in TIGHT and tag != "br")
        if tag not in VOID and len(self.open) < DEEPEST:
            self.open.append((tag, tag in UNSEEN or (tag not in {"html", "body"} and _is_hidden(given))))
        self.level = LEVELS.get(tag, self.level) if not self._hidden() else self.level
        if tag == "li" and not self._hidden():
            self.line.append("- ")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element; a slash at the end of its tag means nothing (HTML, 13.2.5.40), except in SVG and MathML."""
        self.handle_starttag(tag, attrs)
        if any(name in {"svg", "math"} for name, _ in self.open[:-1]) and tag not in VOID:
            self._end()

    def handle_endtag(self, tag: str) -> None:
        """End the element and all that is open in it; an end tag of nothing means nothing."""
        if any(name == tag for name, _ in self.open):
            while self.open[-1][0] != tag:
                self._end()
            self._end()

    def handle_data(self, data: str) -> None:
        """Add text to the line, with white space as it is only in `pre`."""
        if any(name == "title" for name, _ in self.open) and not any(name == "svg" for name, _ in self.open):
            self.title += data if not self.lines else ""
        elif self.open and self.open[-1][0] == "head" and data.strip():
            self._end()  # text ends a head without an end tag
            self.handle_data(data)
        elif self._hidden():
            return
        elif any(name == "pre" for name, _ in self.open):
            first, *others = data.split("\n")
            self.line.append(first)
            for line in others:
                self._break(kept=True)
                self.line.append(line)
        else:
            self.line.append(re.sub(r"\s+", " ", data))

    def close(self) -> None:
        """End the page; a comment or a tag that is still open goes to its end (HTML, 13.2.5, eof-in-comment)."""
        if not self.rawdata.startswith("<"):
            super().close()

    def parse_marked_section(self, i: int, report: int = 1) -> int:  # noqa: ARG002  the signature of the library
        """Skip what begins with `<![`, which the library rejects with an AssertionError where it does not know it."""
        end = self.rawdata.find(">", i)
        return end + 1 if end >= 0 else -1

    def finished(self) -> tuple[str, tuple[Heading, ...]]:
        """Return the text, and the headings in it."""
        while self.open:
            self._end()
        self._break()
        starts = [0]
        for line in self.lines:
            starts.append(starts[-1] + len(line) + 1)
        found = (
            Heading(starts[number], starts[number] + len(self.lines[number]), level, self.lines[number])
            for number, level in self.headings
        )
        return "\n".join(self.lines).rstrip("\n"), tuple(found)

    def _hidden(self) -> bool:
        return any(hidden for _, hidden in self.open)

    def _end_implied(self, tag: str) -> None:
        """End what a start tag ends, with the elements in it, up to the nearest block that it does not end."""
        while True:
            blocks = (name for name, _ in reversed(self.open) if name in BLOCKS or name in CLOSED_BY)
            nearest = next(blocks, "")
            if tag not in CLOSED_BY.get(nearest, ()):
                return
            self.handle_endtag(nearest)

    def _end(self) -> None:
        """End the innermost element."""
        tag = self.open[-1][0]
        if tag in {"td", "th"} and not self._hidden():
            self.line.append(" | ")
        elif tag in BLOCKS:
            self._break(blank=tag not in TIGHT)
            self.level = 0 if tag in LEVELS else self.level
        self.open.pop()

    def _break(self, *, blank: bool = False, kept: bool = False) -> None:
        """End a line, which is kept as it is in `pre`. A blank line can follow."""
        text = "".join(self.line)
        text = text.rstrip() if kept or any(name == "pre" for name, _ in self.open) else " ".join(text.split())
        self.line.clear()
        text = "" if text == "-" else text.removesuffix(" |")
        if text or (kept and self.lines and self.lines[-1]):
            self.lines.append(text)
        if text and self.level:  # the first line of a heading
            self.headings.append((len(self.lines) - 1, self.level))
            self.level = 0
        if blank and self.lines and self.lines[-1]:
            self.lines.append("")


def _is_hidden(given: dict[str, str | None]) -> bool:
    hidden = "hidden" in given or (given.get("aria-hidden") or "").lower() == "true"
    return hidden or bool(NO_DISPLAY.search(given.get("style") or ""))
