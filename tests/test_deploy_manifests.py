"""The YAML of manifests means the same in YAML 1.1, which kubectl reads, and in 1.2; no name can leave its place."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tritonrepo.deploy.manifests import noted, text
from tritonrepo.spec.nodes import Items, Keys, Node, parse

WORDS = ["on", "Yes", "n", "null", "~", "12:30", "1e3", "0x1f", "017", ".5", ".inf", "2026-11-28", "=", "<<"]
SIGNS = ["-", "---", "--a", "--a: b", "a: b", "a #b", "a:", "*"]
LINES = ["a\n", "a\n b\n", " a\n", "\n", "a \nb\n", "a\n\n", "a\n\nb\n", "\ta\n"]
PRINTABLE = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
STRINGS = st.text(PRINTABLE, max_size=12) | st.sampled_from(WORDS + SIGNS + LINES)
VALUES = st.recursive(
    STRINGS | st.integers(-9, 99) | st.booleans(),
    lambda each: st.lists(each, max_size=3) | st.dictionaries(STRINGS, each, max_size=3),
    max_leaves=12,
)


def plain(node: Node) -> object:
    """Return what the nodes of a stack file, which are those of YAML 1.2, mean."""
    if isinstance(node, Keys):
        return {key: plain(value) for key, (_, value) in node.keys.items()}
    if isinstance(node, Items):
        return [plain(each) for each in node.items]
    if node.kind == "bool":
        return node.text == "true"
    return int(node.text) if node.kind == "int" else node.text


@given(st.dictionaries(STRINGS, VALUES, min_size=1, max_size=3), STRINGS)
def test_every_reader_reads_what_was_written(document: dict[str, Any], why: str) -> None:
    reasons = {key: noted([noted(value, why)], why, rows=[why]) for key, value in document.items()}
    for made, meant in ((document, document), (reasons, {key: [value] for key, value in document.items()})):
        found = text([made], [why])
        assert yaml.safe_load(found) == meant
        assert plain(parse(found.encode(), "x")) == meant


def test_reasons_stand_above_what_they_explain() -> None:
    items = [noted({"name": "http", "left": None}, "Tensors."), {"name": noted("grpc", "Streams.")}, noted("x", "")]
    document = {"kind": "Service", "spec": noted({"ports": items}, "One reason,", "two.", rows=["1 GiB: a", "2\n"])}
    assert text([document, {"kind": "Y"}], ["Made."]).split("\n") == [
        "# Made.",
        "kind: Service",
        "# One reason, two.",
        "#   1 GiB: a",
        "#   2\\n",
        "spec:",
        "  ports:",
        "    # Tensors.",
        "    - name: http",
        "    # Streams.",
        "    - name: grpc",
        "    - x",
        "---",
        'kind: "Y"',
        "",
    ]
    with pytest.raises(TypeError, match="cannot hold a float"):
        text([{"a": 0.5}])
