"""Changes of a config by its schema only: a value, a field more or less, a duplicate, a part of another model."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from benchmarks.soak.drafts import (
    KIND,
    Draft,
    Group,
    Plain,
    configs,
    enum,
    messages,
    pick,
    tensor_names,
    value_kind,
    values,
)
from benchmarks.soak.models import BACKENDS
from benchmarks.soak.tensors import data_type, dims, rare
from tritonrepo.pbtxt import Enum
from tritonrepo.pbtxt.schema import FieldType, MessageType

RANGES = {
    "int32": (-(1 << 31), (1 << 31) - 1),
    "uint32": (0, (1 << 32) - 1),
    "int64": (-(1 << 63), (1 << 63) - 1),
    "uint64": (0, (1 << 64) - 1),
}
FLOATS = (0.0, 1.0, 0.5, -1.0, 2.0, float("nan"), float("inf"))
CHOICES = {"bool": (True, False), "float": FLOATS, "double": FLOATS}
EDGES = (0, 1, 2, -1, -2, 127, 1 << 31, (1 << 31) - 1, (1 << 32) - 1, (1 << 63) - 1, -(1 << 63), (1 << 64) - 1)
SMALL = (0, 1, 2, 3, 4, 8, 16)
TEXTS = ("", "x", "NEW", "a b", "a/b", "../x", "é", "0", "-1", "model.py", "a" * 300)
PLATFORMS = (
    "ensemble",
    "tensorrt_plan",
    "onnxruntime_onnx",
    "pytorch_libtorch",
    "tensorflow_savedmodel",
    "onnx",
    "custom",
    "",
)
FILENAMES = ("model.py", "model.onnx", "other.py", "model.plan", "", "1/model.py", "../model.py", "/etc/hostname")
DEEPEST = 4

NOT_ADDED = {"model_repository_agents", "EXECUTION_ENV_PATH"}
"""An empty one crashes the server, see file `drafts` of the row: such models are checked separately, which is slow."""


def number(dice: random.Random, spec: FieldType) -> int:
    """Return an integer that the field can hold."""
    low, high = RANGES[spec.type]
    fitting = [edge for edge in EDGES if low <= edge <= high]
    return dice.choice(fitting if rare(dice, 0.4) else SMALL)


def text(dice: random.Random, spec: FieldType, group: Group) -> str:
    """Return a string for a field, a meaningful one if possible."""
    pools: dict[str, tuple[str, ...]] = {
        "name": (*tensor_names(group), "NEW"),
        "target_name": (*tensor_names(group), "NEW"),
        "source_input": (*tensor_names(group), "NEW"),
        "model_name": tuple(draft.name for draft in group),
        "backend": (*BACKENDS, "nosuch", "ensemble"),
        "platform": PLATFORMS,
        "default_model_filename": FILENAMES,
        "runtime": ("model.py", "libtriton_python.so", "libtriton_x.so", "../x", ""),
    }
    pool = pools.get(spec.name, ())
    return dice.choice(pool) if pool and not rare(dice, 0.25) else dice.choice(TEXTS)


def value(dice: random.Random, spec: FieldType, group: Group, depth: int = 0) -> Any:  # noqa: ANN401  any type
    """Return one value of a field."""
    if spec.message is not None:
        return message(dice, value_kind(spec), group, depth + 1)
    if spec.name == "data_type":
        return data_type(dice)
    if spec.enum is not None:
        return Enum(str(dice.choice((7, 99, -1)))) if rare(dice, 0.05) else enum(dice, spec)
    if spec.type in CHOICES:
        return dice.choice(CHOICES[spec.type])
    return text(dice, spec, group) if spec.type == "string" else number(dice, spec)


def message(dice: random.Random, kind: MessageType, group: Group, depth: int) -> Plain:
    """Return a message with some of its fields."""
    found: Plain = {}
    taken: set[str] = set()
    specs = [spec for spec in kind.fields.values() if depth < DEEPEST or spec.message is None]
    for spec in dice.sample(specs, min(len(specs), dice.choice((0, 1, 2, 2, 3, 4)))):
        if spec.slot not in taken or not spec.slot:
            found[spec.name] = filled(dice, spec, group, depth)
        taken.add(spec.slot)
    return found


def filled(dice: random.Random, spec: FieldType, group: Group, depth: int) -> Any:  # noqa: ANN401  any type
    """Return what a field holds: a value, a list, a map."""
    if spec.message is not None and spec.message.is_entry:
        key = spec.message.fields["key"]
        entry = spec.message.fields["value"]
        return {value(dice, key, group): value(dice, entry, group, depth) for _ in range(dice.choice((0, 1, 1, 2)))}
    if not spec.repeated:
        return value(dice, spec, group, depth)
    if spec.name in {"dims", "shape"}:
        return dims(dice)
    return [value(dice, spec, group, depth) for _ in range(dice.choice((0, 1, 1, 2)))]


def change_value(dice: random.Random, group: Group) -> None:
    """Replace a value."""
    draft = pick(dice, configs(group))
    found = pick(dice, values(draft)) if draft is not None else None
    if found is None:
        return
    holder, spec = found
    if isinstance(holder[spec.name], list) and holder[spec.name] and rare(dice, 0.7):
        at = dice.randrange(len(holder[spec.name]))
        holder[spec.name][at] = value(dice, spec, group)
    else:
        holder[spec.name] = filled(dice, spec, group, DEEPEST)


def add_field(dice: random.Random, group: Group) -> None:
    """Add any field that a message does not have yet."""
    draft = pick(dice, configs(group))
    if draft is None or draft.config is None:
        return
    holder, kind = dice.choice(list(messages(draft.config, KIND)))
    oneofs = {kind.fields[name].slot for name in holder}
    free = [spec for spec in kind.fields.values() if spec.slot not in oneofs and spec.name not in {*holder, *NOT_ADDED}]
    spec = pick(dice, free)
    if spec is not None:
        holder[spec.name] = filled(dice, spec, group, 0)


def remove(dice: random.Random, group: Group) -> None:
    """Remove a field, or an item of a list or a map."""
    draft = pick(dice, configs(group))
    holders = [one for one, _ in messages(draft.config, KIND) if one] if draft is not None and draft.config else []
    holder = pick(dice, holders)
    if holder is None:
        return
    name = dice.choice(list(holder))
    held = holder[name]
    if isinstance(held, list | dict) and held and rare(dice, 0.6):
        held.pop(dice.randrange(len(held)) if isinstance(held, list) else dice.choice(list(held)))
    else:
        del holder[name]


def double(dice: random.Random, group: Group) -> None:
    """Duplicate an item of a list."""
    draft = pick(dice, configs(group))
    if draft is None or draft.config is None:
        return
    lists = [
        held for one, _ in messages(draft.config, KIND) for held in one.values() if isinstance(held, list) and held
    ]
    held = pick(dice, lists)
    if held is not None:
        held.insert(dice.randrange(len(held) + 1), deepcopy(dice.choice(held)))


def move(dice: random.Random, group: Group) -> None:
    """Reorder the items of a list."""
    draft = pick(dice, configs(group))
    lists = [one[name] for one in [draft.config or {}] for name in ("input", "output") if name in one] if draft else []
    held = pick(dice, lists)
    if isinstance(held, list):
        dice.shuffle(held)


def borrow(dice: random.Random, group: Group) -> None:
    """Copy a block from another model, or the outputs to the inputs."""
    drafts = configs(group)
    draft, donor = pick(dice, drafts), pick(dice, drafts)
    if draft is None or donor is None or draft.config is None or not donor.config:
        return
    if draft is donor:
        draft.config["input"] = [
            {key: held for key, held in one.items() if key != "label_filename"}
            for one in draft.config.get("output", [])
        ]
        return
    name = dice.choice(list(donor.config))
    taken = {KIND.fields[other].slot for other in draft.config if other != name} - {""}
    if KIND.fields[name].slot not in taken:
        draft.config[name] = deepcopy(donor.config[name])


def rename(dice: random.Random, group: Group) -> None:
    """Rename an input or output."""
    draft = pick(dice, configs(group))
    tensors = [one for kind in ("input", "output") for one in (draft.config or {}).get(kind, [])] if draft else []
    found = pick(dice, tensors)
    if found is not None:
        found["name"] = dice.choice(("RENAMED", "", *tensor_names(group)))


def spoil(dice: random.Random, group: Group) -> None:
    """Add a line that the parser rejects, or something from a later release."""
    draft: Draft | None = pick(dice, configs(group))
    if draft is not None:
        draft.tail = dice.choice(("foo: 1\n", "max_batch_size: 1.5\n", "model_metrics { }\n", "input [\n", "}\n"))


CHANGES: list[Callable[[random.Random, Group], None]] = [
    *[change_value] * 6,
    *[add_field] * 6,
    *[remove] * 5,
    *[double] * 2,
    *[borrow] * 2,
    move,
    *[rename] * 2,
    spoil,
]
