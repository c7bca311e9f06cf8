"""What the real server said of many changed repositories is still what we say.

`python -m benchmarks.soak.record` asked it, and kept only those of which both said the same. The file notices what
changes for the worse; it is no evidence of how often server and tool agree, which `benchmarks.soak.verdicts` measures.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.pages import DATA, normal
from tritonrepo import repository
from tritonrepo.diagnostics import State
from tritonrepo.repository import Said, target
from tritonrepo.rules import judge
from tritonrepo.tree import of_text

CASES = [json.loads(line) for line in (DATA / "verdicts.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("case", CASES, ids=map(str, range(len(CASES))))
def test_verdict_and_reason_are_the_servers(case: dict[str, Any]) -> None:
    tree = {path: of_text(text) for path, text in case["files"].items()}
    server = target(Said("24.10", gpus=0, auto_complete=case["auto_complete"]))
    verdicts = judge(repository.read(tree, server, "$REPO")).verdicts
    assert {verdict.model for verdict in verdicts} == case["models"].keys()
    for verdict in verdicts:
        said = case["models"][verdict.model]
        if said == "ready":
            assert verdict.verdict is State.READY
        else:
            assert verdict.verdict is State.REFUSED
            assert any(normal(verdict.server_reason) in reason for reason in said), said
