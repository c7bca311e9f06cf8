"""`tritonrepo cost`: the table, the other formats, the form, and results of bench."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests import benches
from tests.benches import BROKEN, records, several
from tritonrepo.bench import saved
from tritonrepo.bench.figures import Slo
from tritonrepo.bench.record import Record
from tritonrepo.bench.result import Hardware, Observed, Result
from tritonrepo.cli import run
from tritonrepo.cost.keys import KEYS

ROOT = Path(__file__).parent.parent
SCHEMAS = ROOT / "schemas"
SEED = str(ROOT / "examples" / "models" / "seed" / "cost.yaml")
SLO = Slo({"ttft": 200.0})
FILE = """currency: USD
shared:
  gpus: 2
  replicas: 1
  hours: 730
  gpu_hour: {value: [1.1, 2.2, 3.3], date: 2026-11-01, source: "a <quote> | `of` three"}
  utilization: {value: [0.2, 0.4, 0.6], date: 2026-11-01, source: traffic}
  engineer_hour: 75
  api_million_output: 0.9
options:
  rag: {tokens_per_second: [1500, 2100, 3000], setup_hours: 40, care_hours: 8}
  other: {tokens_per_second: [1400, 1950, 2800], setup_hours: 60, license_gpu_year: 4500}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cost.yaml").write_text(FILE, "utf-8")


