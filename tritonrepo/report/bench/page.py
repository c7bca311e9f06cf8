"""Results as a page of HTML that needs nothing else: no script, no font, no network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from tritonrepo.bench.record import Record
from tritonrepo.bench.result import Result
from tritonrepo.diagnostics import counted
from tritonrepo.plain import inline
from tritonrepo.report.bench import pictures, shown
from tritonrepo.report.bench.against_load import Mark, Plot, plots
from tritonrepo.report.bench.columns import columns, few
from tritonrepo.report.bench.conditions import conditions
from tritonrepo.report.bench.memory import memory, said
from tritonrepo.report.bench.steps import HEAD, rows, values
from tritonrepo.report.bench.style import STYLE

OPEN = 2
"""Up to so many results, what happened in each is open when the page is; of more, it is behind their names."""

TYPED, _CODE = r"<code>\1</code>", re.compile(r"`([^`]+)`")
"""What is to be typed, in a text."""

NAMES = {"target", "load", "note"}
"""Columns that are not figures."""

TERMS = {
    "TTFT": "Time to first token: from the request to the first text that is not empty.",
    "ITL": "Inter-token latency: the time from the first text to the last, for each token after the first text's.",
    "TPOT": "Time per output token: the time from the first text to the last, for each token but one.",
    "Latency": "From the request to the last text that is not empty.",
    "Goodput": "Requests per second that keep every limit of the SLO, and their share of all that were sent.",
}


def page(
    results: Sequence[Result],
    records: Sequence[Sequence[Record]] = (),
    *,
    marks: Sequence[Mark] = (),
    says: Sequence[str] = (),
) -> str:
    """Return the page; `records` are those of each result, without which requests are not drawn.

    `marks` are levels of a sweep that are marked in its plots, `says` is what follows from all of its results.
    """
    found = [*zip(results, records, strict=True)] if records else []
    title = f"Benchmark of {shown.several(result.target for result in results)}"
    body = [
        *_alarms(results),
        *_figures(results),
        *_table(results),
        *_section("Against the load", [*_said(says), *_plots(plots(results, marks), three=True)]),
        *_section("How long requests take", _plots(pictures.distributions(results, records), three=True)),
        *_section("Over time", _each(results, [_plots(pictures.over_time(*each)) for each in found])),
        *_section("What the server says", _each(results, [_server(result) for result in results])),
        *_section("Checks of plausibility", _checks(results)),
        *_section("Failed requests", _failures(results)),
        *_section("Conditions", _terms(conditions(results))),
        *_section("What the names mean", _terms(TERMS.items())),
    ]
    head = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>",
        f'<header><h1>{_text(title)}</h1>\n<p class="quiet">{_text(_under(results))}</p></header>\n<main>',
    ]
    tools = ", ".join(dict.fromkeys(result.tool for result in results)) or "tritonrepo"
    foot = f"</main>\n<footer>Written by {_text(tools)}.</footer>\n</body>\n</html>\n"
    return "\n".join([*head, *body, foot])


def _under(results: Sequence[Result]) -> str:
    days = sorted({result.began for result in results})
    sent = sum(result.figures.sent for result in results)
    return ", ".join([*days[:1], counted(sent, "request"), *([f"{len(results)} loads"] if len(results) > 1 else [])])


def _alarms(results: Sequence[Result]) -> Iterator[str]:
    said = [
        (shown.label(result), [line.strip() for line in shown.sides(each)])
        for result in results
        for each in shown.broken(result.judgements)
    ]
    if said:
        yield '<section class="alarm"><h2>✗ These figures cannot all be true</h2>\n<ul>'
        for name, lines in said:
            yield f"<li><strong>{_text(name)}</strong>: {'<br>'.join(map(_text, lines))}</li>"
        yield "</ul></section>"
    for title, lines in (
        ("The run ended early", shown.early(results)),
        ("The client was too slow", shown.bound(results)),
    ):
        if lines:
            yield f'<section class="alarm"><h2>⚠ {title}</h2>'
            yield from (f"<p>{_text(line)}</p>" for line in lines)
            yield "</section>"


def _figures(results: Sequence[Result]) -> Iterator[str]:
    """Yield the main figures in large, of a single result."""
    if len(results) != 1:
        return
    found = results[0].figures
    kept = found.goodput
    large = [
        ("Output tokens", shown.number(found.output_tokens_per_s), "per second"),
        ("Items", shown.number(found.items_per_s) if found.items_per_s > found.requests_per_s else "", "per second"),
        ("Requests", shown.number(found.requests_per_s), "per second"),
        ("TTFT p50", shown.p50(found.ttft_ms), "ms"),
        ("ITL p50", shown.p50(found.itl_ms), "ms"),
        ("Latency p50", shown.p50(found.latency_ms), "ms"),
        (
            "Goodput",
            shown.number(kept.requests_per_s) if kept else "",
            f"/s, {shown.percent(kept.share if kept else 0)}",
        ),
        ("Failed", f"{sum(found.errors.values()):,}", f"of {found.sent:,}"),
    ]
    yield '<section><h2>Figures</h2><dl class="figures">'
    for name, value, unit in large:
        if value not in {"", shown.NONE}:
            yield f"<div><dt>{name}</dt><dd>{value} <small>{unit}</small></dd></div>"
    yield "</dl></section>"


def _table(results: Sequence[Result]) -> Iterator[str]:
    if not results:
        yield "<section><p>Nothing was measured.</p></section>"
        return
    found = columns(results)
    found = found[1:] if len({result.target for result in results}) == 1 else found
    yield "<section><h2>Results</h2>"
    yield f'<p class="quiet">Times in milliseconds.{f" {_text(shown.FEW)}" if few(results) else ""}</p>'
    yield f"{_scroll('Results')}<table>\n<thead><tr>"
    yield (
        "".join(f'<th scope="col"{_kind(each.name)}>{_text(each.name)}</th>' for each in found)
        + "</tr></thead>\n<tbody>"
    )
    for result in results:
        broken = ' class="broken"' if shown.broken(result.judgements) else ""
        first, *others = [(each.name, each.of(result)) for each in found]
        cells = "".join(f"<td{_kind(name)}>{_text(cell)}</td>" for name, cell in others)
        mark = "✗ " if broken else ""
        short = "" if first[0] == "target" else ' class="short"'
        yield f'<tr{broken}><th scope="row"{short}>{mark}{_text(first[1])}</th>{cells}</tr>'
    yield "</tbody></table></div>"
    for result in results:
        if line := shown.spread(result):
            yield f'<p class="quiet">{_text(line)}</p>'
    yield "</section>"


def _said(says: Sequence[str]) -> Iterator[str]:
    if says:
        yield f'<p class="said">{_text(shown.sentence(says))}</p>'


def _kind(name: str) -> str:
    return ' class="short"' if name in NAMES else ' class="figure"'


def _section(title: str, body: Iterable[str]) -> Iterator[str]:
    """Yield a section; nothing without a body."""
    lines = [*body]
    if lines:
        yield f"<section><h2>{_text(title)}</h2>"
        yield from lines
        yield "</section>"


def _plots(found: Iterable[Plot], *, three: bool = False) -> list[str]:
    drawn = [f"<figure><figcaption>{_text(each.title)}</figcaption>\n{each.svg}</figure>" for each in found]
    return [f'<div class="plots{" three" if three else ""}">', *drawn, "</div>"] if drawn else []


def _each(results: Sequence[Result], bodies: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a part for each result that has something to show, behind its name if there are several."""
    there = [(result, body) for result, body in zip(results, bodies, strict=False) if body]
    for result, body in there:
        if len(results) > 1:
            yield f"<details{' open' if len(there) <= OPEN else ''}><summary>{_text(shown.label(result))}</summary>"
        yield from body
        if len(results) > 1:
            yield "</details>"


