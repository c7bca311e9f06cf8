"""`bench compare`: chance is no difference, a real one is found, other conditions void it, and a gate never guesses."""

from __future__ import annotations

import contextlib
import heapq
import json
import math
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests import benches
from tests.tabled import tabled
from tritonrepo.bench import comparing, intervals
from tritonrepo.bench.comparing import Basis, Comparison, Difference, Side, Verdict, compare
from tritonrepo.bench.load import Shape
from tritonrepo.bench.record import Piece, Record
from tritonrepo.bench.result import Result
from tritonrepo.cli import run
from tritonrepo.report.bench import data
from tritonrepo.report.bench.records import lines

SCHEMA = json.loads((Path(__file__).parent.parent / "schemas" / "bench-compare.schema.json").read_text("utf-8"))


def series(seed: str, number: int, *, scale: float = 1.0, tied: float = 0.0) -> list[float]:
    """Return log-normal values; `tied` is how much each follows the one before it."""
    drawn, at, found = random.Random(seed), 0.0, []
    for _ in range(number):
        at = tied * at + drawn.gauss(0, 0.25) * (1 - tied**2) ** 0.5
        found.append(80 * scale * math.exp(at))
    return found


def shares(interval: Callable[[int], intervals.Interval | None], times: int) -> tuple[float, float]:
    """Return how often an interval holds 0, and how often it is above."""
    found = [one for n in range(times) if (one := interval(n)) is not None]
    assert len(found) == times
    return sum(one.low <= 0 <= one.high for one in found) / times, sum(one.low > 0 for one in found) / times


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intervals, "FEWEST", 120)
    monkeypatch.setattr(intervals, "MOST", 120)


CHANCE = {
    "medians": (0.5, 200, 0.0),
    "medians of requests that follow each other": (0.5, 300, 0.5),
    "medians of requests that are much alike": (0.5, 1000, 0.9),
    "tails": (0.99, 400, 0.0),
    "tails of requests that are much alike": (0.99, 1000, 0.9),
}


@tabled("at,number,tied", CHANCE.values(), ids=CHANCE)
def test_chance_is_no_difference_and_a_fifth_more_is_found(at: float, number: int, tied: float) -> None:
    """With fixed seeds, 19 of 20 are expected; 40 trials give 35 or more with a chance above 98 %."""

    def of(scale: float) -> Callable[[int], intervals.Interval | None]:
        return lambda n: intervals.of_percentile(
            series(f"a{n}", number, tied=tied), series(f"b{n}", number, scale=scale, tied=tied), at, f"{n}"
        )

    same, _ = shares(of(1.0), 40)
    assert same >= 0.875
    _, found = shares(of(1.2), 10)
    assert found >= (0.9 if at == 0.5 else 0.6)


@pytest.mark.parametrize(("tied", "length"), [(0.0, 10), (0.5, 10), (0.9, 45), (0.97, 83)])
def test_blocks_are_as_long_as_neighbors_are_alike(tied: float, length: int) -> None:
    """For a first-order autoregression, known: its indicator at the median is alike by 2/pi * asin(tied**lag)."""
    sizes = sorted(intervals.blocks(series(f"{n}", 1000, tied=tied), 0.5).size for n in range(31))
    assert sizes[15] == pytest.approx(length, rel=0.3)


def test_samples_of_blocks_vary_as_series_do() -> None:
    """At 0.9, they vary less by themselves."""
    found = [intervals.blocks(series(f"{n}", 1000, tied=0.9), 0.5).wider for n in range(31)]
    assert 1.05 < sorted(found)[15] < 1.2
    assert intervals.blocks([1.0] * 50, 0.5) == (4, 1.0)
    assert intervals.blocks([], 0.5).size == 1
    assert intervals.blocks([float(n) for n in range(1000)], 0.5).size == 100


@tabled("repeats", [3, 5, 8])
def test_repeats_of_the_same_are_no_difference_and_a_fifth_more_is_found(repeats: int) -> None:
    drawn = random.Random(repeats)

    def values(scale: float) -> list[float]:
        return [100 * scale * drawn.lognormvariate(0, 0.03) for _ in range(repeats)]

    same, _ = shares(lambda _: intervals.of_repeats(values(1), values(1)), 500)
    _, found = shares(lambda _: intervals.of_repeats(values(1), values(1.2)), 100)
    assert 0.93 <= same <= 0.985
    assert found >= 0.95


