"""Every format of `validate` for a repository on disk whose models have hostile names, read by the readers themselves.

    npm install @microsoft/sarif-multitool-linux
    python -m benchmarks.soak.formats node_modules/@microsoft/sarif-multitool-linux/Sarif.Multitool

SARIF is checked by Microsoft's multitool, with its rules for GitHub; JUnit is read by junitparser, and each line of
each format by a parser after GitHub's runner. Each URI must lead to its file. Prints a table; the exit code is 1 if the
multitool finds an error, a line is a command that none should be, or a file is not found.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from urllib.parse import unquote_to_bytes

from junitparser import JUnitXml

from tests.runner import command
from tests.test_formats import names
from tritonrepo.cli.forms import EVERY

CONFIG = 'backend: "identity"\nmax_batch_size: 8\ndynamic_batching { preferred_batch_size: 16 }\n'
LONGEST = 200
KINDS = "Sarif;Gh;Ghas"


def repository(top: Path) -> int:
    """Write the models, and return how many; half of the names follow a number, so that they begin harmlessly."""
    for number, name in enumerate(names()):
        raw = os.fsencode(name.replace("/", "_").replace("\0", "0").replace("\ud83d", "x"))[:LONGEST]
        model = os.path.join(os.fsencode(top / "models"), (b"%d" % number) * (number % 2) + raw)  # noqa: PTH118  bytes
        if not os.path.isdir(model):  # noqa: PTH112
            os.makedirs(os.path.join(model, b"1"))  # noqa: PTH103, PTH118
            Path(os.fsdecode(model), "1", "weights").touch()
            Path(os.fsdecode(model), "config.pbtxt").write_text(CONFIG, "utf-8")
    return len(os.listdir(top / "models"))  # noqa: PTH208


def main() -> int:
    (multitool,) = map(os.path.abspath, sys.argv[1:])
    with tempfile.TemporaryDirectory() as place:
        top = Path(place)
        print(f"{repository(top)} models")
        run = [sys.executable, "-m", "tritonrepo", "validate", "models", *(f"--output={form}={form}" for form in EVERY)]
        subprocess.run(run, cwd=top, stdout=subprocess.DEVNULL, check=False)
        bad = 0
        for form in EVERY:
            text = (top / form).read_text("utf-8")
            seen = Counter(each.name for line in text.split("\n") if (each := command(line)))
            bad += len(seen.keys() - ({"error", "warning"} if form == "github" else set()))
            print(f"{form:8} {len(text):>10,} characters, commands of GitHub: {dict(seen)}")
        (log,) = json.loads((top / "sarif").read_text("utf-8"))["runs"]
        places = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in log["results"]]
        lost = [each for each in places if not os.path.exists(os.path.join(os.fsencode(top), unquote_to_bytes(each)))]  # noqa: PTH110, PTH118
        cases = sum(len(suite) for suite in JUnitXml.fromfile(str(top / "junit")))
        print(f"{len(places):,} results of SARIF, {len(lost)} without their file; {cases:,} cases of JUnit")
        checks = [multitool, "validate", "sarif", "--rule-kind", KINDS, "--level", "Error"]
        done = subprocess.run(checks, cwd=top, capture_output=True, text=True, check=False)
        errors = [line for line in done.stdout.split("\n") if ": error " in line]
        print(*errors, f"multitool: exit code {done.returncode}, {len(errors)} errors", sep="\n")
    return int(bool(bad or lost or errors or done.returncode))


if __name__ == "__main__":
    sys.exit(main())
