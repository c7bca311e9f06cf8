"""The action, the hook and the snippets of docs/ci.md: what others read them by, and what they do."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml

from scripts.action import cell, command, paths, summary
from tests.actions import ACTION, Done, act
from tests.documents import PAGES, ROOT, blocks, commands
from tests.servers.packages import CHECK_JSONSCHEMA, installed
from tests.test_changed import BROKEN, PLAIN, done, models, written
from tests.test_lock_merge import git
from tritonrepo.cli import run

__all__ = ["models"]

TEXT = PAGES["ci.md"].read_text("utf-8")
WORKFLOW, PRE_COMMIT, GITLAB = [block.text for block in blocks("ci.md") if block.language == "yaml"]
(JENKINS,) = [block.text for block in blocks("ci.md") if block.language == "groovy"]
HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
INSTALL = frozenset({"Install tritonrepo"})


def plain(text: str) -> Any:  # noqa: ANN401  YAML
    """Return what a file says, `on` as the key that GitHub reads."""
    return yaml.load(text, Loader=yaml.BaseLoader)


@cache
def schema(name: str) -> Any:  # noqa: ANN401  JSON
    return json.loads(installed(CHECK_JSONSCHEMA).with_name(f"{name}.json").read_text("utf-8"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("github-actions", (ROOT / "action.yml").read_text("utf-8")),
        ("github-workflows", WORKFLOW),
        ("gitlab-ci", GITLAB),
    ],
    ids=["action.yml", "the workflow", "the job of GitLab"],
)
def test_a_file_for_a_service_fits_its_schema(name: str, text: str) -> None:
    rules = schema(name)
    jsonschema.validators.validator_for(rules)(rules).validate(plain(text))


def test_no_script_of_the_action_contains_an_input() -> None:
    """A shell would run what is in it; see docs.github.com, Secure use reference, "Use an intermediate variable"."""
    steps = ACTION["runs"]["steps"]
    assert [step["name"] for step in steps if "${{" in step["run"]] == []
    handed = {text for step in steps for text in step["env"].values()}
    assert handed == {f"${{{{ inputs.{name} }}}}" for name in ACTION["inputs"]}


def test_the_page_has_the_inputs_and_outputs_of_the_action() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in TEXT.splitlines() if line.startswith("| `")]
    shown = {row[0].strip("`"): row[1:] for row in rows}
    inputs = {
        name: [f"`{each['default']}`" if each["default"] else "", each["description"]]
        for name, each in ACTION["inputs"].items()
    }
    outputs = {name: [each["description"]] for name, each in ACTION["outputs"].items()}
    assert shown == inputs | outputs


def test_the_snippets_name_what_is_there() -> None:
    step = next(step for step in plain(WORKFLOW)["jobs"]["validate"]["steps"] if "tritonrepo" in step["uses"])
    assert step["with"].keys() <= ACTION["inputs"].keys()
    assert {*re.findall(r"steps\.validate\.outputs\.([\w-]+)", WORKFLOW)} <= ACTION["outputs"].keys()
    (hook,) = plain(PRE_COMMIT)["repos"][0]["hooks"]
    entry = shlex.split(next(each["entry"] for each in HOOKS if each["id"] == hook["id"]))
    lines = [*re.findall(r"sh '(.*)'", JENKINS), *plain(GITLAB)["validate-models"]["script"]]
    ours = [shlex.split(line) for line in lines if "tritonrepo validate" in line]
    assert len(ours) == 2
    for words in ([*entry, *hook["args"], "models/m/config.pbtxt"], *ours):
        commands()["validate"].make_context("validate", words[2:], parent=click.Context(click.Group()))


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """The runner's directory for temporary files, with this package where the first step installs it."""
    programs = tmp_path / "temporary" / "tritonrepo" / "bin"
    programs.mkdir(parents=True)
    for name, words in (("python", ""), ("tritonrepo", " -P -m tritonrepo")):
        (programs / name).write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}"{words} "$@"\n', "utf-8")
        (programs / name).chmod(0o755)
    return tmp_path / "temporary"


def acted(models: Path, runner: Path, **given: str) -> Done:
    return act(models.parent, runner, {name.replace("_", "-"): text for name, text in given.items()}, INSTALL)