def test_the_interval_of_repeats_is_welchs() -> None:
    """Logarithms 0, 0.1, 0.2 and 1, 1.1, 1.2: a difference of 1, errors of 0.01 / 3 each, 4 degrees of freedom."""
    before, after = ([math.exp(log) for log in logs] for logs in ((0, 0.1, 0.2), (1, 1.1, 1.2)))
    half = 2.776 * math.sqrt(2 * 0.01 / 3)
    assert intervals.of_repeats(before, after) == pytest.approx((math.expm1(1 - half), math.expm1(1 + half)))


FREEDOM = {0.5: 12.706, 1: 12.706, 4: 2.776, 4.99: 2.776, 30: 2.042, 30.9: 2.042}


@tabled("freedom,value", FREEDOM.items())
def test_the_quantile_between_the_tabulated_ones_is_the_wider(freedom: float, value: float) -> None:
    assert intervals.quantile(freedom) == value


def below(value: float, freedom: int, steps: int = 400) -> float:
    """Return Student's distribution function: with t = √n · tan a, its density is a power of a cosine (Simpson)."""
    end = math.atan(value / math.sqrt(freedom))
    ordinates = [math.cos(end * n / steps) ** (freedom - 1) for n in range(steps + 1)]
    area = (ordinates[0] + ordinates[-1] + 4 * sum(ordinates[1::2]) + 2 * sum(ordinates[2:-1:2])) * end / steps / 3
    return 0.5 + area * math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)


@tabled("freedom", [*range(1, 45), 60, 120, 1000])
def test_the_quantile_is_students(freedom: int) -> None:
    found, off = intervals.quantile(freedom), 0.0006 if freedom <= 30 else 0.00001
    assert below(found - off, freedom) < 0.975 < below(found + off, freedom)


def loop(seed: str, number: int, *, at_once: int = 16, scale: float = 1.0) -> list[Record]:
    """Return the records of a closed loop whose answers have 20 to 60 tokens, of about 10 ms each."""
    drawn, free, found = random.Random(seed), [0.0] * at_once, list[Record]()
    for at in range(number):
        sent_s = heapq.heappop(free)
        first_s = sent_s + 0.1 * scale * drawn.lognormvariate(0, 0.3)
        tokens = drawn.randint(20, 60)
        ended_s = first_s + 0.01 * scale * (tokens - 1) * drawn.lognormvariate(0, 0.2)
        pieces = (Piece(first_s, 4, 1), Piece(ended_s, 4 * tokens, tokens - 1))
        found.append(Record(at, sent_s, ended_s, pieces, answer_tokens=tokens))
        heapq.heappush(free, ended_s)
    return found


def test_rates_of_short_runs_differ_by_chance_one_time_in_twenty() -> None:
    """With fixed seeds; parts that are shorter than an answer give 17 of 20."""

    def of(scale: float) -> Callable[[int], intervals.Interval | None]:
        def found(n: int) -> intervals.Interval | None:
            before, after = loop(f"a{n}", 200), loop(f"b{n}", 200, scale=scale)
            return intervals.of_means(
                *(comparing.parts(each, lambda one: one.answer_tokens) for each in (before, after))
            )

        return found

    same, _ = shares(of(1.0), 150)
    assert 0.91 <= same <= 0.99
    _, found = shares(of(1 / 1.3), 20)
    assert found >= 0.9


def test_the_interval_of_rates_is_welchs_with_relative_errors() -> None:
    """Means of 10 and 20, variances of 10: squared errors of 2 / 10² and 2 / 20², and 5.88 degrees of freedom."""
    before, after = [6.0, 8.0, 10.0, 12.0, 14.0], [16.0, 18.0, 20.0, 22.0, 24.0]
    half = 2.571 * math.sqrt(0.02 + 0.005)
    ends = (math.expm1(math.log(2) - half), math.expm1(math.log(2) + half))
    assert intervals.of_means(before, after) == pytest.approx(ends)


def test_a_run_that_is_short_against_its_answers_has_no_interval_of_rates() -> None:
    short = loop("a", 100)
    assert len(comparing.parts(short, lambda _: 1.0)) < intervals.LEAST
    assert intervals.of_means(*[comparing.parts(short, lambda _: 1.0)] * 2) is None
    assert intervals.of_means([0.0] * 9, [1.0] * 9) is None
    assert intervals.of_means([2.0] * 9, [3.0] * 9) == pytest.approx((0.5, 0.5))
    series = [1.0, 2.0, 3.0, 4.0] * 3
    for scale in (1e-300, 1e300):  # whatever the unit
        scaled = [value * scale for value in series]
        assert intervals.of_means(scaled, series[::-1]) is not None
        assert intervals.of_means(scaled, scaled) == pytest.approx(intervals.of_means(series, series))


