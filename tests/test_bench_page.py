"""The page of results and its plots: complete in itself, readable by everybody, small, and true to its numbers."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from tests import benches
from tests.tabled import tabled
from tests.test_bench_report import HOSTILE, SLO
from tritonrepo.bench.result import Observed
from tritonrepo.report.bench import pictures
from tritonrepo.report.bench.against_load import Mark, plots, sweeps
from tritonrepo.report.bench.page import page
from tritonrepo.report.plots import axes, bars, chart, curves, text

SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "br", "link", "img", "hr"}


class Parsed(HTMLParser):
    """A page: its elements, its texts, and whether each element is closed in turn."""

    def __init__(self, made: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(made)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


def pictures_of(made: str) -> list[ET.Element]:
    return [ET.fromstring(found) for found in re.findall(r"<svg .*?</svg>", made, re.DOTALL)]


def both() -> str:
    slow = benches.records(300, failing={"503 Service Unavailable": 9}, concurrency=16)
    second = benches.several(3)
    results = [benches.result(slow, slo=SLO), benches.result(second, "openai+http://127.0.0.1:8000/v1")]
    results[1] = replace(results[1], judgements=(benches.HOLDS, benches.BROKEN), client_bound=True)
    return page(results, [slow, second])


def swept() -> str:
    results, records = zip(*benches.sweep(), strict=True)
    return page(results, records, marks=[Mark(results[0].target, 16, "knee: 16 at once")])


MADE = {
    "two targets": both(),
    "a sweep": swept(),
    "nothing": page([]),
    "no records": page([benches.result(benches.records())]),
}


@tabled("made", MADE.values(), ids=MADE)
def test_a_page_needs_nothing_else(made: str) -> None:
    parsed = Parsed(made)
    assert parsed.open == []
    assert not {tag for tag, _ in parsed.tags} & {"script", "link", "img", "iframe", "object", "base", "form"}
    assert not [name for _, found in parsed.tags for name in found if name.startswith("on") or name in {"href", "src"}]
    outside = made.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"url\(|@import|@font-face", outside)
    assert ("html", {"lang": "en"}) in parsed.tags
    (policy,) = [found["content"] for tag, found in parsed.tags if found.get("http-equiv")]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"


@tabled("made", MADE.values(), ids=MADE)
def test_every_picture_says_in_words_what_it_shows(made: str) -> None:
    found = pictures_of(made)
    assert made.count("<svg ") == len(found)
    for picture in found:
        title, about = picture.find(f"{SVG}title"), picture.find(f"{SVG}desc")
        assert picture.get("role") == "img"
        assert title is not None
        assert title.text == picture.get("aria-label")
        assert about is not None
        assert re.search(r"\d", about.text or ""), title.text


@tabled("made", MADE.values(), ids=MADE)
def test_nothing_is_drawn_outside_of_its_picture(made: str) -> None:
    for picture in pictures_of(made):
        _, _, wide, high = map(float, (picture.get("viewBox") or "").split())
        for element in picture.iter():
            for name, most in (("x", wide), ("y", high), ("cx", wide), ("cy", high)):
                value = float(element.get(name) or 0)
                assert math.isfinite(value)
                assert -1 <= value <= most + 1, ET.tostring(element)


def test_what_cannot_be_true_comes_first_and_is_marked_in_words() -> None:
    made = MADE["two targets"]
    said = [each.strip() for each in Parsed(made).texts if each.strip()]
    alarm = said.index("✗ These figures cannot all be true")
    assert alarm < said.index("Results")
    assert {"2,100 tokens/s", "32 / 0.028 s = 1,143 tokens/s"} <= {*said}
    assert "cannot be true, client-bound" in said
    assert "9 × 503 Service Unavailable" in said


def test_names_are_text_and_nothing_else() -> None:
    found = benches.records(120, failing={HOSTILE: 2})
    step = benches.STEPS[0]._replace(model=HOSTILE)
    result = replace(
        benches.result(found, HOSTILE),
        model=HOSTILE,
        began=HOSTILE,
        tool=HOSTILE,
        judgements=(benches.BROKEN._replace(says=HOSTILE, check=HOSTILE),),
        observed=Observed(HOSTILE, HOSTILE, (step,), {HOSTILE: 1.0}, missing=(HOSTILE,), notes=(HOSTILE,)),
    )
    made = page([result, result], [found, found], marks=[Mark(HOSTILE, 8, HOSTILE)])
    assert "secret" not in made
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", made)
    assert "script" not in {tag for tag, _ in Parsed(made).tags}
    assert pictures_of(made)


def test_thousands_of_requests_stay_small() -> None:
    few, many = (page([benches.result(found)], [found]) for found in map(benches.records, (400, 3000)))
    assert len(many) < 1.2 * len(few) < 120_000


def test_a_sweep_is_grouped_by_target_and_sorted() -> None:
    results = [result for result, _ in (*benches.sweep((8, 1, 4)), *benches.sweep((2, 1), "http://other"))]
    alone = benches.result(benches.records(100), "http://third")
    assert [[each.load.concurrency for each in group] for group in sweeps([*results, alone])] == [[1, 4, 8], [1, 2]]
    assert [each.title for each in plots([alone])] == []


def test_the_plots_of_a_sweep_have_its_numbers_and_marks() -> None:
    results = [result for result, _ in benches.sweep()]
    drawn = {each.title: each.svg for each in plots(results, [Mark(results[0].target, 16, "knee")])}
    assert [*drawn] == ["Throughput", "TTFT", "ITL", "Latency", "Latency against throughput"]
    assert "49.9 at 1.00, 96.9 at 2.00" in drawn["Throughput"]
    assert "within the SLO" in drawn["Throughput"]
    assert "SLO: 200 ms" in drawn["TTFT"]
    assert "SLO" not in drawn["Latency"]
    assert all(">knee</text>" in svg for title, svg in drawn.items() if "against" not in title)
    assert [*plots([benches.result(benches.embedded(50))])] == []


def test_over_time_shows_what_was_in_flight_and_what_failed() -> None:
    found = benches.records(300, failing={"x": 7}, concurrency=4)
    result = benches.result(found)
    flying, tokens = pictures.over_time(result, found)
    assert flying.title == "In flight, ✗ failed: 7"
    assert "largest 4.00; 7 failed" in flying.svg
    assert tokens.title == "Output tokens per second"
    assert [*pictures.over_time(result, ())] == []
    assert [each.title for each in pictures.over_time(result, benches.embedded(50))] == [
        "In flight",
        "Items per second",
    ]


def test_many_distributions_are_thinned_to_the_first_and_the_last() -> None:
    results, records = zip(*benches.sweep((1, 2, 3, 4, 5, 6, 7, 8)), strict=True)
    drawn = next(pictures.distributions(results, records)).svg
    assert len(re.findall(r"at once</text>", drawn)) == pictures.CURVES
    assert ">1 at once<" in drawn
    assert ">8 at once<" in drawn


def test_a_distribution_that_only_one_of_several_results_has_says_whose_it_is() -> None:
    records = [benches.records(20), benches.embedded(20)]
    results = [benches.result(records[0]), benches.result(records[1], "grpc://b:1/embedder")]
    assert [each.title for each in pictures.distributions(results, records)] == [
        "Time to first token: grpc://127.0.0.1:8001/rag",
        "Inter-token latency: grpc://127.0.0.1:8001/rag",
        "Latency",
    ]


AXES = {
    "from zero": ([3.0, 97.0], (0, 100), (0, 20, 40, 60, 80, 100)),
    "small": ([0.0011, 0.0019], (0, 0.002), (0, 0.0005, 0.001, 0.0015, 0.002)),
    "negative": ([-3.0, 5.0], (-4, 6), (-4, -2, 0, 2, 4, 6)),
    "one value": ([5.0], (0, 5), (0, 1, 2, 3, 4, 5)),
    "nothing": ([], (0, 1), (0, 0.2, 0.4, 0.6, 0.8, 1)),
    "not finite": ([math.nan, math.inf, 1.0], (0, 1), (0, 0.2, 0.4, 0.6, 0.8, 1)),
    "zero": ([0.0], (0, 1), (0, 0.2, 0.4, 0.6, 0.8, 1)),
}


@tabled("values,ends,ticks", AXES.values(), ids=AXES)
def test_an_axis_is_read_at_round_values(values: list[float], ends: tuple[float, float], ticks: tuple[float]) -> None:
    found = axes.axis("x", values)
    assert (found.low, found.high) == pytest.approx(ends)
    assert found.ticks == pytest.approx(ticks)


LOGARITHMIC = {
    "far": ([3.0, 700.0], True, (10, 100, 1000)),
    "near": ([2.0, 70.0], True, (2, 5, 10, 20, 50, 100)),
    "close": ([30.0, 70.0], False, (0, 20, 40, 60, 80)),
    "with zero": ([0.0, 70.0], False, (0, 20, 40, 60, 80)),
}


@tabled("values,log,ticks", LOGARITHMIC.values(), ids=LOGARITHMIC)
def test_an_axis_of_values_that_differ_much_is_logarithmic(values: list[float], log: bool, ticks: tuple[float]) -> None:  # noqa: FBT001
    found = axes.axis("x", values, log=True)
    assert found.log is log
    assert found.ticks == pytest.approx(ticks)
    assert axes.Axis("x", 2, 1000, log=True).place(math.sqrt(2000)) == pytest.approx(0.5)


FIGURES = {0: "0", 0.25: "0.25", 1: "1", 2.5: "2.5", 1500: "1,500", 200_000: "200k", 2_500_000: "2.5M", 3e9: "3G"}


@tabled("value,said", FIGURES.items())
def test_a_tick_has_no_more_digits_than_it_needs(value: float, said: str) -> None:
    assert axes.figure(value) == said


def test_a_distribution_function_goes_from_the_least_to_the_most() -> None:
    assert curves.ecdf([3, 1, math.nan, 2]) == [(1, 0), (2, 50), (3, 100)]
    assert curves.ecdf([4]) == [(4, 0), (4, 100)]
    many = curves.ecdf(range(1001))
    assert (len(many), many[0], many[-1]) == (curves.MOST, (0, 0), (1000, 100))
    assert all(value == pytest.approx(10 * share) for value, share in many)


def test_rates_and_what_is_open_are_means_of_bins() -> None:
    assert curves.rates([(0.5, 3), (1.0, 1), (4.0, 2), (9, 1)], 4, 2) == [(0, 2), (2, 1)]
    assert curves.open_at_once([(0, 3), (1, 2)], 4, 2) == [(0, 1.5), (2, 0.5)]
    assert curves.thinned([(n, n) for n in range(10)], 4) == [(0, 0), (3, 3), (6, 6), (9, 9)]


def test_bars_and_ranges_say_their_numbers_at_both_ends() -> None:
    drawn = bars.stacked("t", "1 ms", "ms", ("a", "b"), [bars.Bar("<x>", (1, math.nan), "1 ms"), bars.Bar("y", (2, 3))])
    assert len(re.findall(r'<rect class="f\d" x="[^"]*" y="[^"]*" width="[^"]*" height="17"', drawn)) == 3
    assert "&lt;x&gt;, a: 1" in drawn
    ranged = bars.tornado("t", "1", "$", 2.0, [bars.Span("rate", 1.0, 4.0, "$1", "$9"), bars.Span("n", math.inf, 1.0)])
    assert [found for found in ("$1", "$9") if f">{found}</text>" in ranged] == ["$1", "$9"]
    assert ">n<" not in ranged
    for each in (drawn, ranged):
        ET.fromstring(each)


def test_series_are_told_apart_without_colour() -> None:
    series = [chart.Series(f"s{n}", [(0, n), (1, n)], n, n, marked=True) for n in range(4)]
    axis = axes.axis("x", [0, 4])
    drawn = chart.chart(chart.Chart("t", "4", axis, axis, series))
    assert [*dict.fromkeys(re.findall(r'class="line t\d( d\d)?"', drawn))] == ["", " d1", " d2", " d3"]
    shapes = {re.sub(r"[\d.-]+", "", shape) for shape in re.findall(r'<\w+ class="mark [^>]*', drawn)}
    assert len(shapes) == 4


def test_a_plot_without_points_is_empty_but_whole() -> None:
    axis = axes.axis("x", [])
    rules = [chart.Rule(math.nan, "none"), chart.Rule(0.5, "half", vertical=True)]
    drawn = chart.chart(chart.Chart("t", "0", axis, axis, [chart.Series("s", [(math.nan, 1)])], rules))
    assert "nan" not in drawn
    assert ">half<" in drawn
    ET.fromstring(text.alone(drawn))


def test_the_page_has_styles_for_the_dark_and_for_paper() -> None:
    """Each colour that a plot uses is set for each of them."""
    used = {*re.findall(r"var\((--[\w-]+)\)", text.STYLE)}
    light, dark, paper = (
        {*re.findall(r"(--[\w-]+):", part)} for part in re.split(r"@media \((?=prefers)|@media print", text.STYLE)
    )
    assert used == light == dark == paper
    assert all(part in page([]) for part in ("prefers-color-scheme: dark", "@media print"))


def test_what_two_close_lines_say_does_not_overlap() -> None:
    axis = axes.axis("x", [0, 100])
    rules = [chart.Rule(at, says, vertical=True) for at, says in ((20, "recommended"), (24, "the knee"), (90, "far"))]
    drawn = chart.chart(chart.Chart("t", "3", axis, axis, [chart.Series("s", [(0, 0), (100, 100)])], rules))
    found = re.findall(r'<text class="said" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]+)<', drawn)
    rows = {says: float(y) for _, y, says in found}
    assert rows["the knee"] > rows["recommended"] + text.width("x", 11.5)
    assert rows["far"] == rows["recommended"]
    assert drawn.rindex('class="rule"') < drawn.index('class="said"')


def test_what_scrolls_sideways_is_reached_with_the_keyboard_and_has_a_name() -> None:
    scrolled = [found for tag, found in Parsed(MADE["two targets"]).tags if found.get("class") == "scroll"]
    assert {each["aria-label"] for each in scrolled} == {"Results", "Steps", "All checks"}
    assert {(each["role"], each["tabindex"]) for each in scrolled} == {("region", "0")}


def test_no_section_is_kept_from_breaking_over_pages_and_wide_plots_stay_readable_on_a_phone() -> None:
    style = page([])
    paper = style[style.index("section { border-color: #ccc") :]
    assert "break-inside" not in paper[: paper.index("}")]
    assert "figure { margin: 0; min-width: 0; max-width: 46rem; break-inside: avoid }" in style
    assert "p, li { overflow-wrap: anywhere }" in style
    phone = style[style.index("@media (max-width: 40rem)") :]
    assert ".plots:not(.three) .plot, .bars .plot { min-width: 28rem }" in phone[: phone.index("@media print")]


def test_a_number_of_requests_has_its_noun_and_its_thousands() -> None:
    one = benches.records(1)
    assert ", 1 request</p>" in page([benches.result(one)], [one])
    many = benches.result(benches.records(20))
    assert ">2,048 at once<" in page([replace(many, load=replace(many.load, concurrency=2048))])