def result(found: Sequence[Record], slo: Slo | None = None) -> Result:
    """Return a result of which nothing is stated that its figures could contradict."""
    return replace(benches.result(found, slo=slo), hardware=Hardware(), observed=Observed())


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    """Return the exit code and the document of a command."""
    code = run(["cost", *arguments, "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    jsonschema.validate(found, json.loads((SCHEMAS / "cost.schema.json").read_text("utf-8")))
    return code, found


def measured(*results: Result, path: str = "result.json") -> str:
    """Write results as bench does; return the path."""
    Path(path).write_text(json.dumps({saved.KEY: [saved.as_data(each) for each in results]}), "utf-8")
    return path


@pytest.mark.usefixtures("here")
def test_the_table_has_low_mid_and_high_and_says_what_they_mean(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "cost.yaml", "--today", "2026-11-28"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "cost.yaml: 2 options, amounts in USD"
    assert [re.split(r" {2,}", line) for line in lines if line.startswith(("GPUs a month", "license a month"))] == [
        ["GPUs a month", "3,212 (1,606 to 4,818)", "3,212 (1,606 to 4,818)"],
        ["license a month", "-", "750"],
    ]
    said = "\n".join(lines)
    assert "no difference within your inputs" in said
    assert "utilization (3 times)" in said
    assert said.index("\nutilization  ") < said.index("\ngpu_hour  ") < said.index("\ntokens_per_second  ")
    assert '"rag" is cheaper than the API from' in said


def test_explain_has_every_figure_with_its_formula_in_names_and_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", SEED, "--explain"]) == 1
    said = capsys.readouterr().out
    assert "  gpu_month = gpu_hour * gpus * replicas * hours = 3.25 * 2 * 1 * 730 = 4,745\n" in said
    assert "  year1 = 12 * month + once = 12 * 4,745 + 3,000 = 59,940\n" in said
    assert "  license_speed_up = 1 + license_month / gpu_month = 1 + 750 / 4,745 = 1.158\n" in said
    assert "it saves 36 h * 75 = USD 2,700, and would have to save 84 h more." in said


@pytest.mark.usefixtures("here")
def test_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    code, found = document(capsys, "cost.yaml", "--today", "2026-11-28")
    assert (code, found["currency"], found["baseline"], found["compared_by"]) == (0, "USD", "rag", "million_output")
    rag = found["options"][0]
    assert rag["figures"]["gpu_month"] == {
        "low": 1606,
        "mid": 3212,
        "high": 4818,
        "unit": "money",
        "formula": "gpu_hour * gpus * replicas * hours",
    }
    assert rag["inputs"]["gpu_hour"]["mid"] == 2.2
    assert [each["input"] for each in rag["moved_by"]] == ["utilization", "gpu_hour", "tokens_per_second"]
    assert found["comparisons"][0]["differs"] is False
    assert found["more_than_the_choice"] == ["utilization", "gpu_hour", "tokens_per_second"]
    code, found = document(capsys, "nowhere.yaml")
    assert (code, [each["rule"] for each in found["diagnostics"]], found["options"]) == (2, ["cost-missing"], [])
    code, found = document(capsys, SEED)
    assert (code, [each["year1"] for each in found["published"]]) == (1, [59940, 63540, 110940])
    assert [each["rate"] for each in found["published"]] == [75, 110, 0]


@pytest.mark.usefixtures("here")
def test_markdown_keeps_foreign_text_in_its_cell(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "cost.yaml", "--format", "markdown"]) == 0
    said = capsys.readouterr().out
    assert "| input of | name | value | unit | date | source |\n| --- | --- | ---: | --- | --- | --- |\n" in said
    assert said.startswith("| USD | rag | other |\n| --- | ---: | ---: |\n| GPUs a month | 3,212 (1,606 to 4,818) |")
    assert "| a \\<quote\\> \\| \\`of\\` three |" in said


@pytest.mark.usefixtures("here")
def test_the_page_and_the_picture_need_nothing_else() -> None:
    assert run(["cost", "cost.yaml", "--html", "a.html", "--svg", "a.svg"]) == 0
    page, picture = Path("a.html").read_text("utf-8"), Path("a.svg").read_text("utf-8")
    drawing = ET.fromstring(picture)
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    assert "utilization" in picture
    for text in (page, picture):
        assert not re.search(r"(?:src|href)=|url\(|@import|<script", text)
    assert "a &lt;quote&gt; | `of` three" in page
    assert page.count("<svg") == 3
    assert page.count('<div class="scroll" role="region" aria-label="') == page.count('tabindex="0"') == 2
    assert '<th scope="row">GPUs a month</th><td>3,212 (1,606 to 4,818)</td>' in page
    told = re.findall("<desc>(.*?)</desc>", page)
    assert "rag: " in told[0]
    assert re.search(r"utilization 0\.\d+ to 0\.\d+: [\d.]+ to [\d.]+", told[1])
    assert page.count("<figcaption>") == 2
    assert run(["cost", SEED, "--svg", "b.svg"]) == 1
    assert "What a month is made of" in Path("b.svg").read_text("utf-8")


@pytest.mark.usefixtures("here")
def test_the_form_has_every_input_and_no_price(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "init", "new.yaml"]) == 0
    assert capsys.readouterr() == ("+ new.yaml\n", "Next: fill it in, then\n  tritonrepo cost new.yaml\n")
    text = Path("new.yaml").read_text("utf-8")
    assert not re.search(r":[ \t]+[^#\s]", re.sub(r"#.*", "", text))
    assert {name for name in KEYS if not re.search(rf"\b{name}:", text)} == set()
    first, second = text.split("  vLLM:\n")[1].split("  Triton:\n")
    inputs = re.findall(r"^    (\w+):", first, re.MULTILINE)
    assert re.findall(r"^    (\w+):", second, re.MULTILINE) == inputs
    assert (first.count("#"), second.count("#")) == (len(inputs) + 1, 0)  # one each, and the license's other form
    assert text.count("license_gpu_hour:") == 1
    assert run(["cost", "new.yaml"]) == 2
    said = capsys.readouterr().err
    assert "new.yaml:8:10: fatal: 28 inputs are empty [cost-empty]\n  line 8: currency\n" in said
    assert run(["cost", "init", "new.yaml"]) == 0
    Path("new.yaml").write_text(f"{text} ", "utf-8")
    assert run(["cost", "init", "new.yaml"]) == 2
    assert Path("new.yaml").read_text("utf-8") == f"{text} "


@pytest.mark.usefixtures("here")
def test_a_filled_form_can_be_computed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["cost", "init"]) == 2
    Path("cost.yaml").unlink()
    assert run(["cost", "init"]) == 0
    empty = re.compile(r"^( +(?:value|gpus|replicas|hours|spare)):$", re.MULTILINE)
    text = empty.sub(r"\1: 1", Path("cost.yaml").read_text("utf-8"))
    capsys.readouterr()
    Path("cost.yaml").write_text(text.replace("currency:", "currency: EUR"), "utf-8")
    code, found = document(capsys, "cost.yaml")
    assert code == 0
    assert "replicas" in found["options"][0]["inputs"]
    missing = {each["message"] for each in found["diagnostics"]}
    assert missing == {
        "21 inputs have no date",
        "21 inputs have no source",
        '"vLLM" pays for 1 replica, but the peak needs 2',
        '"Triton" pays for 1 replica, but the peak needs 2',
    }


