"""Ignore comments in a config: what they hide, and the findings on those that hide nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.cli import run
from tritonrepo.diagnostics import State
from tritonrepo.tree import of_text

RULE = "dynamic-preferred-above-max"
NEGATIVE = "max-batch-size-negative"
HIDE = f"# tritonrepo: ignore[{RULE}] known"
TENSORS = (
    'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] } output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }'
)
BATCHING = "dynamic_batching { preferred_batch_size: [ 4, 16 ] max_queue_delay_microseconds: 100 }"
PLAIN = f'backend: "identity"\nmax_batch_size: 8\n{TENSORS}\n'
TWO = f"""\
backend: "identity" max_batch_size: 8
{TENSORS}
dynamic_batching {{
  preferred_batch_size: [ 16,{{}}
    32 ] max_queue_delay_microseconds: 100
}}
"""


def said(config: str) -> tuple[list[str], int]:
    """Return `line: rule` of the findings on a config, and how many are hidden."""
    found = judged({"m/config.pbtxt": of_text(config), "m/1/weights": of_text("")})
    return [f"{each.at.line}: {each.rule}" for each in found.diagnostics], found.ignored


PLACES: dict[str, tuple[str, list[str], int]] = {
    "after the finding": (f"{PLAIN}{BATCHING}  {HIDE}\n", [], 1),
    "above it": (f"{PLAIN}{HIDE}\n{BATCHING}\n", [], 1),
    "above it, with a comment and an empty line between": (f"{PLAIN}{HIDE}\n\n# batches\n\n{BATCHING}", [], 1),
    "above the first field": (f"# a model\n\n{HIDE}\n{PLAIN}{BATCHING}", [], 1),
    "after the previous line": (f"{PLAIN.rstrip()} {HIDE}\n{BATCHING}", ["3: ignore-unused", f"4: {RULE}"], 0),
    "below it": (f"{PLAIN}{BATCHING}\n{HIDE}", [f"4: {RULE}", "5: ignore-unused"], 0),
    "two lines above": (
        f"{HIDE.join(PLAIN.splitlines(keepends=True)[:1])}max_batch_size: 8\n{HIDE}\n{TENSORS}\n{BATCHING}",
        ["3: ignore-unused", f"5: {RULE}"],
        0,
    ),
    "one line of two": (TWO.replace("{}", f"  {HIDE}"), [f"5: {RULE}"], 1),
    "the whole model of two": (f"{HIDE}\n{TWO.replace('{}', '')}", [], 2),
    "another rule": (
        f"{PLAIN}{BATCHING} # tritonrepo: ignore[{NEGATIVE}] known",
        [f"4: {RULE}", "4: ignore-unused"],
        0,
    ),
    "two rules, one of them unused": (
        f"{PLAIN}{BATCHING} # tritonrepo: ignore[{NEGATIVE}, {RULE}] known",
        ["4: ignore-unused"],
        1,
    ),
    "twice": (f"{HIDE}\n{PLAIN}{BATCHING} {HIDE}", [], 1),
    "without spaces": (f"{PLAIN}{BATCHING}#tritonrepo:ignore[{RULE}]known", [], 1),
    "lines that end in CR LF": (f"{PLAIN}{HIDE}\n{BATCHING}\n".replace("\n", "\r\n"), [], 1),
    "no reason": (f"{PLAIN}{BATCHING} # tritonrepo: ignore[{RULE}]  \r\n", ["4: ignore-without-reason"], 1),
    "no names": (f"{PLAIN}{BATCHING} # tritonrepo: ignore[ , ] known", [f"4: {RULE}", "4: ignore-not-readable"], 0),
    "no brackets": (f"{PLAIN}{BATCHING} # tritonrepo: ignore {RULE}", [f"4: {RULE}", "4: ignore-not-readable"], 0),
    "an unknown rule": (
        f"{PLAIN}{BATCHING} # tritonrepo: ignore[preferred-above-max] known",
        [f"4: {RULE}", "4: ignore-unknown-rule"],
        0,
    ),
    "a name in the middle of a comment": (f"{PLAIN}{BATCHING} # see {HIDE[2:]}", [f"4: {RULE}"], 0),
    "what looks like a comment in a string": (
        f'{PLAIN}parameters {{ key: "{HIDE}" value {{ string_value: "" }} }} {BATCHING}',
        [f"4: {RULE}"],
        0,
    ),
    "a finding on another file, above the first field": (
        f'# tritonrepo: ignore[label-file-missing] made at deployment\n{PLAIN[:-3]} label_filename: "l.txt" }}\n',
        [],
        1,
    ),
    "a syntax error": (f"{PLAIN}max_batch_size: x  # tritonrepo: ignore[scalar-field-twice] known\n", [], 1),
    "a comment about comments cannot be hidden": (
        f"{PLAIN}# tritonrepo: ignore[ignore-unused] known\n",
        ["4: ignore-unused"],
        0,
    ),
}


@tabled(("config", "left", "ignored"), PLACES.values(), ids=PLACES)
def test_a_comment_hides_what_it_is_for(config: str, left: list[str], ignored: int) -> None:
    assert said(config) == (left, ignored)


HINTS = {
    "elsewhere in the config": (
        f"{PLAIN}{HIDE}\n{TENSORS}\n{BATCHING}",
        "Move the comment to line 6, which has such a finding.",
    ),
    "nowhere": (f"{HIDE}\n{PLAIN}", "Remove the rule name."),
    "on another file": (
        f"{PLAIN}parameters {{ }} # tritonrepo: ignore[version-zero] known\n",
        "Move the comment above the first field, where it applies to the whole model, including m/0.",
    ),
}


@pytest.mark.parametrize(("config", "hint"), HINTS.values(), ids=HINTS)
def test_the_hint_for_an_unused_comment_says_where_to_move_it(config: str, hint: str) -> None:
    tree = {"m/config.pbtxt": of_text(config), "m/1/weights": of_text(""), "m/0/weights": of_text("")}
    (found,) = [each for each in judged(tree).diagnostics if each.rule == "ignore-unused"]
    assert found.hint == hint


def test_the_verdict_stays() -> None:
    tree = {"m/config.pbtxt": of_text(f"{PLAIN}{BATCHING} {HIDE}"), "m/1/weights": of_text("")}
    (verdict,) = judged(tree).verdicts
    assert (verdict.verdict, verdict.rule) == (State.REFUSED, RULE)


def test_another_models_findings_are_not_hidden() -> None:
    tree = {name: of_text(f"{PLAIN}{BATCHING}") for name in ("m/config.pbtxt", "n/config.pbtxt")}
    tree["m/config.pbtxt"] = of_text(f"{HIDE}\n{PLAIN}{BATCHING}")
    found = judged(tree | {"m/1/weights": of_text(""), "n/1/weights": of_text("")})
    assert [str(each.at) for each in found.diagnostics] == ["n/config.pbtxt:4:47"]
    assert found.ignored == 1


def test_a_line_is_the_configs_not_that_of_another_file() -> None:
    rule = "vllm-unknown-engine-arg"
    config = f'backend: "vllm"\ninstance_group {{ kind: KIND_MODEL }} # tritonrepo: ignore[{rule}] known\n'
    tree = {"m/config.pbtxt": of_text(config), "m/1/model.json": of_text('{"model": "gpt2",\n"modle": "gpt2"}')}
    found = judged(tree, "--image vllm-python-py3")
    assert [each.rule for each in found.diagnostics] == [rule, "ignore-unused"]
    assert found.diagnostics[0].at.line == 2


def test_a_comment_in_a_huge_file_costs_little() -> None:
    comments = "# tritonrepo: ignore[no-such-rule, nor-this] x\n" * 50_000
    found, _ = said(f"{comments}{PLAIN}")
    assert 0 < len(found) <= 60
    assert said(f"{HIDE}\n{'#' * (5 << 20)}\n{PLAIN}{BATCHING}") == ([f"6: {RULE}"], 0)


@pytest.fixture
def hidden(inside: Path) -> Path:
    """A repository whose only error is hidden."""
    (inside / "models" / "m" / "1").mkdir(parents=True)
    (inside / "models" / "m" / "1" / "weights").touch()
    (inside / "models" / "m" / "config.pbtxt").write_text(f"{PLAIN}{BATCHING} {HIDE}")
    return inside / "models"


OPTIONS = {
    "as it is": ([], 0, "1 model: no problems found, 1 ignored\n"),
    "strict": (["--strict"], 0, "1 model: no problems found, 1 ignored\n"),
    "another rule selected": (["--select", "version-zero"], 0, "1 model: no problems found\n"),
    "ignored twice": (["--ignore", RULE], 0, "1 model: no problems found\n"),
}


@pytest.mark.parametrize(("options", "code", "out"), OPTIONS.values(), ids=OPTIONS)
def test_what_is_hidden_is_counted_where_it_would_be_shown(
    hidden: Path, capsys: pytest.CaptureFixture[str], options: list[str], code: int, out: str
) -> None:
    assert run(["validate", hidden.name, "--release", "24.10", *options]) == code
    assert capsys.readouterr().out == out


def test_json_counts_what_is_hidden_and_keeps_the_verdict(hidden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", hidden.name, "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["diagnostics"] == []
    assert (document["summary"]["error"], document["summary"]["ignored"]) == (0, 1)
    assert document["verdicts"][0]["verdict"] == "refused"


def test_a_warning_about_a_comment_can_be_ignored(hidden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (hidden / "m" / "config.pbtxt").write_text(f"{HIDE}\n{PLAIN}")
    assert run(["validate", hidden.name, "--strict"]) == 1
    assert run(["validate", hidden.name, "--strict", "--ignore", "ignore-unused"]) == 0
    assert "ignore-unused" in capsys.readouterr().out


def test_push_accepts_what_a_comment_hides(hidden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["push", hidden.name, str(hidden.with_name("served")), "--dry-run"]) == 0
    (hidden / "m" / "config.pbtxt").write_text(f"{PLAIN}{BATCHING}")
    assert run(["push", hidden.name, str(hidden.with_name("served")), "--dry-run"]) == 1
    assert RULE in capsys.readouterr().err


STACK = """\
name: s
target: {release: "24.10"}
models:
  m:
    backend: identity
    source: ./w
    config:
      max_batch_size: 8
      input: [{name: I, data_type: TYPE_FP32, dims: [4]}]
      output: [{name: O, data_type: TYPE_FP32, dims: [4]}]
      dynamic_batching: {preferred_batch_size: [4, 16]}