def test_what_cannot_have_an_interval_has_none() -> None:
    assert intervals.of_repeats([1.0], [1.0, 2.0]) is None
    assert intervals.of_repeats([1.0, 0.0, 2.0], [1.0, 2.0, 3.0]) is None
    assert intervals.of_repeats([1.0, 1.0], [2.0, 2.0]) == pytest.approx((1, 1))
    assert intervals.of_percentile([1.0, 2.0], [1.0] * 50, 0.5, "") is None
    assert intervals.of_percentile([0.0] * 50, [1.0] * 50, 0.5, "") is None


def test_the_interval_of_shares_is_newcombes() -> None:
    """56 of 70 and 48 of 80: 0.0524 to 0.3339, from the paper's table of examples."""
    found = intervals.of_shares((48, 80), (56, 70))
    assert found == pytest.approx((0.0524, 0.3339), abs=0.0001)


def test_with_numpy_and_without_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = series("a", 300), series("b", 300)
    found = intervals.of_percentile(before, after, 0.99, "x")
    monkeypatch.setitem(__import__("sys").modules, "numpy", None)
    assert intervals.of_percentile(before, after, 0.99, "x") == found


def side(records: Sequence[Record], name: str = "side", *, kept: bool = True) -> Side:
    return Side(name, benches.result(records), records if kept else ())


def verdicts(found: Comparison) -> dict[str, tuple[Verdict, Basis]]:
    return {each.metric: (each.verdict, each.basis) for each in found.differences}


def test_two_halves_of_one_distribution_are_no_different_and_a_slower_server_is_worse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(intervals, "MOST", 1000)
    monkeypatch.setattr(intervals, "FEWEST", 1000)
    before = side(benches.records(500, seed=1))
    same, slow = (compare(before, side(benches.records(500, seed=6, scale=scale))) for scale in (1.0, 1.2))
    assert {*verdicts(same).values()} == {(Verdict.SAME, Basis.REQUESTS)}
    assert {*verdicts(slow).values()} == {(Verdict.WORSE, Basis.REQUESTS)}
    assert "items per second" not in verdicts(same)
    assert compare(before, before) == compare(before, before)
    fast = compare(side(benches.records(500, seed=1, scale=1.2)), before)
    assert {verdict for verdict, _ in verdicts(fast).values()} == {Verdict.BETTER}


def test_repeats_decide_where_there_are_enough_of_them() -> None:
    first, second = (benches.several(5, seed=seed, noise=0.02) for seed in (1, 2))
    found = verdicts(compare(side(first, kept=False), side(second, kept=False)))
    assert {*found.values()} == {(Verdict.SAME, Basis.REPEATS)}
    slow = benches.several(5, seed=3, noise=0.02, scale=1.3)
    assert verdicts(compare(side(first), side(slow)))["TTFT p50"] == (Verdict.WORSE, Basis.REPEATS)


def test_without_repeats_and_records_nothing_is_judged() -> None:
    first, second = (side(benches.records(200, seed=seed), kept=False) for seed in (1, 2))
    found = compare(first, second)
    assert {*verdicts(found).values()} == {(Verdict.UNKNOWN, Basis.NOTHING)}
    assert {each.why for each in found.differences} == {"it takes 3 repeats of each, or the records of both"}
    assert all(each.surely_worse == 0 and each.change is not None for each in found.differences)


def test_a_tail_takes_many_requests() -> None:
    found = compare(*(side(benches.records(399, seed=seed)) for seed in (1, 2)))
    whys = {each.metric: each.why for each in found.differences if each.verdict is Verdict.UNKNOWN}
    assert {*whys} == {f"{name} p99" for name in ("TTFT", "ITL", "TPOT", "latency")}
    assert {*whys.values()} == {"it takes 400 requests of each"}


def test_failures_are_compared_because_times_are_of_answers_alone() -> None:
    before, after = side(benches.records(500, seed=1)), side(benches.records(500, seed=1, failing={"x": 25}))
    found = {each.metric: each for each in compare(before, after).differences}[comparing.FAILED]
    assert (found.before, found.after, found.change, found.verdict) == (0, 0.05, 0.05, Verdict.WORSE)
    assert 0.03 < found.surely_worse < 0.05


def test_rates_are_those_of_the_time_in_which_the_load_was_whole() -> None:
    """Ten requests in turn, of a second each, whose tokens come in the second half: two parts of four seconds."""
    found = [Record(n, n, n + 1, (Piece(n + 0.5, 1), Piece(n + 1, 1)), answer_tokens=20) for n in range(10)]
    assert comparing.parts(found, lambda one: one.answer_tokens) == pytest.approx([20, 20])
    assert comparing.parts(found[:3], lambda _: 1.0) == []
    assert comparing.parts([replace(one, error="x") for one in found], lambda _: 1.0) == []


