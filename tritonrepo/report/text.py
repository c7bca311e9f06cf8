"""Diagnostics as people read them: the message, the source line with a caret, and the hint."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum

from tritonrepo.diagnostics import Diagnostic, Severity, counted
from tritonrepo.plain import inline, printable
from tritonrepo.report.checked import Checked, Lines

WIDTH = 100
"""Maximum length of a source line; longer ones are cut around the column."""


class Style(StrEnum):
    """Terminal styles, as SGR codes (ECMA-48); colour never carries meaning alone."""

    BOLD = "1"
    RED = "31"
    GREEN = "32"
    YELLOW = "33"
    CYAN = "36"


COLOURS = {
    Severity.FATAL: Style.RED,
    Severity.ERROR: Style.RED,
    Severity.WARNING: Style.YELLOW,
    Severity.INFO: Style.CYAN,
}


def judged(checked: Checked) -> str:
    """Return what a terminal shows of all paths, without colours, and what ended the command."""
    lines = [line for part in checked.parts for line in diagnostics(part.diagnostics, part.lines)]
    lines += [str(each) for each in checked.ends]
    return "\n".join([*lines, *([summary(checked)] if checked.parts else [])])


def styled(text: str, *styles: Style, colour: bool) -> str:
    """Return the text in these styles."""
    return f"\033[{';'.join(styles)}m{text}\033[0m" if colour and styles else text


def diagnostics(found: Iterable[Diagnostic], lines: Lines, *, colour: bool = False) -> Iterator[str]:
    """Yield the text of each diagnostic."""
    for diagnostic in found:
        yield "\n".join(_text(diagnostic, lines, colour=colour))


def _text(diagnostic: Diagnostic, lines: Lines, *, colour: bool) -> Iterator[str]:
    severity = styled(str(diagnostic.severity), Style.BOLD, COLOURS[diagnostic.severity], colour=colour)
    place = styled(printable(str(diagnostic.at)), Style.BOLD, colour=colour)
    yield f"{place}: {severity}: {printable(diagnostic.message)} [{diagnostic.rule}]"
    yield from _excerpt(diagnostic, lines)
    yield from diagnostic.lines[1:]


def _excerpt(diagnostic: Diagnostic, lines: Lines) -> Iterator[str]:
    line, column = diagnostic.at.line, diagnostic.at.column
    if not line:
        return
    source = lines(diagnostic.at.path)
    if line > len(source):
        return
    raw = source[line - 1].replace("\t", " ")
    text, before = inline(raw), len(inline(raw[: max(0, column - 1)]))
    start = max(0, before - WIDTH // 2) if len(text) > WIDTH else 0
    number = str(line)
    yield f"  {number} | {text[start : start + WIDTH]}"
    if column:
        yield f"  {' ' * len(number)} | {' ' * (before - start)}^"


def summary(checked: Checked) -> str:
    """Return the closing line: how many models and Kubernetes objects, errors, warnings and hidden findings there are.

    At its end is what was not looked into, so that a line without a problem does not say that there is none.
    """
    severities = [diagnostic.severity for diagnostic in checked.diagnostics]
    counts = [(severities.count(severity), str(severity)) for severity in (Severity.ERROR, Severity.WARNING)]
    told = ", ".join(counted(count, word) for count, word in counts if count)
    models = counted(len(checked.verdicts), "model")
    objects = counted(checked.objects, "Kubernetes object") if checked.objects else ""
    what = ", ".join(filter(None, (models if checked.verdicts or not objects else "", objects)))
    closing = f"{what}: {told or 'no problems found'}{''.join(_hidden(checked))}"
    unseen = ", ".join(f"{inline(each.what)} of {counted(len(each.models), 'model')}" for each in checked.unseen)
    return f"{closing}; not looked at: {unseen}" if unseen else closing


def _hidden(checked: Checked) -> Iterator[str]:
    """Yield how many findings are hidden, and by what."""
    if checked.ignored:
        yield f", {checked.ignored} ignored"
    yield from (f", {count} hidden by {inline(path)}" for path, count in checked.hidden.items() if count)
    if checked.baselined:
        yield f", {checked.baselined} in the baseline"


def resolved(checked: Checked, *, verbose: bool) -> Iterator[str]:
    """Yield how many findings of the baseline are fixed, and with `verbose`, which."""
    if count := len(checked.resolved):
        are = "finding of the baseline is" if count == 1 else "findings of the baseline are"
        yield f"{count} {are} fixed. Rewrite it with --write-baseline."
    yield from (f"  {each.at}: {each.message} [{each.rule}]" for each in checked.resolved if verbose)
