"""A part from elsewhere is a part: read, built, served, asked and judged, with no edit of the package."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts import reference
from tests.glossary import PART
from tests.processes import killed
from tritonrepo import api
from tritonrepo.diagnostics import Diagnostic, Faults, Severity, Span, Stop
from tritonrepo.flows.doubts import strictly
from tritonrepo.flows.stack import drafted
from tritonrepo.generate.origins import moved
from tritonrepo.parts import PARTS
from tritonrepo.server.client import Client
from tritonrepo.smoke.case import Check, Outcome
from tritonrepo.spec.schema import schema

OURS = {**PARTS, PART.role: PART}
GLOSSARY = """  glossary:
    role: glossary
    source: ./words.txt
    words:
      gate: <what a config says>
      lock: who pushes
"""


@pytest.fixture
def stack(rag: Path) -> Path:
    """The example with a glossary in the generator's place."""
    path = rag / "tritonrepo.yaml"
    text = path.read_text("utf-8")
    head, tail = text[: text.index("  generator:\n")], text[text.index("ensembles:") :]
    tail = tail[: tail.index("  rag:")] + "  explained: {chain: [embedder, retriever, glossary]}\n"
    path.write_text(f"{head}{GLOSSARY}\n{tail}", "utf-8")
    (rag / "words.txt").write_text("version: a numbered directory\nepoch: a pass over the data\n", "utf-8")
    return path


WORK = api.Workspace(os.environ, parts=OURS)


def read(stack: Path) -> api.Loaded:
    return api.load([stack], WORK)


def built(stack: Path) -> api.Build:
    build = api.plan_build(read(stack), stack.parent / "repository")
    api.apply_build(build)
    return build


def test_it_is_built_served_asked_and_judged(stack: Path) -> None:
    built(stack)
    out = stack.parent / "repository"
    assert [path.name for path in out.glob("glossary/0*/markupsafe/LICENSE.txt")] == ["LICENSE.txt"]
    with killed(api.serve(out, api.ServeOptions(api.Ports(0, 0, 0), engine="script"), WORK)) as server:
        client = Client(server.endpoint)
        asked = {"query": "How does a version gate work?"}
        lines = client.generate("explained", asked)["answer"]
        loud = client.generate("explained", {**asked, "loud": True})["answer"]
        results = list(api.smoke(server.endpoint, api.known(str(stack), WORK, str(out))))
    assert "version: a numbered directory" in lines
    assert "gate: &lt;what a config says&gt;" in lines
    assert "VERSION: A NUMBERED DIRECTORY" in loud
    # on a busy machine, requests may not meet in a batch
    assert {result.outcome for result in results if result.check not in {Check.AT_ONCE, Check.BATCHING}} == {
        Outcome.PASSED
    }
    assert not any(result.diagnostics for result in results)
    assert [(r.what, r.protocol) for r in results if r.model == "glossary" and r.check is Check.REFERENCE] == [
        ('"version"', "grpc"),
        ('"version"', "http"),
    ]


def test_its_source_and_its_package_are_pinned(stack: Path) -> None:
    pins = built(stack).lock.sources
    assert "./words.txt" in pins
    assert any(source.startswith("package:markupsafe==") for source in pins)
    assert not any(source.startswith("package:jinja2") for source in pins)


WRONG = {
    "a key of its own misspelt": ("    words:", "    wrods:", 'unknown key "wrods"'),
    "what it cannot mean": ("      gate:", '      "":', '"glossary" explains an empty word'),
    "a chain without its port": (
        "retriever, glossary]",
        "glossary]",
        'the chain of "explained" cannot be joined: embedder → glossary',
    ),
    "a source that is not there": ("./words.txt", "./wrods.txt", '"./wrods.txt" does not exist'),
    "a source of its own kind": ("./words.txt", "./docs", "the source must contain one file, not 2"),
}


@pytest.mark.parametrize(("old", "new", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_it_is_told(stack: Path, old: str, new: str, message: str) -> None:
    text = stack.read_text("utf-8")
    assert old in text
    stack.write_text(text.replace(old, new), "utf-8")
    (stack.parent / "docs" / "more.txt").write_text("x: y\n")
    with pytest.raises(Stop) as stop:
        built(stack)
    assert message in str(stop.value)


def test_its_doubts_are_told_and_strict_where_they_say_so(stack: Path) -> None:
    text = stack.read_text("utf-8")
    stack.write_text(text[: text.index("    words:\n")] + text[text.index("\nensembles:") :], "utf-8")
    found = built(stack).warnings
    assert [each.rule for each in found] == ["glossary-thin"]
    assert [each.severity for each in strictly(found, read(stack).stack)] == [Severity.ERROR]


def test_what_is_generated_knows_where_it_is_from(stack: Path) -> None:
    stack.write_text(
        stack.read_text("utf-8").replace("    words:", "    instances: {kind: gpu, gpus: [7]}\n    words:"), "utf-8"
    )
    line = stack.read_text("utf-8").splitlines().index("    instances: {kind: gpu, gpus: [7]}") + 1
    with pytest.raises(Stop) as stop:
        built(stack)
    assert {each.at for each in stop.value.diagnostics if "glossary/config.pbtxt" in each.message} == {
        Span(str(stack), line, 34)
    }
    draft = drafted(read(stack).gathering(), {}, Faults())
    finding = Diagnostic("x", Severity.ERROR, Span("glossary/1/settings.json", 3, 3), "wrong")
    assert moved(finding, draft.origins, draft.tree).at == Span(str(stack), line + 3, 13)


def test_schema_and_reference_have_its_keys() -> None:
    models = schema(OURS)["else"]["properties"]["models"]["additionalProperties"]["anyOf"]
    assert models[-1]["properties"]["role"] == {"enum": ["glossary"], "description": "Role of the model."}
    page = reference.page(OURS, f"by hand\n\n{reference.KEYS}as it was")
    assert page.startswith(f"by hand\n\n{reference.KEYS}\n### Stack\n")
    assert "### Glossary" in page
    assert "[Glossary](#glossary)" in page
    assert "as it was" not in page