def load(**given: Any) -> Callable[[Result], Result]:  # noqa: ANN401  fields
    return lambda result: replace(result, load=replace(result.load, **given))


def prompts(**given: Any) -> Callable[[Result], Result]:  # noqa: ANN401  fields
    return lambda result: replace(result, prompts=result.prompts._replace(**given))


CONDITIONS: dict[str, tuple[Callable[[Result], Result], bool]] = {
    "load": (load(shape=Shape.POISSON, concurrency=None, rate=4.0), True),
    "requests in flight": (load(concurrency=16), True),
    "warm-up": (load(warmup=0), True),
    "seed": (load(seed=8), False),
    "prompts": (prompts(source="others.jsonl"), True),
    "prefix reuse": (prompts(reuse=0.9), True),
    "most tokens of an answer": (prompts(max_tokens=128), True),
    "answers of exactly so many": (prompts(exact=False), True),
    "tokens counted by": (lambda r: replace(r, figures=replace(r.figures, tokens_from="tokenizer")), True),
    "client": (lambda r: replace(r, machine=r.machine._replace(cores=2)), True),
    "system of the client": (lambda r: replace(r, machine=r.machine._replace(system="Linux 7")), False),
    "server hardware": (lambda r: replace(r, hardware=r.hardware._replace(gpus="L4")), False),
    "version of tritonrepo": (lambda r: replace(r, tool="tritonrepo 9"), False),
    "the client keeps up": (lambda r: replace(r, client_bound=True), True),
}


@tabled("name", CONDITIONS)
def test_conditions_that_differ_are_named_those_that_make_it_void_first(name: str) -> None:
    change, void = CONDITIONS[name]
    result = benches.result(benches.records(120))
    found = compare(Side("a", result), Side("b", change(result)))
    assert name in [each.name for each in found.conditions]
    assert bool(found.void) is void
    assert [each.void for each in found.conditions] == sorted((each.void for each in found.conditions), reverse=True)


def test_what_is_under_test_is_no_condition() -> None:
    result = benches.result(benches.records(120))
    other = replace(result, target="http://other", protocol="openai-chat", model="m", began="2027-01-01T00:00:00Z")
    assert compare(Side("a", result), Side("b", prompts(reuse=0.32)(other))).conditions == ()


def written(name: str, *made: tuple[Result, Sequence[Record]], kept: bool = True) -> str:
    Path(f"{name}.json").write_text(data.document([result for result, _ in made], ()), "utf-8")
    if kept:
        every = [line for n, (result, found) in enumerate(made) for line in lines(result, found, n)]
        Path(f"{name}.jsonl").write_text("\n".join(every), "utf-8")
    return f"{name}.json"


def one(seed: int, **given: Any) -> tuple[Result, Sequence[Record]]:  # noqa: ANN401  of records
    found = benches.records(400, seed=seed, **given)
    return benches.result(found), found


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("made")
    with contextlib.chdir(place):
        written("before", one(1))
        written("same", one(6))
        written("slow", one(3, scale=1.2))
        written("bare", one(6), kept=False)
        found = benches.records(400, seed=5)
        written("other", (load(concurrency=9)(benches.result(found)), found))
        written("sweep", *benches.sweep((1, 2, 4)), kept=False)
        written("short", *benches.sweep((1, 2), "http://other"), kept=False)
        written("two", *benches.sweep((32, 64)), kept=False)
        three = benches.records(3)
        Path("three.jsonl").write_text("\n".join(lines(benches.result(three), three)), "utf-8")
        Path("x.jsonl").write_text("{}", "utf-8")
        Path("binary").write_bytes(b"\xff\x00")
        Path("empty.json").write_text('{"results": []}', "utf-8")
    return place


@pytest.fixture(autouse=True)
def files(inside: Path, request: pytest.FixtureRequest) -> None:
    if "capsys" in request.fixturenames:  # of the command line
        shutil.copytree(request.getfixturevalue("made"), inside, dirs_exist_ok=True)


