"""What serving costs, as a page with plots that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from tritonrepo.cost.amounts import amount, plain
from tritonrepo.cost.costs import Costs, Priced
from tritonrepo.report.cost import sentences
from tritonrepo.report.cost.text import INPUTS, PUBLISHED, rows, said
from tritonrepo.report.plots.bars import Bar, Span, stacked, tornado
from tritonrepo.report.plots.text import STYLE, alone, words

PARTS = {"gpu_month": "GPUs", "license_month": "license", "care_month": "care"}
OTHERS = ("storage_month", "egress_month", "other_month")

ENDS = "At the ends of a bar are the values of the input: blue leads to the low one, orange to the high one."
"""What is written below a plot of what moves a cost."""

PAGE_STYLE = """\
:root { color-scheme: light dark }
body {
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif;
  margin: 2rem auto; padding: 0 1rem; max-width: 60rem; background: Canvas; color: CanvasText;
}
h1, h2, li, p, td { overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
.scroll { overflow-x: auto; margin: 1rem 0 } .scroll:focus-visible { outline: 3px solid; outline-offset: 2px }
th, td { text-align: right; vertical-align: top; padding: .25rem .75rem; border-bottom: 1px solid #8884 }
th { font-weight: 600 } tbody th { font-weight: 400 }
.figures :is(td, thead th), .inputs :is(:nth-child(2), :nth-child(5)) { white-space: nowrap }
.figures :first-child { min-width: 7rem }
tr > :first-child, .inputs th, .inputs td { text-align: left }
.inputs :last-child { min-width: 12rem }
h1 { font-size: 1.35rem } h2 { font-size: 1.05rem; margin-top: 2rem; break-after: avoid }
figure { margin: 1rem 0; max-width: 40rem; break-inside: avoid } tr { break-inside: avoid }
figcaption { font-size: .85rem }
@media (max-width: 40rem) { figure { overflow-x: auto } .plot { min-width: 28rem } }
@media print {
  :root { color-scheme: light } body { margin: 0; max-width: none; font-size: 10pt } table { font-size: 7.5pt }
  th, td { padding: .2rem .3rem } .scroll { overflow: visible } .figures :is(th, td) { white-space: normal }
}
.error { color: #b91c1c } @media (prefers-color-scheme: dark) { .error { color: #fca5a5 } }
"""


def page(costs: Costs) -> str:
    """Return the page."""
    return "\n".join(_lines(costs)) + "\n"


def picture(costs: Costs) -> str:
    """Return the plot of what moves the cost of the baseline as a picture; of known inputs, the parts of a month."""
    return alone(_moved(costs.baseline, costs) or _months(costs)) + "\n"


def _lines(costs: Costs) -> Iterator[str]:
    title = words(sentences.title(costs))
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{title}</title>\n<style>\n{PAGE_STYLE}{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>"
    yield f"<p>{words(' '.join(sentences.reading(costs)))}</p>"
    yield from _table(
        "figures", "Figures", (costs.inputs.currency, *(each.option.name for each in costs.priced)), [*rows(costs)]
    )
    yield from _list("What it means", [*said(costs)])
    yield f"<h2>What a month is made of</h2>\n<figure>{_months(costs)}</figure>"
    for priced in costs.priced:
        if drawn := _moved(priced, costs):
            head = f"What moves the cost of {sentences.headline(costs)} of {priced.option.name}"
            yield f"<h2>{words(head)}</h2>\n<figure>{drawn}<figcaption>{words(ENDS)}</figcaption></figure>"
    yield from _list(PUBLISHED.rstrip(":"), [f"{each.option}: {each.text}" for each in costs.published])
    yield "<h2>Inputs</h2>"
    yield from _table("inputs", "Inputs", INPUTS, [*sentences.inputs(costs)])
    if costs.found:
        yield "<h2>What is wrong or doubtful</h2>\n<ul>"
        for each in costs.found:
            hint = "".join(f"<br>{words(line)}" for line in each.hint.split("\n") if line)
            yield f'<li class="{each.severity}">{words(f"{each.at}: {each.message}")}{hint}</li>'
        yield "</ul>"
    yield "</body>\n</html>"


def _table(kind: str, name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a table that scrolls sideways if it is too wide, also by the keyboard."""
    yield f'<div class="scroll" role="region" aria-label="{name}" tabindex="0"><table class="{kind}">'
    yield "<thead><tr>" + "".join(f'<th scope="col">{words(each)}</th>' for each in head) + "</tr></thead>\n<tbody>"
    for first, *others in rows:
        cells = "".join(f"<td>{words(cell)}</td>" for cell in others)
        yield f'<tr><th scope="row">{words(first)}</th>{cells}</tr>'
    yield "</tbody></table></div>"


def _list(head: str, items: Sequence[str]) -> Iterator[str]:
    if items:
        yield from (f"<h2>{words(head)}</h2>\n<ul>", *(f"<li>{words(item)}</li>" for item in items), "</ul>")


def _months(costs: Costs) -> str:
    """Return the plot of what a month is made of, at the mid of all inputs."""
    currency = costs.inputs.currency
    bars = [_bar(priced) for priced in costs.priced]
    title = "What a month is made of, at the mid of all inputs"
    about = ", ".join(f"{bar.name}: {bar.says or 'not known'}" for bar in bars)
    return stacked(title, f"{currency} a month: {about}.", f"{currency} a month", (*PARTS.values(), "other"), bars)


def _bar(priced: Priced) -> Bar:
    found = [priced.figure(name) for name in PARTS]
    parts = [Fraction(0) if each is None else each.mid for each in found]
    others = sum((priced.option.range(name).mid for name in OTHERS), Fraction(0))
    month = priced.figure("month")
    says = "" if month is None else amount(month.mid)
    return Bar(priced.option.name, [float(each) for each in (*parts, others)], says)


def _moved(priced: Priced, costs: Costs) -> str:
    """Return the tornado of an option; "" if its figure has no input that is a range."""
    middle = priced.figure(costs.headline.name)
    if not priced.swings or middle is None:
        return ""
    spans, told = [], []
    for each in priced.swings:
        value = priced.option.range(each.name)
        ends = plain(value.low), plain(value.high)
        told.append(f"{each.name} {ends[0]} to {ends[1]}: {amount(each.at_low)} to {amount(each.at_high)}")
        spans.append(Span(each.name, float(each.at_low), float(each.at_high), *ends))
    title = f"What moves the cost of {sentences.headline(costs)} of {priced.option.name}"
    about = f"Each input alone goes from its low to its high value, the others stay at their mid. {'; '.join(told)}."
    return tornado(title, about, f"{costs.inputs.currency} for {costs.headline.title}", float(middle.mid), spans)