@pytest.mark.usefixtures("here")
def test_a_result_of_bench_gives_throughput_tokens_and_rate(capsys: pytest.CaptureFixture[str]) -> None:
    found = replace(result(several(3), slo=SLO), hardware=Hardware(replicas=2))
    good = found.figures.goodput
    assert good is not None
    assert good.tokens_per_s is not None
    code, said = document(capsys, "cost.yaml", "--bench", measured(found))
    inputs = said["options"][0]["inputs"]
    assert code == 0
    assert inputs["tokens_per_second"]["mid"] == float(f"{good.tokens_per_s / 2:.6g}")
    assert inputs["tokens_per_second"]["low"] < inputs["tokens_per_second"]["high"]
    assert inputs["replica_rate"]["mid"] == float(f"{good.requests_per_s / 2:.6g}")
    assert (inputs["answer_tokens"]["mid"], inputs["input_output_ratio"]["mid"]) == (64, 8)
    assert inputs["tokens_per_second"]["source"] == "tritonrepo 0.1.0: grpc://127.0.0.1:8001/rag"
    assert inputs["tokens_per_second"]["date"] == "2026-05-04"
    assert said["options"][1]["inputs"]["tokens_per_second"]["mid"] == 1950


@pytest.mark.usefixtures("here")
def test_a_result_is_of_the_option_that_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    path = measured(result(records(), slo=SLO))
    _, found = document(capsys, "cost.yaml", "--bench", f"other={path}")
    assert "answer_tokens" not in found["options"][0]["inputs"]
    assert "answer_tokens" in found["options"][1]["inputs"]
    Path("cost.yaml").write_text(FILE.replace("  rag: {", '  a: {bench: "GRPC://127.0.0.1:8001/rag", '), "utf-8")
    _, found = document(capsys, "cost.yaml", "--bench", path)
    assert "answer_tokens" in found["options"][0]["inputs"]
    Path("cost.yaml").write_text(FILE.replace("  rag: {", "  a: {"), "utf-8")
    assert run(["cost", "cost.yaml", "--bench", path]) == 2
    assert 'no option has the name of a model that was measured: "rag" [cost-bench-option]' in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_of_several_loads_the_one_with_the_most_goodput_is_taken(capsys: pytest.CaptureFixture[str]) -> None:
    slow, fast = (result(records(scale=scale), slo=SLO) for scale in (1.5, 1.0))
    cheating = replace(result(records(scale=0.1), slo=SLO), judgements=(BROKEN,))
    _, found = document(capsys, "cost.yaml", "--bench", measured(slow, cheating, fast))
    good = fast.figures.goodput
    assert good is not None
    assert good.tokens_per_s is not None
    assert found["options"][0]["inputs"]["tokens_per_second"]["mid"] == float(f"{good.tokens_per_s:.6g}")
    (passed,) = [each["message"] for each in found["diagnostics"] if "passed over" in each["message"]]
    assert passed == f'a result of "{cheating.target}" is passed over, because it cannot be true: {BROKEN.says}'


