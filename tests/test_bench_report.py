"""Results of `bench` as text, Markdown and JSON, and requests one by one."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests import benches
from tests.tabled import tabled
from tritonrepo.bench.figures import Slo
from tritonrepo.bench.recorded import records as recorded
from tritonrepo.bench.result import Observed, Result
from tritonrepo.bench.saved import results as saved
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop
from tritonrepo.report.bench import data, memory, shown
from tritonrepo.report.bench.markdown import markdown
from tritonrepo.report.bench.page import page
from tritonrepo.report.bench.records import lines
from tritonrepo.report.bench.steps import rows
from tritonrepo.report.bench.text import text

GOLDEN = Path(__file__).parent / "golden" / "bench"
SCHEMA = json.loads((Path(__file__).parent.parent / "schemas" / "bench.schema.json").read_text("utf-8"))
SLO = Slo({"ttft": 100.0, "itl": 30.0})
HOSTILE = "http://u:secret@h/<script>alert(1)</script>|`#_*\x1b[2J\n::error::\u202e"


def generator() -> Result:
    return benches.result(benches.records(failing={"503 Service Unavailable": 3}), slo=SLO)


def broken() -> Result:
    found = benches.result(benches.several(3), "openai+http://127.0.0.1:8000/v1")
    return replace(found, judgements=(benches.HOLDS, benches.BROKEN), client_bound=True, observed=Observed())


CASES: dict[str, Sequence[Result]] = {
    "two": [generator(), broken()],
    "embedder": [benches.result(benches.embedded(50))],
    "sweep": [result for result, _ in benches.sweep()],
    "early": [replace(generator(), ended_early="the server is gone")],
    "nothing": [benches.result(benches.records(5, failing={"refused": 5}))],
}


def compared(name: str, made: str) -> None:
    """GOLDEN=1 in the environment writes the golden files: review the difference."""
    path = GOLDEN / name
    if os.environ.get("GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made, "utf-8")
    assert made == path.read_text("utf-8"), name


@tabled("name", CASES)
def test_text_and_markdown_are_as_reviewed(name: str) -> None:
    compared(f"{name}.txt", "\n".join(text(CASES[name])) + "\n")
    compared(f"{name}.md", markdown(CASES[name]))


def test_verbose_text_lists_every_check_and_the_steps_of_many_loads() -> None:
    few, many = ("\n".join(text(CASES["sweep"], verbose=verbose)) for verbose in (False, True))
    assert "retriever" not in few
    assert few.count("Little's law holds") == 0
    assert many.count("retriever") == many.count("Little's law holds") == len(CASES["sweep"])


@tabled("form", ["text", "markdown", "page"])
def test_an_end_before_the_load_was_over_is_seen(form: str) -> None:
    ended = [replace(generator(), ended_early="interrupted"), replace(generator(), ended_early="the server is gone")]
    made = {"text": lambda: "\n".join(text(ended)), "markdown": lambda: markdown(ended), "page": lambda: page(ended)}
    assert "interrupted: these are the figures of what was answered by then" in made[form]()
    assert "the run gave up: the server is gone" in made[form]()


def test_answers_that_came_whole_have_no_time_to_their_first_token() -> None:
    whole = replace(generator().figures, ttft_ms=None, itl_ms=None, tpot_ms=None)
    found = replace(generator(), figures=whole, target="http://127.0.0.1:8000/v2/models/rag/generate")
    assert "since the answers came whole, not as a stream: ask …/generate_stream" in "\n".join(text([found]))
    assert "came whole" not in "\n".join(text(CASES["embedder"]))


def test_what_follows_from_a_sweep_is_in_the_table_and_on_the_page() -> None:
    says = ["the knee is at 8 <b>", "recommended: 4"]
    assert "The knee is at 8 &lt;b&gt;. Recommended: 4." in markdown(CASES["sweep"], says)
    assert "The knee is at 8 &lt;b&gt;. Recommended: 4." in page(CASES["sweep"], says=says)


def test_what_failed_is_in_the_table_to_publish() -> None:
    assert "3 of 200 requests failed: 3 × 503 Service Unavailable" in markdown([generator()])


def test_a_share_is_100_percent_only_if_it_is_the_whole() -> None:
    shares = (1.0, 0.9996, 0.986, 0.95, 0.949, 0.101, 0.05, 0.0)
    said = ["100%", "99.9%", "98.6%", "95.0%", "95%", "10%", "5.0%", "0.0%"]
    assert [shown.percent(share) for share in shares] == said


def test_without_results_it_says_so() -> None:
    assert [*text([])] == ["Nothing was measured."]


@tabled("name", CASES)
def test_the_document_has_the_form_of_its_schema_and_is_read_again(name: str) -> None:
    document = data.document(CASES[name], ())
    jsonschema.validate(json.loads(document), SCHEMA)
    assert saved(document, "r.json") == tuple(CASES[name])


def test_the_document_has_what_ended_the_command() -> None:
    found = Diagnostic("bench-failed", Severity.ERROR, Span("http://h"), "all failed")
    document = json.loads(data.document([], [found]))
    jsonschema.validate(document, SCHEMA)
    assert [each["rule"] for each in document["diagnostics"]] == ["bench-failed"]
    assert document["summary"]["error"] == 1


def _changed(document: Any, change: str) -> Any:  # noqa: ANN401  JSON
    figures = document["results"][0]["figures"]
    match change:
        case "a key more":
            figures["more"] = 1
        case "a key less":
            del figures["sent"]
        case "a text for a number":
            figures["duration_s"] = "1"
        case "an unknown state":
            document["results"][0]["judgements"][0]["state"] = "fine"
        case _:
            del document["summary"]["checks"]
    return document


CHANGES = ("a key more", "a key less", "a text for a number", "an unknown state", "no count of checks")


@tabled("change", CHANGES)
def test_the_schema_refuses_what_is_not_of_its_form(change: str) -> None:
    document = _changed(json.loads(data.document([generator()], ())), change)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_a_number_that_json_does_not_have_is_null() -> None:
    found = replace(generator(), machine=benches.MACHINE._replace(load=math.nan))
    document = json.loads(data.document([found], ()), parse_constant=pytest.fail)
    assert document["results"][0]["machine"]["load"] is None


def test_a_hostile_name_changes_no_form_and_shows_no_password() -> None:
    found = replace(generator(), target=HOSTILE, model=HOSTILE, judgements=(benches.BROKEN._replace(says=HOSTILE),))
    made = [*text([found]), *markdown([found]).split("\n"), data.document([found], ())]
    assert not [line for line in made if "secret" in line or "\x1b" in line or "\u202e" in line]
    assert not [line for line in markdown([found]).split("\n") if "<script>" in line.replace("`", "\0").split("\0")[0]]
    table = [line for line in markdown([found]).split("\n") if line.startswith("| ")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert not [line for line in text([found]) if line.lstrip().startswith("::")]


ROUNDED = {
    0: "0",
    0.00123456: "0.00123",
    0.5: "0.500",
    9.996: "10.0",
    99.96: "100",
    999.96: "1,000",
    1234567: "1,234,567",
    None: "–",
    math.inf: "–",
    math.nan: "–",
    -12.34: "-12.3",
}


@tabled("value,said", ROUNDED.items())
def test_a_figure_has_three_digits_that_count(value: float | None, said: str) -> None:
    assert shown.number(value) == said


def test_memory_counts_what_is_used_besides_weights_as_cache() -> None:
    found = memory.memory(generator())
    assert found == memory.Memory(156e9, 160e9, 141.1e9, 0.42)
    assert found.efficiency == pytest.approx((141.1 + 0.42 * 14.9) / 160)
    assert memory.said(found).startswith("at most 92% (156 of 160 GB used")
    unknown = memory.memory(replace(generator(), observed=Observed()))
    assert unknown.efficiency is None
    assert memory.said(unknown) == "141 GB of weights"
    assert memory.said(memory.Memory(None, None, None, None)) == "–"


def test_steps_stand_below_what_calls_them() -> None:
    llm = benches.STEPS[2]._replace(within="retriever", whole_ms=400.0, streams=True)
    found = rows([benches.STEPS[0], llm])
    assert [row[0] for row in found] == ["retriever", "  llm (streams)"]
    assert found[1][-2:] == ("400", "7.50")


def test_records_are_read_again() -> None:
    found = benches.records(40, failing={"http://u:secret@h refused": 2})
    result = benches.result(found)
    text_ = "\n".join([*lines(result, found), *lines(result, found[:3], 1)])
    assert "secret" not in text_
    again = recorded(text_, "r.jsonl")
    assert (len(again[0]), len(again[1])) == (40, 3)
    for one, other in zip(found, again[0], strict=True):
        assert (one.ok, one.number, one.answer_tokens, one.repeat) == (
            *(other.ok, other.number, other.answer_tokens, other.repeat),
        )
        for mine, read in ((one.ttft_s, other.ttft_s), (one.latency_s, other.latency_s), (one.itl_s, other.itl_s)):
            assert (mine is None) == (read is None)
            assert read is None or mine == pytest.approx(read, abs=1e-6)


def _line(**changes: Any) -> str:  # noqa: ANN401  JSON
    found = benches.records(2)
    said: dict[str, Any] = json.loads(next(lines(benches.result(found), found)))
    return json.dumps({name: value for name, value in {**said, **changes}.items() if value != "left out"})


BAD_LINES = {
    "no JSON": ("{", "JSONDecodeError"),
    "a list": ("[]", "TypeError"),
    "no key": (_line(sent_ms="left out"), "KeyError: 'sent_ms'"),
    "no number": (_line(sent_ms="now"), "a number of milliseconds is needed, not 'now'"),
    "no time": (_line(sent_ms=math.nan), "a number of milliseconds is needed, not nan"),
    "a time before its start": (_line(ended_ms=-1), "a number of milliseconds is needed, not -1"),
    "a time without end": (_line(sent_ms=1e308), "a number of milliseconds is needed, not 1e+308"),
    "no place": (_line(result=-1), "a whole number is needed, not -1"),
    "unequal lists": (_line(chunk_tokens=[]), "ValueError"),
    "an unknown source": (_line(tokens_from="guess"), "'guess' is not a valid Source"),
    "nested deep": ("[" * 100_000, "RecursionError"),
}


@tabled("line,says", BAD_LINES.values(), ids=BAD_LINES)
def test_a_line_that_is_no_record_is_named(line: str, says: str) -> None:
    with pytest.raises(Stop) as stopped:
        recorded(f"{_line()}\n\n{line}\n", "r.jsonl")
    (found,) = stopped.value.diagnostics
    assert (found.rule, found.at) == ("bench-records", Span("r.jsonl", 3))
    assert says in found.message


def test_tokens_of_several_loads_are_a_range_if_one_counted_them() -> None:
    results = [benches.result(benches.records(20, tokens=tokens)) for tokens in (64, 80)]
    assert "\ntokens: counted by the server, 512 in on average, 64.0 to 80.0 out on average\n" in "\n".join(
        text(results)
    )
    other = replace(results[1], figures=replace(results[1].figures, tokens_from="tokenizer"))
    said = "\n".join(text([results[0], replace(other, load=replace(other.load, concurrency=16))]))
    assert "\ntokens: 8 at once: counted by the server, 512 in on average, 64.0 out on average; 16 at once: " in said
