"""`config:` in a stack file: every field of a ModelConfig can be set, and what does not fit is told at its place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from google.protobuf import json_format, text_format

from tests.pbtxt_descriptors import message_class
from tritonrepo import spec
from tritonrepo.diagnostics import Stop
from tritonrepo.generate import generate
from tritonrepo.generate.draft import Draft
from tritonrepo.generate.inputs import EncoderFiles, Inputs
from tritonrepo.parts import PARTS
from tritonrepo.pbtxt.schema import FieldType, MessageType, model_config
from tritonrepo.tree import of_text

NEWEST = "26.07"
DEEPEST = 7
VALUES: Mapping[str, Any] = {"string": "text", "bool": True, "float": 0.25, "double": 0.1}


def paths(kind: MessageType, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names that lead to each field, without going round."""
    for name, field in kind.fields.items():
        inner = field.message.fields["value"].message if field.message and field.message.is_entry else field.message
        yield (*path, name)
        if inner is not None and name not in path and len(path) < DEEPEST:
            yield from paths(inner, (*path, name))


def value(field: FieldType, rest: tuple[str, ...]) -> object:
    """A value of a field as YAML has it, in which the rest of the path is set."""
    one = single(field.message.fields["value"] if field.message and field.message.is_entry else field, rest)
    if field.message and field.message.is_entry:
        return {"7" if field.message.fields["key"].type == "uint64" else "key": one}
    return [one] if field.repeated else one


def single(field: FieldType, rest: tuple[str, ...]) -> object:
    if field.message:
        return {rest[0]: value(field.message.fields[rest[0]], rest[1:])} if rest else {}
    if field.enum:
        return list(field.enum.numbers)[-1]
    return VALUES.get(field.type, 3)


ALL = sorted(set(paths(model_config())))


def drafted(config: Mapping[str, Any]) -> Draft:
    stack = {"name": "s", "target": {"gpus": 0}, "models": {"m": {"role": "model", "config": config}}}
    read = spec.read([("a.yaml", yaml.safe_dump(stack).encode())], {}, PARTS)
    files = {name: read.part(name).stand_in(model) for name, model in read.models.items()}
    return generate(Inputs(read, files, {}), {})


def test_every_field_of_a_model_config_is_reachable() -> None:
    for path in ALL:
        reachable(path)


def reachable(path: tuple[str, ...]) -> None:
    config = {path[0]: value(model_config().fields[path[0]], path[1:])}
    text = drafted(config).tree["m/config.pbtxt"].content().decode()
    there = text_format.Parse(text, message_class(NEWEST)())
    wanted = json_format.ParseDict(config, message_class(NEWEST)())
    for name in ("name", "version_policy"):
        if path[0] != name:
            there.ClearField(name)
    assert there == wanted


def test_every_message_of_the_descriptor_is_walked() -> None:
    assert len(ALL) == 173
    assert ("dynamic_batching", "priority_queue_policy", "timeout_action") in ALL
    assert ("optimization", "cuda", "graph_spec", "graph_lower_bound", "input", "dim") in ALL
    assert ("model_metrics", "metric_control", "histogram_options", "buckets") in ALL


STACK = """\
name: s
target: {gpus: 0}
models:
  m:
    backend: python
    config: {%s}
"""


MISPLACED = {
    "a field of ModelConfig": ("max_batch_size: 8", "Set max_batch_size in config."),
    "what other roles have a key for": (
        "batching: {max_batch: 8}",
        "Set max_batch_size and dynamic_batching in config.",
    ),
    "a misspelt key": ("sorce: ./m.py", 'Did you mean "source"?'),
}


@pytest.mark.parametrize(("key", "hint"), MISPLACED.values(), ids=MISPLACED)
def test_a_field_beside_config_is_told_to_be_inside(key: str, hint: str) -> None:
    with pytest.raises(Stop) as stop:
        spec.read([("a.yaml", STACK.replace("config: {%s}", key).encode())], {}, PARTS)
    (found,) = stop.value.diagnostics
    assert (found.message, found.hint) == (f'unknown key "{key.partition(":")[0]}"', hint)


def test_all_faults_of_a_config_are_told_at_once_with_those_of_the_stack() -> None:
    text = (STACK % "max_batch_size: x, inputs: [], input: [{dims: [a, 1, b]}]").replace("backend", "bakcend")
    with pytest.raises(Stop) as stop:
        spec.read([("a.yaml", text.replace("    bakcend", "    role: model\n    bakcend").encode())], {}, PARTS)
    assert [str(each.at) for each in stop.value.diagnostics] == [
        f"a.yaml:{place}" for place in ("6:5", "7:30", "7:33", "7:61", "7:67")
    ]


ENCODER = """\
name: s
target: {release: "26.07", gpus: 1}
models:
  e:
    role: embedder
    source: ./w
    batching: {max_batch_size: 16, preferred: [8]}
    config:
%s
"""


def laid_over(config: str) -> Mapping[str, Any]:
    """The config of an embedder, whose own fields are these lines."""
    lines = "\n".join(f"      {line}" for line in config.splitlines())
    read = spec.read([("a.yaml", (ENCODER % lines).encode())], {}, PARTS)
    files = EncoderFiles(of_text("graph"), of_text("tokenizer"), dimensions=3, max_tokens=9)
    return generate(Inputs(read, {"e": files}, {"tokenizers": {}}), {}).configs["e"]


def test_messages_merge_field_by_field() -> None:
    merged = laid_over("dynamic_batching: {preserve_ordering: true}")
    assert merged["dynamic_batching"] == {"preferred_batch_size": [8], "preserve_ordering": True}


def test_lists_and_single_values_are_replaced() -> None:
    merged = laid_over("max_batch_size: 64\ndynamic_batching: {preferred_batch_size: [32, 64]}\ninstance_group: []")
    assert merged["max_batch_size"] == 64
    assert merged["dynamic_batching"] == {"preferred_batch_size": [32, 64]}
    assert merged["instance_group"] == []


def test_another_member_of_a_oneof_takes_the_generated_ones_place() -> None:
    merged = laid_over("sequence_batching: {}\nversion_policy: {latest: {num_versions: 2}}")
    assert "dynamic_batching" not in merged
    assert merged["sequence_batching"] == {}
    assert merged["version_policy"] == {"latest": {"num_versions": 2}}


def test_null_removes_a_generated_field() -> None:
    merged = laid_over("dynamic_batching: null\nsequence_batching: null")
    assert "dynamic_batching" not in merged
    assert "sequence_batching" not in merged
    assert merged["backend"] == "python"


def test_maps_merge_key_by_key() -> None:
    merged = laid_over("parameters: {A: {string_value: a}}\nmetric_tags: {team: search}")
    assert merged["parameters"] == {"A": {"string_value": "a"}}
    assert merged["metric_tags"] == {"team": "search"}
