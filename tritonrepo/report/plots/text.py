"""Text in a plot, and the colours of everything that is drawn."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from tritonrepo.plain import inline

WIDE = 0.6
"""Width of a character of the usual fonts, as a share of their size: enough for most texts."""

LONGEST = 44
"""Characters of a name that are drawn; the whole of it is in the title that a pointer shows."""

STYLE = """\
.plot {
  --t0: #0f766e; --t1: #c2410c; --t2: #1d4ed8; --t3: #9333ea; --t4: #a16207; --t5: #be185d; --t6: #475569;
  --t7: #4d7c0f; --ink: #18181b; --quiet-ink: #52525b; --grid: #e4e4e7; --base: #71717a; --under: #fff;
  --alarm: #b91c1c;
  display: block; width: 100%; height: auto; overflow: visible;
  font: 11.5px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; font-variant-numeric: tabular-nums;
}
.plot text { fill: var(--ink) }
.plot .tick, .plot .name { fill: var(--quiet-ink) }
.plot .name { font-weight: 600 }
.plot .grid { stroke: var(--grid); fill: none }
.plot .base { stroke: var(--base); fill: none }
.plot .line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round }
.plot .d1 { stroke-dasharray: 7 4 } .plot .d2 { stroke-dasharray: 1.5 4.5 } .plot .d3 { stroke-dasharray: 9 4 1.5 4 }
.plot .rule { stroke: var(--base); stroke-width: 1.4; stroke-dasharray: 4 3; fill: none }
.plot .alarm { stroke: var(--alarm) } .plot text.alarm { fill: var(--alarm); stroke: var(--under) }
.plot .said { font-weight: 600; paint-order: stroke; stroke: var(--under); stroke-width: 4; stroke-linejoin: round }
.plot .small { font-size: 10px; font-weight: 500 }
.plot .fill { stroke: none; opacity: .14 }
.plot .mark { stroke: var(--under); stroke-width: 1.2 }
.plot .cross { fill: none; stroke-width: 1.8 }
.plot .t0 { stroke: var(--t0) } .plot .t1 { stroke: var(--t1) } .plot .t2 { stroke: var(--t2) }
.plot .t3 { stroke: var(--t3) } .plot .t4 { stroke: var(--t4) } .plot .t5 { stroke: var(--t5) }
.plot .t6 { stroke: var(--t6) } .plot .t7 { stroke: var(--t7) }
.plot .f0 { fill: var(--t0) } .plot .f1 { fill: var(--t1) } .plot .f2 { fill: var(--t2) } .plot .f3 { fill: var(--t3) }
.plot .f4 { fill: var(--t4) } .plot .f5 { fill: var(--t5) } .plot .f6 { fill: var(--t6) } .plot .f7 { fill: var(--t7) }
@media (prefers-color-scheme: dark) {
  .plot {
    --t0: #2dd4bf; --t1: #fb923c; --t2: #7db4ff; --t3: #c99bff; --t4: #eac54f; --t5: #f9a8d4; --t6: #b6c2d1;
    --t7: #a3e635; --ink: #f4f4f5; --quiet-ink: #b4b4bd; --grid: #3f3f46; --base: #a1a1aa; --under: #27272a;
    --alarm: #fca5a5;
  }
}
@media print {
  .plot {
    --t0: #0f766e; --t1: #c2410c; --t2: #1d4ed8; --t3: #9333ea; --t4: #a16207; --t5: #be185d; --t6: #475569;
    --t7: #4d7c0f; --ink: #000; --quiet-ink: #333; --grid: #ddd; --base: #555; --under: #fff; --alarm: #b91c1c;
  }
}
"""
"""Style of all plots of a page. `--under` is the colour of what is below a plot."""

TONES, DASHES = 8, 4
"""How many colours and kinds of line there are; they begin again after the last."""


def words(text: str) -> str:
    """Return a text for XML, which has no control characters."""
    return escape(inline(text))


def attribute(text: str) -> str:
    """Return a text as the value of an attribute, in quotes."""
    return quoteattr(inline(text))


def cut(text: str, most: int = LONGEST) -> str:
    """Return a text short enough to be drawn."""
    text = inline(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def width(text: str, size: float = 11.5) -> float:
    """Return about how wide a text is, in pixels."""
    return len(inline(text)) * size * WIDE


def whole(title: str, about: str, size: tuple[float, float], body: str) -> str:
    """Return the SVG element around a body: what readers who do not see it are told is its title and `about`."""
    box = f'viewBox="0 0 {size[0]:.0f} {size[1]:.0f}"'
    return (
        f'<svg class="plot" xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-label={attribute(title)}>'
        f"<title>{words(title)}</title><desc>{words(about)}</desc>\n{body}\n</svg>"
    )


def alone(svg: str) -> str:
    """Return a plot as a picture of its own, with its style in it."""
    head, end, rest = svg.partition("</desc>")
    return f"{head}{end}\n<style>\n{STYLE}</style>{rest}"
