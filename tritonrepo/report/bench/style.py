"""Style of the page of results: the look of the pages that `ui` serves."""

from __future__ import annotations

from tritonrepo.report.plots.text import STYLE as PLOTS

COLOURS = """\
  --page: #fafafa; --card: #fff; --edge: #d4d4d8; --text: #18181b; --quiet: #52525b; --chief: #0f766e;
  --bad: #991b1b; --bad-card: #fef2f2; --bad-edge: #fca5a5; --code: #f4f4f5;
"""
DARK = """\
  --page: #18181b; --card: #27272a; --edge: #52525b; --text: #f4f4f5; --quiet: #b4b4bd; --chief: #2dd4bf;
  --bad: #fecaca; --bad-card: #3f1d1d; --bad-edge: #b45353; --code: #3a3a40;
"""
STYLE = f"""\
:root {{
  color-scheme: light dark;
{COLOURS}}}
@media (prefers-color-scheme: dark) {{ :root {{
{DARK}}} }}
@media print {{ :root {{ color-scheme: light;
{COLOURS}--page: #fff }} }}
* {{ box-sizing: border-box }}
body {{ margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif }}
header, main, footer {{ max-width: 84rem; margin: 0 auto; padding: 0 1.25rem }}
header {{ padding-top: 1.5rem }}
h1 {{ font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere }}
h2 {{ font-size: 1.1rem; margin: 0 0 .75rem }}
h3 {{ font-size: .95rem; margin: 0 0 .5rem; overflow-wrap: anywhere }}
p {{ margin: .3rem 0 }} p, li {{ overflow-wrap: anywhere }}
.quiet, footer {{ color: var(--quiet); font-size: .85rem }}
footer {{ padding-top: .5rem; padding-bottom: 2rem }}
section {{ background: var(--card); border: 1px solid var(--edge); border-radius: .75rem }}
section {{ padding: 1.1rem 1.25rem; margin: 1rem 0 }}
.alarm {{ color: var(--bad); background: var(--bad-card); border-color: var(--bad-edge) }}
.alarm li {{ margin: .5rem 0 }}
.alarm ul {{ margin: 0; padding-left: 1.2rem }}
.figures {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem; margin: 0 }}
.figures div {{ border-left: 3px solid var(--chief); padding: .1rem 0 .1rem .75rem }}
.figures dt {{ color: var(--quiet); font-size: .8rem }}
.figures dd {{ margin: 0; font-size: 1.45rem; line-height: 1.3; font-variant-numeric: tabular-nums; font-weight: 600 }}
.figures dd small {{ font-size: .8rem; font-weight: 400; color: var(--quiet) }}
.plots {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(26rem, 100%), 1fr)); gap: 1.75rem 2.25rem }}
.plots.three {{ grid-template-columns: repeat(auto-fit, minmax(min(21rem, 100%), 1fr)); gap: 1.75rem 1.5rem }}
.said, .bars {{ margin-bottom: 1rem }}
.bars {{ max-width: 44rem }}
table + dl, .scroll + dl.terms {{ margin-top: 1rem }}
figure {{ margin: 0; min-width: 0; max-width: 46rem; break-inside: avoid }}
figcaption {{ font-weight: 600; font-size: .95rem; margin-bottom: .5rem }}
.scroll {{ overflow-x: auto }}
table {{ border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums }}
caption {{ text-align: left; color: var(--quiet); font-size: .85rem; padding-bottom: .35rem }}
th, td {{ text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--edge) }}
thead th {{ font-weight: 600; white-space: nowrap; color: var(--quiet) }}
tbody th {{ font-weight: 500; overflow-wrap: anywhere; min-width: clamp(9.5rem, 18vw, 14rem) }}
tbody th.short, td.short {{ white-space: nowrap; min-width: 0 }}
:is(th, td):last-child {{ padding-right: 0 }}
:is(td, th).figure + .short {{ padding-left: .7rem }}
td.figure, th.figure {{ text-align: right; white-space: nowrap }}
tr.broken > * {{ background: var(--bad-card); color: var(--bad) }}
tr.broken > :first-child {{ box-shadow: inset 4px 0 var(--bad-edge); padding-left: .75rem }}
tr:last-child > * {{ border-bottom: 0 }}
td.wide {{ overflow-wrap: anywhere }}
dl.terms {{ display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem 1.25rem; margin: 0 }}
dl.terms dt {{ color: var(--quiet) }}
dl.terms dd {{ margin: 0; overflow-wrap: anywhere }}
details {{ border-top: 1px solid var(--edge); padding: .6rem 0 }}
details:first-of-type {{ border-top: 0 }}
summary {{ cursor: pointer; font-weight: 600; overflow-wrap: anywhere }}
details > .plots, details > .scroll {{ margin-top: .75rem }}
code {{ background: var(--code); border-radius: .25rem; padding: 0 .25rem; overflow-wrap: anywhere }}
:focus-visible {{ outline: 3px solid var(--chief); outline-offset: 2px }}
@media (max-width: 40rem) {{
  dl.terms {{ grid-template-columns: minmax(0, 1fr) }} dl.terms dd {{ margin-bottom: .4rem }}
  .plots:not(.three) figure, .bars {{ overflow-x: auto }}
  .plots:not(.three) .plot, .bars .plot {{ min-width: 28rem }}
}}
@media print {{
  body {{ font-size: 10.5pt }} header, main, footer {{ max-width: none; padding: 0 }}
  section {{ border-color: #ccc; padding: .8rem }} h2, h3, caption, summary {{ break-after: avoid }}
  tr, .alarm, .figures, dl.terms dd {{ break-inside: avoid }} dl.terms dt {{ break-after: avoid }}
  .plots {{ grid-template-columns: 1fr 1fr; gap: 1rem }}
  .plots.three {{ grid-template-columns: 1fr 1fr 1fr }}
  .scroll {{ overflow: visible }} table {{ font-size: 7.5pt }} th, td {{ padding-right: .3rem }}
}}
{PLOTS}"""
