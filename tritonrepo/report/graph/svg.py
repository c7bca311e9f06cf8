"""Pipelines as an SVG picture, which needs no font or script from elsewhere; dark where the reader's system is dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.sax.saxutils import escape

from tritonrepo.plain import inline
from tritonrepo.report.graph import END, START, Pipeline
from tritonrepo.report.graph.layout import COLUMN, NAME, PADDING, ROW, Card, Drawing, Line, Row, cut, laid_out, width

MARGIN, HEADING, APART = 28, 40, 36
STYLE = """\
  text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #18181b }
  .name { font-size: 15px; font-weight: 600 }
  .title { font-size: 13px; font-weight: 600 }
  .small { font-size: 11px; fill: #71717a }
  .page { fill: #fafafa }
  .card { fill: #ffffff; stroke: #d4d4d8 }
  .rule { stroke: #e4e4e7 }
  .line { fill: none; stroke-width: 1.6 }
  .string { stroke: #0d9488 } .float { stroke: #ea580c } .integer { stroke: #2563eb } .bool { stroke: #94a3b8 }
  .other { stroke: #9333ea }
  circle { fill: #ffffff; stroke-width: 1.6 }
  .python { fill: #3b82f6 } .onnxruntime { fill: #6366f1 } .vllm { fill: #a855f7 } .any { fill: #a1a1aa }
  @media (prefers-color-scheme: dark) {
    text { fill: #f4f4f5 } .small { fill: #a1a1aa } .page { fill: #18181b } .rule { stroke: #3f3f46 }
    .card { fill: #27272a; stroke: #52525b } circle { fill: #27272a }
  }"""
BACKENDS = ("python", "onnxruntime", "vllm")


def drawn(pipelines: Iterable[Pipeline]) -> str:
    """Return the picture, with one pipeline below the other."""
    found = [(pipeline, laid_out(pipeline)) for pipeline in pipelines]
    y, body = float(MARGIN), list[str]()
    wide = max([drawing.width for _, drawing in found] + [NAME * width(cut(pipeline.name)) for pipeline, _ in found])
    whole_width = wide + 2 * MARGIN
    for pipeline, drawing in found:
        body += _section(pipeline, drawing, y)
        y += (0 if pipeline.alone else HEADING) + drawing.height + APART
    y += MARGIN - APART
    names = ", ".join(pipeline.name for pipeline, _ in found)
    size = f'width="{whole_width:.0f}" height="{y:.0f}" viewBox="0 0 {whole_width:.0f} {y:.0f}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>{_text(names)}</title>",
        "<!-- Written by tritonrepo graph. -->",
        f"<style>\n{STYLE}\n</style>",
        f'<rect class="page" width="{whole_width:.0f}" height="{y:.0f}"/>',
    ]
    return "\n".join([*head, *body, "</svg>"])


def _section(pipeline: Pipeline, drawing: Drawing, y: float) -> Iterator[str]:
    yield f'<g transform="translate({MARGIN} {y:.0f})">'
    if not pipeline.alone:
        yield f'<text class="name" y="15">{_text(cut(pipeline.name))}</text>'
    yield f'<g transform="translate(0 {0 if pipeline.alone else HEADING})">'
    names = {START: "inputs", END: "outputs"} | {n: step.model for n, step in enumerate(pipeline.steps)}
    for line in drawing.lines:
        said = f"{line.edge.tensor} {line.edge.type}".strip()
        told = f"{said}: {names[line.edge.source]} → {names[line.edge.target]}"
        yield f'<path class="line {_kind(line.edge.type)}" d="{_path(line)}"><title>{_text(told)}</title></path>'
    for card in drawing.cards:
        yield from _card(card)
    for line in drawing.lines:
        for x, height in (line.start, line.end):
            yield f'<circle class="{_kind(line.edge.type)}" cx="{x:.1f}" cy="{height:.1f}" r="3.5"/>'
    yield "</g></g>"


def _path(line: Line) -> str:
    (x, y), (to_x, to_y), bend = line.start, line.end, COLUMN / 2
    if line.lane is None:
        return f"M{x:.1f} {y:.1f}C{x + bend:.1f} {y:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
    left, right, lane = line.lane
    return (
        f"M{x:.1f} {y:.1f}C{x + bend:.1f} {y:.1f} {left - bend:.1f} {lane:.1f} {left:.1f} {lane:.1f}H{right:.1f}"
        f"C{right + bend:.1f} {lane:.1f} {to_x - bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"
    )


def _card(card: Card) -> Iterator[str]:
    x, y = card.x, card.y
    yield f'<rect class="card" x="{x:.1f}" y="{y:.1f}" width="{card.width:.1f}" height="{card.height:.1f}" rx="8"/>'
    backend = card.about.split(",")[0]
    if backend:
        mark = backend if backend in BACKENDS else "any"
        yield f'<rect class="{mark}" x="{x:.1f}" y="{y + 12:.1f}" width="4" height="28" rx="2"/>'
    middle = y + (22 if card.about else 30)
    yield f'<text class="title" x="{x + PADDING:.1f}" y="{middle:.1f}">{_text(card.title)}</text>'
    if card.about:
        yield f'<text class="small" x="{x + PADDING:.1f}" y="{y + 38:.1f}">{_text(card.about)}</text>'
    for number, row in enumerate(card.left):
        yield f'<text x="{x + PADDING:.1f}" y="{card.row_y(number) + 4:.1f}">{_row(row)}</text>'
    for number, row in enumerate(card.right):
        right = x + card.width - PADDING
        yield f'<text x="{right:.1f}" y="{card.row_y(number) + 4:.1f}" text-anchor="end">{_row(row)}</text>'
    if card.foot:
        top = y + card.height - ROW - 4
        yield f'<path class="rule" d="M{x:.1f} {top:.1f}h{card.width:.1f}"/>'
        yield f'<text class="small" x="{x + PADDING:.1f}" y="{top + 17:.1f}">{_text(card.foot)}</text>'


def _row(row: Row) -> str:
    return _text(row.name) + (f' <tspan class="small">{_text(row.type)}</tspan>' if row.type else "")


def _kind(data_type: str) -> str:
    for start, kind in (("STRING", "string"), ("BOOL", "bool"), ("FP", "float"), ("BF", "float"), ("INT", "integer")):
        if data_type.removeprefix("U").startswith(start):
            return kind
    return "other"


def _text(text: str) -> str:
    """Return a text for XML, which has no control characters."""
    return escape(inline(text))
