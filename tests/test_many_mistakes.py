"""Many mistakes in one config are all said in one round, in order of place, and none is said because of another."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.pages import judged
from tritonrepo.diagnostics import Severity
from tritonrepo.tree import of_text


class Line(NamedTuple):
    """A line of a config as it should be, as it is, and the rule that says so; an empty rule: it is as it should be."""

    good: str
    bad: str = ""
    rule: str = ""


JUDGED = [
    Line('backend: "python"'),
    Line("max_batch_size: 8"),
    Line("input ["),
    Line(
        '{ name: "text" data_type: TYPE_STRING dims: [ 1 ] },',
        '{ name: "text" data_type: TYPE_STRING dims: [ ] },',
        "io-dims-missing",
    ),
    Line(
        '{ name: "mask" data_type: TYPE_INT64 dims: [ -1 ] optional: true },',
        '{ name: "mask" dims: [ -1 ] optional: true },',
        "io-data-type-missing",
    ),
    Line(
        '{ name: "image" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 3, 224, 224 ] optional: true }',
        '{ name: "image" data_type: TYPE_FP32 format: FORMAT_NCHW dims: [ 224, 224 ] optional: true }',
        "format-needs-3-dims",
    ),
    Line("]"),
    Line("output ["),
    Line(
        '{ name: "label" data_type: TYPE_STRING dims: [ 1 ] label_filename: "labels.txt" },',
        '{ name: "label" data_type: TYPE_STRING dims: [ 1 ] label_filename: "label.txt" },',
        "label-file-missing",
    ),
    Line(
        '{ name: "scores" data_type: TYPE_FP32 dims: [ 6 ] reshape { shape: [ 2, 3 ] } }',
        '{ name: "scores" data_type: TYPE_FP32 dims: [ 6 ] reshape { shape: [ 2, 4 ] } }',
        "reshape-size-differs",
    ),
    Line("]"),
    Line("instance_group { kind: KIND_CPU }", "instance_group { kind: KIND_GPU }", "kind-gpu-no-gpu"),
    Line("instance_group { kind: KIND_CPU }", "instance_group { kind: KIND_CPU gpus: [ 0 ] }", "kind-cpu-with-gpus"),
    Line(
        "dynamic_batching { preferred_batch_size: [ 4, 8 ]",
        "dynamic_batching { preferred_batch_size: [ 4, 16 ]",
        "dynamic-preferred-above-max",
    ),
    Line(
        "max_queue_delay_microseconds: 100 priority_levels: 2 default_priority_level: 1",
        "max_queue_delay_microseconds: 100 priority_levels: 2 default_priority_level: 3",
        "default-priority-out-of-range",
    ),
    Line("}"),
    Line(
        'parameters { key: "FORCE_CPU_ONLY_INPUT_TENSORS" value { string_value: "yes" } }',
        'parameters { key: "FORCE_CPU_ONLY_INPUT_TENSORS" value { string_value: "true" } }',
        "python-force-cpu-value",
    ),
    Line(
        "version_policy { specific { versions: [ 1 ] } }",
        "version_policy { specific { versions: [ 1, 1 ] } }",
        "policy-specific-duplicate",
    ),
    Line('model_warmup { name: "w" batch_size: 1 inputs { key: "text"'),
    Line(
        "value { data_type: TYPE_STRING dims: [ 1 ] zero_data: true } } }",
        "value { data_type: TYPE_STRING dims: [ 1 ] } } }",
        "warmup-no-data",
    ),
]
READ = [
    Line('backend: "identity"', 'backend = "identity"', "missing-colon"),
    Line("max_batch_size: 8", "max_batch_size: 8.0", "wrong-literal-type"),
    Line(
        'input [ { name: "text" data_type: TYPE_STRING dims: [ 1 ] } ]',
        'inputs [ { name: "text" data_type: TYPE_STRING dims: [ 1 ] } ]',
        "unknown-field",
    ),
    Line(
        'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }',
        'input { name: "IN" data_type: "TYPE_FP32" dims: [ 4 ] }',
        "enum-quoted",
    ),
    Line(
        'output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }',
        'output { name: "OUT" data_type: TYPE_FP32 dims: [ 4, ] }',
        "trailing-comma-in-list",
    ),
    Line(
        'output { name: "SUM" data_type: TYPE_FP32 dims: [ 4 ] }',
        'output { name: "SUM" data_type: TYPE_FLOAT32 dims: [ 4 ] }',
        "unknown-enum-value",
    ),
    Line("# the scheduler", "// the scheduler", "wrong-comment-style"),
    Line(
        "dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }",
        "dynamic_batching { preferred_batch_size: [ 4 8 ] max_queue_delay_microseconds: 100 }",
        "config-unparsable",
    ),
    Line(
        "instance_group { kind: KIND_CPU count: 2 }",
        'instance_group { kind: KIND_CPU count: "2" }',
        "wrong-literal-type",
    ),
    Line("", "dynamic_batching { }", "message-field-twice"),
    Line("model_transaction_policy { decoupled: false }", "model_transaction_policy { decoupled: no }", "bool-literal"),
    Line(
        'parameters { key: "a" value { string_value: "b" } }',
        'parameters { key: "a" value: "b" }',
        "parameter-value-not-message",
    ),
    Line(
        "version_policy { specific { versions: [ 1 ] } }",
        "version_policy { specific { versions: [ 99999999999999999999 ] } }",
        "integer-out-of-range",
    ),
]
TABLES = {"what the rules find": JUDGED, "what the reader finds": READ}
SOURCE = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"


def said(lines: list[str]) -> list[str]:
    """Return line and rule of all that is more than info, in order."""
    config = "\n".join(lines)
    files = {"m/config.pbtxt": config, "m/1/model.py": SOURCE, "m/labels.txt": "yes\n"}
    found = judged({path: of_text(text) for path, text in files.items()}).diagnostics
    return [f"{each.at.line}: {each.rule}" for each in found if each.severity is not Severity.INFO]


def all_of(table: list[Line], *mended: int) -> list[str]:
    """Return the mistakes of a table, with some mended."""
    return [f"{at}: {line.rule}" for at, line in enumerate(table, 1) if line.rule and at - 1 not in mended]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_all_are_said_in_order_of_place(table: list[Line]) -> None:
    assert len(all_of(table)) >= 10
    assert said([line.bad or line.good for line in table]) == all_of(table)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_a_mistake_that_is_mended_takes_none_of_the_others_with_it(table: list[Line]) -> None:
    for at, line in enumerate(table):
        lines = [line.bad or line.good for line in table]
        lines[at] = line.good
        assert said(lines) == all_of(table, at)


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_each_is_said_where_it_is_the_only_one(table: list[Line]) -> None:
    assert said([line.good for line in table]) == []
    for at, line in enumerate(table):
        lines = [other.good for other in table]
        lines[at] = line.bad or line.good
        assert said(lines) == ([f"{at + 1}: {line.rule}"] if line.rule else [])