GATES: dict[str, tuple[str, int, list[str]]] = {
    "no difference": ("before.json same.json --fail-above 5%", 0, []),
    "a difference without a limit": ("before.json slow.json", 0, []),
    "a difference above the limit": ("before.json slow.json --fail-above 5%", 1, ["bench-regression"]),
    "one below the limit": ("before.json slow.json --fail-above 50%", 0, []),
    "a metric that is no different": ("before.json same.json --fail-above 0% --metric ttft\xa0p50", 0, []),
    "other conditions": ("before.json other.json", 0, ["bench-conditions"]),
    "other conditions and a limit": ("before.json other.json --fail-above 90%", 1, ["bench-conditions"]),
    "nothing certain": ("before.json bare.json", 0, []),
    "nothing certain and a limit": ("before.json bare.json --fail-above 5%", 1, ["bench-unjudged"]),
    "records elsewhere": ("before.json bare.json --fail-above 5% --records-after same.jsonl", 0, []),
    "a metric that is not there": (
        "before.json same.json --fail-above 5% --metric items\xa0per\xa0second",
        1,
        ["bench-unjudged"],
    ),
    "a load that is gone": ("sweep.json short.json --fail-above 5%", 1, ["bench-unjudged"]),
    "loads that are gone without a limit": ("sweep.json short.json", 0, []),
}


@pytest.mark.parametrize(("words", "code", "rules"), GATES.values(), ids=GATES)
def test_the_exit_code_says_what_is_certain(
    capsys: pytest.CaptureFixture[str], words: str, code: int, rules: list[str]
) -> None:
    arguments = ["bench", "compare", *(word.replace("\xa0", " ") for word in words.split(" "))]
    assert run(arguments) == code
    said = capsys.readouterr()
    assert "before: " in said.out
    assert [rule for rule in rules if f"[{rule}]" not in said.err] == []
    assert bool(said.err) is bool(rules)
    assert run([*arguments, "--format", "json"]) == code
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SCHEMA)
    assert sorted({each["rule"] for each in document["diagnostics"]}) == rules


REFUSED: dict[str, tuple[str, int, str]] = {
    "no file": ("before.json nowhere.json", 2, "nowhere.json: fatal: the file does not exist"),
    "a directory": ("before.json .", 2, ".: fatal: the path is not a regular file"),
    "not a result": ("before.json before.jsonl", 2, "before.jsonl: fatal: this is not a result of `tritonrepo bench`"),
    "not UTF-8": ("before.json binary", 2, "binary: fatal: the file is not UTF-8: invalid start byte at byte 0"),
    "no results": ("before.json empty.json", 2, "empty.json: fatal: the file holds no result"),
    "records of another run": (
        "before.json bare.json --records-after three.jsonl",
        2,
        "three.jsonl: fatal: these are not the records of bare.json: 3 requests, not 400",
    ),
    "records that are none": ("before.json bare.json --records-after x.jsonl", 2, "x.jsonl:1: fatal: this line is not"),
    "no percentage": ("before.json same.json --fail-above 5", 2, '"5" is not a percentage, such as 5%.'),
    "a negative one": ("before.json same.json --fail-above -5%", 2, '"-5%" is not a percentage, such as 5%.'),
    "an unknown metric": ("before.json same.json --metric TTFT", 2, 'unknown metric "TTFT". Did you mean "TTFT p'),
    "no load in common": ("sweep.json two.json", 2, "two.json: fatal: no result of two.json has the load of one"),
}


@pytest.mark.parametrize(("words", "code", "says"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_compared_is_named(capsys: pytest.CaptureFixture[str], words: str, code: int, says: str) -> None:
    assert run(["bench", "compare", *words.split(" ")]) == code
    assert says in capsys.readouterr().err


def test_results_are_matched_by_target_or_by_its_place(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "compare", "sweep.json", "short.json", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["after"].rpartition(", ")[2] for each in document["comparisons"]] == ["1 at once", "2 at once"]
    assert document["without_counterpart"] == ["sweep.json: grpc://127.0.0.1:8001/rag, 4 at once"]
    written("both", *benches.sweep((2, 1), "http://other"), *benches.sweep((4, 2)), kept=False)
    assert run(["bench", "compare", "sweep.json", "both.json", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {each["after"].partition(" ")[2] for each in document["comparisons"]} == {
        "grpc://127.0.0.1:8001/rag, 2 at once",
        "grpc://127.0.0.1:8001/rag, 4 at once",
    }


def test_only_what_is_certain_counts_as_worse() -> None:
    found = Difference("m", "ms", False, 1, 2, 1, 0.1, 0.3, Basis.REQUESTS, Verdict.WORSE)  # noqa: FBT003
    assert found.surely_worse == 0.1
    assert replace(found, low=-0.1).surely_worse == 0
    assert replace(found, more_is_better=True).surely_worse == 0
    assert replace(found, more_is_better=True, low=-0.3, high=-0.2).surely_worse == 0.2
