"""What the real server said of many changed repositories is still what we say.

`python -m benchmarks.soak.record` asked it, and kept only those of which both said the same. The file notices what
changes for the worse; it is no evidence of how often server and tool agree, which `benchmarks.soak.verdicts` measures.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

import pytest

from benchmarks.soak import release_verdicts
from tests.pages import DATA, normal
from tritonrepo import repository
from tritonrepo.diagnostics import State
from tritonrepo.repository import Said, target
from tritonrepo.rules import judge
from tritonrepo.tree import of_bytes, of_text

CASES = [json.loads(line) for line in (DATA / "verdicts.jsonl").read_text("utf-8").splitlines()]
AT_ONCE = 50
"""Cases of one test: pytest takes as long for a test as judging a case does."""

WEIGHTS = {
    ".pt": of_bytes((DATA / "torchscript.pt").read_bytes()),
    ".plan": of_bytes((DATA / "opaque").read_bytes()),
}
"""What a backend could read, in place of what was recorded: the server had these backends by name only."""


@pytest.mark.parametrize("first", range(0, len(CASES), AT_ONCE))
def test_verdict_and_reason_are_the_servers(first: int) -> None:
    wrong = [
        (first + number, fault) for number, case in enumerate(CASES[first : first + AT_ONCE]) for fault in faults(case)
    ]
    assert not wrong


def faults(case: Mapping[str, Any]) -> Iterator[str]:
    """Yield where we differ from what the server said."""
    tree = {path: WEIGHTS.get(PurePosixPath(path).suffix) or of_text(text) for path, text in case["files"].items()}
    server = target(Said("24.10", gpus=0, auto_complete=case["auto_complete"]))
    verdicts = judge(repository.read(tree, server, "$REPO")).verdicts
    if {verdict.model for verdict in verdicts} != case["models"].keys():
        yield f"other models: {verdicts}"
    for verdict in verdicts:
        said = case["models"].get(verdict.model, [])
        if verdict.stage == "backend":
            continue  # which the server had by name only
        if said == "ready":
            right = verdict.verdict is State.READY
        else:
            right = verdict.verdict is State.REFUSED and any(normal(verdict.server_reason) in each for each in said)
        if not right:
            yield f"{verdict} instead of {said}"


def test_verdicts_of_other_releases_are_compared_by_their_servers_version() -> None:
    """A row that depends on chance is left out; the reason is compared up to pointers and the status before it."""
    config = (
        'backend: "identity" input { name: "I" data_type: TYPE_FP32 } output { name: "O" data_type: TYPE_FP32 dims: 1 }'
    )
    cases = {
        name: {"id": name, "flags": {}, "files": {"m/config.pbtxt": config, "m/1/f": {"size": 1}}} for name in "abcd"
    }
    old, new = "model input must specify 'dims' for m", "model input 'I' must specify 'dims' for m"
    said = [
        ("a", "2.46.0", "refused", f"Invalid argument: {old}", {}),
        ("b", "2.48.0", "refused", old, {}),
        ("c", "2.48.0", "ready", "", {}),
        ("d", "2.48.0", "ready", "", {"race": "now and then"}),
        ("a", "2.48.0", "refused", new, {}),
        ("e", "2.48.0", "ready", "", {}),
    ]
    rows = release_verdicts.judged(
        cases,
        [
            {
                "id": name,
                "server": server,
                "backend": "core-only",
                "models": {"m": {"verdict": v, "reason": why}},
                **more,
            }
            for name, server, v, why, more in said
        ],
        "",
    )
    assert [(row.case, row.differs) for row in rows] == [("a", ""), ("b", "reason"), ("c", "verdict"), ("a", "")]