@pytest.mark.usefixtures("here")
def test_without_an_slo_the_throughput_is_doubtful(capsys: pytest.CaptureFixture[str]) -> None:
    odd = replace(result(records(failing={"HTTP 503": 3})), client_bound=True)
    code, found = document(capsys, "cost.yaml", "--bench", measured(odd))
    said = [each["message"] for each in found["diagnostics"] if each["rule"] == "cost-measured"]
    assert (code, said) == (
        0,
        [
            'the result for "rag" is doubtful: its throughput is not goodput: the run had no SLO',
            'the result for "rag" is doubtful: the client was too slow for what it measured',
            'the result for "rag" is doubtful: 3 requests of 200 failed',
        ],
    )


def unusable() -> Sequence[tuple[Result, str]]:
    """Return results that give no throughput, with what is said of them."""
    good = result(records(), slo=SLO)
    uncounted = replace(good.figures, goodput=None, steady_output_tokens_per_s=None, output_tokens_per_s=None)
    vectors = replace(uncounted, ttft_ms=None, itl_ms=None, tpot_ms=None)
    nothing = result(records(scale=50.0), slo=SLO)
    empty = replace(uncounted, output_tokens_per_s=0.0, steady_output_tokens_per_s=0.0)
    faked = replace(good.figures, output_tokens_per_s=10 * (good.figures.output_tokens_per_s or 0))
    failed = replace(vectors, succeeded=0, requests_per_s=0.0, errors={"refused": vectors.sent})
    return (
        (replace(good, judgements=(), figures=faked), "cannot be true: 9.82 times what is possible"),
        (replace(good, judgements=(BROKEN,)), "cannot be true: more tokens per second than the requests in flight"),
        (replace(good, figures=uncounted), "gives no throughput of tokens: nobody counted its tokens"),
        (replace(good, figures=vectors), "nobody counted its tokens, or the answers are not texts"),
        (replace(good, figures=empty), "gives no throughput of tokens: the answers are empty"),
        (replace(good, figures=failed), "gives no throughput of tokens: no request succeeded"),
        (nothing, "gives no throughput of tokens: no request kept the SLO"),
    )


@pytest.mark.usefixtures("here")
def test_results_that_cannot_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    for found, said in unusable():
        assert run(["cost", "cost.yaml", "--bench", measured(found)]) == 1
        assert said in capsys.readouterr().err
    Path("result.json").write_bytes(b"\xff\xfe")
    assert run(["cost", "cost.yaml", "--bench", "result.json"]) == 2
    assert (
        "result.json: fatal: the file is not UTF-8: invalid start byte at byte 0 [bench-result]"
        in capsys.readouterr().err
    )
    for option in ("result.json", "rag=result.json"):
        Path("result.json").write_text('{"schema": 1, "results": []}', "utf-8")
        assert run(["cost", "cost.yaml", "--bench", option]) == 2
        assert "result.json: fatal: the file has no results [bench-result]" in capsys.readouterr().err
    Path("result.json").write_text('{"results": [{"figures": NaN}]}', "utf-8")
    assert run(["cost", "cost.yaml", "--bench", "result.json"]) == 2
    assert "NaN is not a figure [bench-result]" in capsys.readouterr().err


@pytest.mark.usefixtures("here")
def test_a_path_with_an_equals_sign_is_a_path(capsys: pytest.CaptureFixture[str]) -> None:
    path = measured(result(records(), slo=SLO), path="a=b.json")
    code, found = document(capsys, "cost.yaml", "--bench", path)
    assert (code, "answer_tokens" in found["options"][0]["inputs"]) == (0, True)


@pytest.mark.usefixtures("here")
def test_hostile_names_neither_drive_a_terminal_nor_a_page(capsys: pytest.CaptureFixture[str]) -> None:
    name = '"\\e[31m<b>::x"'
    Path("cost.yaml").write_text(FILE.replace("  other:", f"  {name}:").replace("USD", '"\\e]0;"', 1), "utf-8")
    assert run(["cost", "cost.yaml", "--html", "a.html"]) == 0
    assert "\x1b" not in capsys.readouterr().out
    page = Path("a.html").read_text("utf-8")
    assert "\x1b" not in page
    assert "<b>" not in page
