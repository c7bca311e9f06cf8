"""The step of action.yml that validates: inputs in, annotations, outputs and the summary of the run out.

GitHub reads the outputs and the summary from files that it names (docs.github.com, Workflow commands for GitHub
Actions, "Environment files").
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

MOST = 100
"""How many findings the summary lists: GitHub takes 1 MiB of it."""

SPECIAL = re.compile(r"([!-/:-@\[-`{-~])")
"""What may be Markdown, HTML, a link or a mention in a text, and is none as a character reference (CommonMark, 2.5)."""

UNKNOWN: Mapping[str, Any] = {"diagnostics": [], "summary": {}}


def main(environ: Mapping[str, str]) -> int:
    """Run validate with the inputs, and return its exit code."""
    report = Path(environ["RUNNER_TEMP"], "tritonrepo.json")
    report.unlink(missing_ok=True)
    sarif = environ["SARIF"].strip()
    words = [*command(environ), "--output", f"json={report}", *(["--output", f"sarif={sarif}"] if sarif else [])]
    where = environ["GITHUB_WORKSPACE"]
    code = subprocess.run([*words, "--", *paths(environ)], check=False, cwd=where).returncode
    found = json.loads(report.read_text("utf-8")) if report.exists() else UNKNOWN
    written = sarif if sarif and Path(where, sarif).exists() else ""
    with Path(environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as stream:
        stream.writelines(f"{name}={value}\n" for name, value in outputs(code, found, written).items())
    if chosen(environ, "SUMMARY"):
        with Path(environ["GITHUB_STEP_SUMMARY"]).open("a", encoding="utf-8") as stream:
            stream.write("".join(f"{line}\n" for line in summary(code, found)))
    return code


def command(environ: Mapping[str, str]) -> list[str]:
    """Return the command without its paths."""
    form = "github" if chosen(environ, "ANNOTATIONS") else "text"
    program = Path(environ["RUNNER_TEMP"], "tritonrepo", "bin", "tritonrepo")
    words = [str(program), "validate", "--format", form]
    for option, name in (("--release", "RELEASE"), ("--gpus", "GPUS"), ("--changed-since", "CHANGED_SINCE")):
        if value := environ[name].strip():
            words.append(f"{option}={value}")
    words += [f"--image={image}" for image in lines(environ["IMAGE"])]
    if chosen(environ, "STRICT"):
        words.append("--strict")
    return [*words, *shlex.split(environ["ARGS"])]


def paths(environ: Mapping[str, str]) -> list[str]:
    """Return the paths, relative to the workspace: findings then have the paths that GitHub knows."""
    directory = environ["DIRECTORY"].strip() or "."
    found = lines(environ["PATHS"])
    return [path if "://" in path else os.path.normpath(f"{directory}/{path}") for path in found]


def lines(text: str) -> list[str]:
    """Return the lines of an input that are not empty."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def chosen(environ: Mapping[str, str], name: str) -> bool:
    """Return whether an input is true; end the step if it is neither true nor false."""
    value = environ[name].strip().lower()
    if value not in {"true", "false"}:
        print(f"::error title=tritonrepo::the input {name.lower()} must be true or false")
        sys.exit(2)
    return value == "true"


def outputs(code: int, found: Mapping[str, Any], sarif: str) -> dict[str, str]:
    """Return the outputs; a count is empty if the command could not count."""
    counts = found["summary"]
    errors = counts["error"] + counts["fatal"] if counts else ""
    shown = {"exit-code": code, "models": counts.get("models", ""), "errors": errors}
    shown |= {"warnings": counts.get("warning", ""), "sarif": " ".join(sarif.splitlines())}
    return {name: str(value) for name, value in shown.items()}


def summary(code: int, found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of the summary, in Markdown."""
    yield "## tritonrepo validate"
    yield ""
    counts, diagnostics = found["summary"], found["diagnostics"]
    if not counts:
        yield f"The command ended with exit code {code}. The log shows why."
        return
    numbers = (("error", counts["error"] + counts["fatal"]), ("warning", counts["warning"]))
    told = ", ".join(counted(number, word) for word, number in numbers if number)
    yield f"{counted(counts['models'], 'model')}: {told or 'no problems found'}"
    if diagnostics:
        yield from ("", "| | Place | Finding | Rule |", "|---|---|---|---|")
    for each in diagnostics[:MOST]:
        place = ":".join(str(part) for part in (each["path"], each["line"], each["column"]) if part)
        cells = (each["severity"], place, each["message"], each["rule"])
        yield f"| {' | '.join(map(cell, cells))} |"
    if len(diagnostics) > MOST:
        yield from ("", f"{len(diagnostics) - MOST} more findings are in the log.")


def counted(number: int, word: str) -> str:
    """Return a number with its noun."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def cell(text: str) -> str:
    """Return a text as a cell of a table that shows just this text."""
    line = " ".join(text.split())
    return SPECIAL.sub(lambda found: f"&#{ord(found[1])};", line)


if __name__ == "__main__":
    sys.exit(main(os.environ))
