"""A runner for the steps of a composite action: inputs in, what its scripts print and write out.

It evaluates what action.yml uses of GitHub's expressions, `inputs.NAME` and `steps.ID.outputs.NAME`, and reads the
files of outputs as GitHub does (docs.github.com, Workflow commands for GitHub Actions, "Setting an output parameter").
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.documents import ROOT
from tests.processes import unmeasured

EXPRESSION = re.compile(r"\$\{\{ (?:inputs\.([\w-]+)|steps\.([\w-]+)\.outputs\.([\w-]+)) \}\}")
ACTION: Mapping[str, Any] = yaml.load((ROOT / "action.yml").read_text("utf-8"), Loader=yaml.BaseLoader)


class Done(NamedTuple):
    """The exit code of the last step that ran, what all of them printed, the action's outputs, and the summary."""

    code: int
    printed: str
    outputs: Mapping[str, str]
    summary: str


def act(where: Path, temporary: Path, given: Mapping[str, str], skipped: frozenset[str] = frozenset()) -> Done:
    """Run the steps in a checkout, except those that are skipped by name; a step that fails is the last one."""
    unknown = given.keys() - ACTION["inputs"].keys()
    assert not unknown, unknown
    inputs = {name: given.get(name, each["default"]) for name, each in ACTION["inputs"].items()}
    results: dict[tuple[str, str], str] = {}

    def value(found: re.Match[str]) -> str:
        return inputs[found[1]] if found[1] else results.get((found[2], found[3]), "")

    summary, printed, code = temporary / "summary", "", 0
    own = {"RUNNER_TEMP": temporary, "GITHUB_ACTION_PATH": ROOT, "GITHUB_WORKSPACE": where}
    for step in ACTION["runs"]["steps"]:
        if step["name"] in skipped:
            continue
        output = temporary / "output"
        output.write_text("", "utf-8")
        files = {"GITHUB_OUTPUT": output, "GITHUB_STEP_SUMMARY": summary}
        chosen = {name: EXPRESSION.sub(value, text) for name, text in step["env"].items()}
        environ = unmeasured() | chosen | {name: str(path) for name, path in (own | files).items()}
        shell = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        done = subprocess.run(shell, cwd=where, env=environ, capture_output=True, text=True, check=False)
        printed, code = printed + done.stdout + done.stderr, done.returncode
        lines = output.read_text("utf-8").splitlines()
        results |= {(step.get("id", ""), name): text for name, _, text in (line.partition("=") for line in lines)}
        if code:
            break
    outputs = {name: EXPRESSION.sub(value, each["value"]) for name, each in ACTION["outputs"].items()}
    return Done(code, printed, outputs, summary.read_text("utf-8") if summary.exists() else "")
