"""What an editor says of stack files by the JSON Schema: the real language server, headless."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.conftest import EXAMPLE
from tests.documents import ROOT
from tests.servers.editor import MISSING, Editor, editing, installed
from tritonrepo import spec
from tritonrepo.diagnostics import Stop
from tritonrepo.parts import PARTS
from tritonrepo.sources.cache import default_root

pytestmark = pytest.mark.skipif(shutil.which("npm") is None, reason=MISSING)


@pytest.fixture(scope="module")
def editor() -> Iterator[Editor]:
    """A language server with the schema of stack files."""
    program = installed(default_root(os.environ).parent / "tritonrepo-tests" / "yaml-language-server")
    with editing(program, ROOT / "schemas" / "stack.schema.json") as found:
        found.diagnostics("name: s\n")  # it reads the schema by then; before, it has nothing to offer
        yield found


@pytest.mark.parametrize("name", ["rag", "search", "mixed", "vllm-llama"])
def test_an_editor_finds_nothing_in_an_example(editor: Editor, name: str) -> None:
    text = (EXAMPLE.parent / name / "tritonrepo.yaml").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("# yaml-language-server")]
    assert editor.diagnostics("\n".join(lines)) == []


GOOD = """\
name: s
target: {release: "26.07", gpus: 1}
models:
  e:
    role: embedder
    source: ./w
    batching: {max_batch_size: 8}
  o:
    backend: python
    source: ./m.py
    config:
      input: [{name: x, data_type: TYPE_FP32, dims: [4]}]
ensembles:
  p:
    steps:
      - {model: o, inputs: {x: a}, outputs: {y: b}}
"""
BROKEN = {
    "an unknown key": ("gpus: 1", "gpu: 1", 2),
    "a number that is text": ("gpus: 1", "gpus: many", 2),
    "a number too small": ("max_batch_size: 8", "max_batch_size: 0", 7),
    "a role of nobody": ("role: embedder", "role: embeder", 5),
    "a source that is a list": ("source: ./w", "source: [./w]", 6),
    "an unknown field of a config": ("dims: [4]", "dim: [4]", 12),
    "a data type misspelt": ("TYPE_FP32", "TYPE_FLOAT", 12),
    "a field that is no list": ("dims: [4]", "dims: four", 12),
    "a step without its model": ("model: o, ", "", 16),
    "a stack without a name": ("name: s\n", "", 1),
    "a tab": ("    role: embedder", "\trole: embedder", 5),
}


@pytest.mark.parametrize(("old", "new", "line"), BROKEN.values(), ids=BROKEN)
def test_an_editor_marks_what_a_build_rejects(editor: Editor, old: str, new: str, line: int) -> None:
    assert GOOD.count(old) == 1
    text = GOOD.replace(old, new)
    with pytest.raises(Stop):
        spec.read([("a.yaml", text.encode())], {}, PARTS)
    said = editor.diagnostics(text)
    assert line in {at for at, _ in said}, said


def test_an_editor_accepts_what_a_build_accepts(editor: Editor) -> None:
    assert editor.diagnostics(GOOD) == []


OFFERED = {
    "keys at the top": ("name: s\n|", {"models", "target", "ensembles", "smoke", "extends"}),
    "keys of the target": ("name: s\ntarget:\n  |", {"release", "images", "gpus", "arch"}),
    "roles": ("name: s\nmodels:\n  e:\n    role: |", {"embedder", "retriever", "reranker", "generator", "model"}),
    "fields of a config": (
        "name: s\nmodels:\n  e:\n    backend: python\n    config:\n      |",
        {"max_batch_size", "dynamic_batching", "instance_group", "model_transaction_policy"},
    ),
    "the example of a key": ("name: s\ntarget:\n  gpu_memory: |", {"80GiB"}),
    "the example of a list": ("name: s\ntarget:\n  images: |", {'["py3"]'}),
    "values of an enum": (
        "name: s\nmodels:\n  e:\n    backend: python\n    config:\n      input:\n        - data_type: |",
        {"TYPE_FP32", "TYPE_STRING", "TYPE_BF16"},
    ),
}


@pytest.mark.parametrize(("text", "labels"), OFFERED.values(), ids=OFFERED)
def test_an_editor_offers_keys_and_values(editor: Editor, text: str, labels: set[str]) -> None:
    assert labels <= set(editor.offered(text))