"""
BELOW = "      dynamic_batching"
IN_STACK: dict[str, tuple[str, list[str], int]] = {
    "none": (STACK, [f"11:52 {RULE}"], 0),
    "after the finding": (f"{STACK[:-1]}  {HIDE}\n", [], 1),
    "above it": (STACK.replace(BELOW, f"      {HIDE}\n\n# batches\n\n{BELOW}"), [], 1),
    "above the first key": (f"---\n{HIDE}\n{STACK}", [], 1),
    "with a byte order mark": (f"\ufeff{HIDE}\n{STACK}", [], 1),
    "with lines that end in CR LF": (f"{HIDE}\n{STACK}".replace("\n", "\r\n"), [], 1),
    "at another line": (
        STACK.replace("    backend", f"    {HIDE}\n    backend"),
        ["5:26 ignore-unused", f"12:52 {RULE}"],
        0,
    ),
    "in quotes": (STACK.replace("name: s", f"name: 's {HIDE}'"), [f"11:52 {RULE}"], 0),
    "in a text": (
        STACK.replace(
            "      max", f"      parameters:\n        a:\n          string_value: |\n            {HIDE}\n      max"
        ),
        [f"15:52 {RULE}"],
        0,
    ),
    "without a reason, and an unknown rule": (
        f"{STACK[:-1]} # tritonrepo: ignore[{RULE}, nosuch]\n",
        ["11:57 ignore-without-reason", "11:107 ignore-unknown-rule"],
        1,
    ),
    "not readable": (f"{STACK[:-1]} # tritonrepo: off\n", [f"11:52 {RULE}", "11:57 ignore-not-readable"], 0),
}


@pytest.mark.parametrize(("text", "left", "ignored"), IN_STACK.values(), ids=IN_STACK)
def test_a_comment_in_a_stack_file_hides_what_it_is_for(
    inside: Path, capsys: pytest.CaptureFixture[str], text: str, left: list[str], ignored: int
) -> None:
    (inside / "w").touch()
    (inside / "tritonrepo.yaml").write_bytes(text.encode())
    run(["validate", ".", "--format", "json"])
    document = json.loads(capsys.readouterr().out)
    assert [f"{each['line']}:{each['column']} {each['rule']}" for each in document["diagnostics"]] == left
    assert document["summary"]["ignored"] == ignored
    assert document["summary"]["verdicts"] == {"refused": 1}


def test_a_comment_in_one_stack_file_says_nothing_of_another(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "w").touch()
    (inside / "base.yaml").write_text(STACK)
    (inside / "tritonrepo.yaml").write_text(f"{HIDE}\nextends: base.yaml\nname: t\n")
    assert run(["validate", "."]) == 1
    assert "tritonrepo.yaml:1:22: warning: this file has no" in capsys.readouterr().out
    (inside / "base.yaml").write_text(f"{HIDE}\n{STACK}")
    (inside / "tritonrepo.yaml").write_text("extends: base.yaml\nname: t\n")
    assert run(["validate", ".", "--strict"]) == 0
    assert run(["validate", ".", "--strict", "--select", "vllm"]) == 0
    assert run(["validate", ".", "--select", RULE, "-v"]) == 0


def test_few_names_of_a_stack_file_are_read(inside: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (inside / "w").touch()
    (inside / "tritonrepo.yaml").write_text(STACK + "# tritonrepo: ignore[x] y\n" * 1000)
    run(["validate", "."])
    assert capsys.readouterr().out.splitlines()[-1] == "1 model: 1 error, 50 warnings"