def test_the_action_annotates_counts_and_summarizes_and_takes_no_input_for_code(models: Path, runner: Path) -> None:
    written(models, {"other/config.pbtxt": f"{BROKEN}\n"})
    (models.parent / "click.py").write_text("raise SystemExit('imported from the checkout')\n", "utf-8")
    evil = "models'; touch ran; $(touch ran) `touch ran`"
    done = acted(
        models,
        runner,
        paths=f"models\n{evil}\n",
        gpus="0",
        changed_since="main",
        sarif="out.sarif",
        args="--allow-links models",
    )
    counts = {"exit-code": "2", "models": "1", "errors": "2", "warnings": "0", "sarif": "out.sarif"}
    assert (done.code, done.outputs) == (2, counts)
    assert "file=models/other/config.pbtxt" in done.printed
    assert "models'; touch ran" in done.printed
    assert not (models.parent / "ran").exists()
    assert json.loads((models.parent / "out.sarif").read_text("utf-8"))["version"] == "2.1.0"
    assert done.summary.splitlines()[2] == "1 model: 2 errors"
    assert "other" in done.summary


def test_an_input_of_the_action_that_it_cannot_use_ends_the_step(models: Path, runner: Path) -> None:
    done = acted(models, runner, paths="models", strict="maybe")
    assert (done.code, done.outputs["exit-code"]) == (2, "")
    assert "strict must be true or false" in done.printed


PYTHON = """\
#!/bin/sh
echo "$0: $*" >> "$RUNNER_TEMP/ran"
case "$*" in *version_info*) exit "$TOO_OLD";; esac
"""
VERSIONS: dict[str, tuple[str, str, int]] = {
    "its own": ("", str(ROOT), 0),
    "of PyPI": ("0.1.0", "tritonrepo==0.1.0", 0),
    "no other option": ("1 --index-url=http://x", "tritonrepo==1 --index-url=http://x", 0),
    "an old Python": ("", "", 1),
}