def _server(result: Result) -> list[str]:
    """Return the steps as bars and as a table, and what else the server says."""
    observed, lines = result.observed, []
    if observed.steps:
        lines.append(f'<figure class="bars">{pictures.steps(observed.steps)}</figure>{_scroll("Steps")}<table>')
        lines.append("<caption>Mean milliseconds of a request in each step.</caption><thead><tr>")
        lines.append("".join(f'<th scope="col"{_side(n)}>{_text(name)}</th>' for n, name in enumerate(HEAD)))
        lines.append("</tr></thead><tbody>")
        for row in rows(observed.steps):
            cells = "".join(f"<td{_side(n + 1)}>{_text(cell)}</td>" for n, cell in enumerate(row[1:]))
            lines.append(f'<tr><th scope="row">{_text(row[0]).replace("  ", "&emsp;")}</th>{cells}</tr>')
        lines.append("</tbody></table></div>")
    told = [*values(observed)]
    told += [("memory of the GPUs", text)] if (text := said(memory(result))) != shown.NONE else []
    told += [("note", note) for note in observed.notes] + [("not known", why) for why in observed.missing]
    return lines + _terms(told)


def _side(column: int) -> str:
    return "" if column < 2 else ' class="figure"'  # noqa: PLR2004  model and version


def _checks(results: Sequence[Result]) -> Iterator[str]:
    marks = {"holds": "✓", "cannot be true": "✗", "says little": "~", "cannot be judged": "?"}
    judged = [(shown.label(result), each) for result in results for each in result.judgements]
    if not judged:
        return
    yield f"<p>{_text(shown.tally(results))}.</p>"
    yield f"<details{'' if len(judged) > 12 else ' open'}><summary>All checks</summary>"  # noqa: PLR2004
    yield f"{_scroll('All checks')}<table>"
    yield '<thead><tr><th scope="col">check</th><th scope="col">result</th><th scope="col">of</th>'
    yield '<th scope="col">one side</th><th scope="col">the other</th><th scope="col">says</th></tr></thead><tbody>'
    for name, each in judged:
        cells = (f"{marks.get(each.state, '')} {each.state}", name, each.left, each.right, each.says)
        body = "".join(f'<td class="{"wide" if n else "short"}">{_text(cell)}</td>' for n, cell in enumerate(cells))
        broken = ' class="broken"' if each.state == "cannot be true" else ""
        yield f'<tr{broken}><th scope="row">{_text(each.check)}</th>{body}</tr>'
    yield "</tbody></table></div></details>"


def _failures(results: Sequence[Result]) -> Iterator[str]:
    for result in results:
        if lines := shown.failures(result):
            yield f"<h3>{_text(shown.label(result))}</h3><ul>"
            yield from (f"<li>{_text(line)}</li>" for line in lines)
            yield "</ul>"


def _terms(found: Iterable[tuple[str, str]]) -> list[str]:
    lines = [f"<dt>{_text(name)}</dt><dd>{_CODE.sub(TYPED, _text(value))}</dd>" for name, value in found]
    return ['<dl class="terms">', *lines, "</dl>"] if lines else []


def _scroll(name: str) -> str:
    """Return the beginning of what scrolls sideways if it is too wide, also by the keyboard."""
    return f'<div class="scroll" role="region" aria-label="{_text(name)}" tabindex="0">'


def _text(text: str) -> str:
    """Return a text for HTML, on one line: names are anybody's."""
    return escape(inline(text))