@pytest.mark.parametrize(("version", "installed", "old"), VERSIONS.values(), ids=VERSIONS)
def test_the_action_installs_with_a_python_that_is_new_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, installed: str, old: int
) -> None:
    for name in ("python3", "tritonrepo/bin/python"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(PYTHON, "utf-8")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("TOO_OLD", str(old))
    done = act(tmp_path, tmp_path, {"version": version}, frozenset({"Validate"}))
    ran = (tmp_path / "ran").read_text("utf-8").splitlines()
    assert done.code == 2 * old
    assert ("actions/setup-python" in done.printed) == bool(old)
    assert all(": -I " in line for line in ran), "nothing is imported from the checkout"
    assert (ran[-1].rpartition("-check ")[2] if len(ran) > 1 else "") == installed


ENVIRON = {
    **dict.fromkeys(("RELEASE", "IMAGE", "GPUS", "CHANGED_SINCE", "SARIF", "ARGS"), ""),
    **dict.fromkeys(("ANNOTATIONS", "SUMMARY"), "true"),
    "PATHS": "models",
    "DIRECTORY": ".",
    "STRICT": "false",
    "RUNNER_TEMP": "/t",
}
WORDS: dict[str, tuple[Mapping[str, str], list[str], list[str]]] = {
    "nothing": ({}, [], ["models"]),
    "images and paths": (
        {"IMAGE": "py3\n\n a/b:c \n", "PATHS": "a b\r\n-x\n", "DIRECTORY": "sub"},
        ["--image=py3", "--image=a/b:c"],
        ["sub/a b", "sub/-x"],
    ),
    "a bucket": ({"PATHS": "s3://b/p", "DIRECTORY": "sub"}, [], ["s3://b/p"]),
    "options": (
        {"RELEASE": "26.07", "GPUS": "2", "CHANGED_SINCE": "-x", "STRICT": "True", "ARGS": "--ignore 'a b'"},
        ["--release=26.07", "--gpus=2", "--changed-since=-x", "--strict", "--ignore", "a b"],
        ["models"],
    ),
}


@pytest.mark.parametrize(("given", "options", "named"), WORDS.values(), ids=WORDS)
def test_inputs_become_options(given: Mapping[str, str], options: list[str], named: list[str]) -> None:
    environ = {**ENVIRON, **given}
    assert command(environ) == ["/t/tritonrepo/bin/tritonrepo", "validate", "--format", "github", *options]
    assert paths(environ) == named


def test_a_summary_shows_texts_as_they_are() -> None:
    hostile = "a|b\n<img src=x> [l](https://x.example) `@org` &amp; *é*"
    shown = cell(hostile)
    assert not set("|<>[]()`@*:/\n") & set(shown)
    assert re.sub(r"&#(\d+);", lambda found: chr(int(found[1])), shown) == hostile.replace("\n", " ")
    finding = {"severity": "error", "path": "m", "line": 3, "column": 0, "message": "x", "rule": "y"}
    counts = {"models": 2, "error": 2, "fatal": 1, "warning": 1}
    lines = [*summary(1, {"summary": counts, "diagnostics": [finding] * 102})]
    assert lines[2] == "2 models: 3 errors, 1 warning"
    assert lines[6] == "| error | m&#58;3 | x | y |"
    assert (len(lines), lines[-1]) == (108, "2 more findings are in the log.")
    assert "exit code 2" in [*summary(2, {"summary": {}, "diagnostics": []})][-1]


SESSION = "".join(block.text for block in blocks("ci.md") if block.language == "console")


def test_a_new_user_gets_from_nothing_to_green(
    inside: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Word by word, with what pre-commit does in its place; benchmarks/soak/hooks.py has the real one."""
    (install,) = [block.text for block in blocks("ci.md") if block.language == "sh"]
    assert install.startswith("pip install tritonrepo ")
    codes = dict[str, list[int]]()
    for line, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", SESSION, re.MULTILINE):
        codes.setdefault(line, []).append(_typed(inside, line, monkeypatch))
        pattern = re.sub(r"^…\\\n", "(?:.*\n)*", re.escape(shown), flags=re.MULTILINE)
        out, err = capfd.readouterr()
        assert re.fullmatch(pattern, out + err), f"{line}\n{out}{err}"
    assert [each for line, each in codes.items() if "tritonrepo" in line] == [[1, 0], [1], [0]]
    assert [each for line, each in codes.items() if "commit -q" in line] == [[1, 0]]
    assert git(inside, "log", "--format=%s").stdout == "Add a ranker\n"


def _typed(place: Path, line: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the exit code of a line of the session."""
    if line.startswith("tritonrepo "):
        return run(shlex.split(line)[1:])
    if line == "pre-commit install":
        click.echo("pre-commit installed at .git/hooks/pre-commit")
        return 0
    first, _, commit = line.partition(" && ")
    assert subprocess.run(["bash", "-c", first], cwd=place, check=False).returncode == 0
    if not commit:
        return 0
    (hook,) = plain(PRE_COMMIT)["repos"][0]["hooks"]
    return committing(place, monkeypatch, hook["args"]) or git(place, *shlex.split(commit)[1:]).returncode


def committing(
    top: Path, monkeypatch: pytest.MonkeyPatch, arguments: Sequence[str], name: str = "tritonrepo-validate"
) -> int:
    """Run the hook on what is staged, as pre-commit does: with the names of files that are there."""
    names = git(top, "diff", "--staged", "--name-only", "--diff-filter=d", "-z").stdout.split("\0")[:-1]
    (hook,) = (each for each in HOOKS if each["id"] == name)
    monkeypatch.chdir(top)
    return run([*shlex.split(hook["entry"])[1:], *arguments, *names])


def test_the_hook_checks_the_models_of_a_commit(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """benchmarks/soak/hooks.py does so with pre-commit itself."""
    written(models, {"new/config.pbtxt": PLAIN, "new/1/x": "", "README.md": ""})
    done(models, "add", ".")
    assert committing(models.parent, monkeypatch, ["--gpus", "0"]) == 0
    done(models, "commit", "-qm", "x")
    done(models, "rm", "-qr", "leaf")
    assert committing(models.parent, monkeypatch, ["--gpus", "0"]) == 1
    assert all(each["always_run"] and each["require_serial"] for each in HOOKS)


def test_the_hook_that_fixes_changes_only_the_models_of_a_commit(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    faulty = PLAIN.replace(":", " =", 1)
    written(models, {"other/config.pbtxt": faulty, "new/config.pbtxt": faulty, "new/1/x": ""})
    done(models, "add", "new")
    assert committing(models.parent, monkeypatch, ["--gpus", "0"], "tritonrepo-fix") == 0
    assert [(models / name / "config.pbtxt").read_text("utf-8") for name in ("new", "other")] == [PLAIN, faulty]
