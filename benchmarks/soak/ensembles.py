"""Ensembles made from scratch over models made from scratch, and what goes wrong between the two."""

from __future__ import annotations

import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from benchmarks.soak.drafts import Draft, Group, Plain, configs, pick
from benchmarks.soak.tensors import DIMS, TYPES, dims, rare
from tritonrepo.pbtxt import Enum
from tritonrepo.tree import Directory

LAST = "pipeline"


def leaf(dice: random.Random, number: int, given: Plain, batch: int) -> Draft:
    """Return a model that accepts a tensor like this one."""
    config: Plain = {
        "backend": "identity",
        "max_batch_size": batch,
        "input": [{"name": "IN", "data_type": given["data_type"], "dims": list(given["dims"])}],
        "output": [{"name": "OUT", "data_type": Enum(dice.choice(TYPES)), "dims": list(dice.choice(DIMS))}],
    }
    if rare(dice, 0.3):
        extra = {"name": "MORE", "data_type": Enum("TYPE_FP32"), "dims": [1]}
        config[dice.choice(("input", "output"))].append(extra | ({"optional": True} if rare(dice, 0.2) else {}))
        if extra.get("optional") and extra in config["output"]:
            config["output"].remove(extra)
        for output in config["output"]:
            output.pop("optional", None)
    if rare(dice, 0.15):
        config["model_transaction_policy"] = {"decoupled": True}
    if rare(dice, 0.1):
        config["dynamic_batching"] = {}
    return Draft(f"leaf{number}", config, {"1": Directory()})


def pipeline(dice: random.Random) -> Group:
    """Return an ensemble over one to four models in a row, each fed by one before it."""
    batch = dice.choice((0, 0, 4, 8))
    group: Group = []
    start = {"name": "QUERY", "data_type": Enum(dice.choice(TYPES)), "dims": list(dice.choice(DIMS))}
    inputs = [start]
    tensors: list[Plain] = [start]
    steps = []
    for number in range(dice.choice((1, 2, 2, 3, 4))):
        given = dice.choice(tensors[-2:])
        draft = leaf(dice, number, given, dice.choice((batch,) * 4 + (0, batch * 2)))
        step: Plain = {
            "model_name": draft.name,
            "model_version": dice.choice((-1, -1, 1)),
            "input_map": {},
            "output_map": {},
        }
        assert draft.config is not None
        for one in draft.config["input"]:
            if one["name"] == "IN":
                step["input_map"]["IN"] = given["name"]
            else:
                inputs.append(dict(one) | {"name": f"MORE{number}"})
                step["input_map"][one["name"]] = f"MORE{number}"
        for one in draft.config["output"]:
            tensors.append(dict(one) | {"name": f"{one['name']}{number}".lower()})
            step["output_map"][one["name"]] = tensors[-1]["name"]
        steps.append(step)
        group.append(draft)
    read = {name for step in steps for name in step["input_map"].values()}
    outputs = [one for one in tensors[1:] if one["name"] not in read] or tensors[-1:]
    if rare(dice, 0.2):
        dice.shuffle(steps)
    config: Plain = {
        "platform": "ensemble",
        "max_batch_size": batch,
        "input": deepcopy(inputs),
        "output": deepcopy(outputs),
        "ensemble_scheduling": {"step": steps},
    }
    group.append(Draft(LAST, config, {"1": Directory()}))
    if rare(dice, 0.15):
        group.append(outer(group[-1]))
    return group


def outer(inner: Draft) -> Draft:
    """Return an ensemble around an ensemble."""
    assert inner.config is not None
    config = deepcopy(inner.config)
    step: Plain = {"model_name": inner.name, "model_version": -1}
    step["input_map"] = {one["name"]: one["name"] for one in config["input"]}
    step["output_map"] = {one["name"]: one["name"] for one in config["output"]}
    config["ensemble_scheduling"] = {"step": [step]}
    return Draft("outer", config, {"1": Directory()})


def ensembles(group: Group) -> list[Draft]:
    """Return the models with steps."""
    return [draft for draft in configs(group) if (draft.config or {}).get("ensemble_scheduling", {}).get("step")]


def a_step(dice: random.Random, group: Group) -> tuple[Plain, list[Plain]] | None:
    """Return a step and the list that it is in."""
    draft = pick(dice, ensembles(group))
    if draft is None or draft.config is None:
        return None
    steps = draft.config["ensemble_scheduling"]["step"]
    return dice.choice(steps), steps


def change_step(dice: random.Random, group: Group) -> None:
    """Set another model or version in a step, or remove one of them."""
    found = a_step(dice, group)
    if found is None:
        return
    step, steps = found
    names = [draft.name for draft in group] + ["nosuch", ""]
    new: dict[str, Any] = {
        "model_name": dice.choice(names),
        "model_version": dice.choice((-1, 0, 1, 2, 7, -2, 1 << 62)),
    }
    new["model_namespace"] = dice.choice(("", "space"))
    name = dice.choice(
        ("model_name", "model_version", "model_version", "model_namespace", "gone", "twice", "delete", "order")
    )
    if name in new:
        step[name] = new[name]
    elif name == "gone":
        step.pop(dice.choice(list(step)), None)
    elif name == "twice":
        steps.insert(dice.randrange(len(steps) + 1), deepcopy(step))
    elif name == "delete":
        steps.remove(step)
    else:
        dice.shuffle(steps)


def change_map(dice: random.Random, group: Group) -> None:
    """Change an entry of a step's maps: key, value, one more, one less."""
    found = a_step(dice, group)
    if found is None:
        return
    step, steps = found
    side = dice.choice(("input_map", "output_map"))
    held = step.setdefault(side, {})
    every = sorted(
        {value for one in steps for kind in ("input_map", "output_map") for value in one.get(kind, {}).values()}
    )
    tensor = dice.choice([*every, "unknown", ""])
    key = pick(dice, list(held))
    what = dice.choice(("value", "value", "key", "add", "delete"))
    if what == "add" or key is None:
        held[dice.choice(("NOKEY", "MORE", "IN", "OUT", ""))] = tensor
    elif what == "value":
        held[key] = tensor
    elif what == "key":
        held[dice.choice(("NOKEY", "IN", "OUT", ""))] = held.pop(key)
    else:
        del held[key]


def change_tensor(dice: random.Random, group: Group) -> None:
    """Change an input or output of any model of the group."""
    draft = pick(dice, configs(group))
    side = dice.choice(("input", "output"))
    found = pick(dice, (draft.config or {}).get(side, [])) if draft is not None else None
    if found is None or draft is None or draft.config is None:
        return
    fields: dict[str, Any] = {
        "dims": dims(dice),
        "data_type": Enum(dice.choice(TYPES)),
        "name": dice.choice(("QUERY", "out0", "NEW", "")),
        "reshape": {"shape": dims(dice)},
    }
    what = dice.choice((*fields, "dims", "optional", "delete", "double"))
    if what in fields:
        found[what] = fields[what]
    elif what == "optional" and side == "input":
        found["optional"] = True
    elif what == "delete":
        draft.config[side].remove(found)
    elif what == "double":
        draft.config[side].append(deepcopy(found) | {"name": dice.choice((found.get("name", ""), "AGAIN"))})


def change_model(dice: random.Random, group: Group) -> None:
    """Change what the graph depends on in a model as a whole."""
    draft = pick(dice, configs(group))
    if draft is None or draft.config is None:
        return
    changes: dict[str, Any] = {
        "max_batch_size": dice.choice((0, 1, 2, 4, 16)),
        "model_transaction_policy": {"decoupled": dice.choice((True, True, False))},
        "version_policy": dice.choice(({"specific": {"versions": [dice.choice((1, 2))]}}, {"all": {}})),
        "response_cache": {"enable": True},
        "instance_group": [{"kind": Enum("KIND_CPU")}],
        "dynamic_batching": {},
        "backend": dice.choice(("nosuch", "identity", "square")),
        "model_warmup": [],
        "optimization": {},
        "parameters": {"a": {"string_value": "b"}},
    }
    name = dice.choice(list(changes))
    if name == "dynamic_batching":
        draft.config.pop("ensemble_scheduling", None)
        draft.config.pop("sequence_batching", None)
    draft.config[name] = changes[name]


def lose_model(dice: random.Random, group: Group) -> None:
    """Remove a model or its version from the repository, or add another version."""
    draft = dice.choice(group)
    what = dice.choice(("model", "version", "another", "two"))
    if what == "model" and len(group) > 1:
        group.remove(draft)
    elif what == "version":
        draft.files.clear()
    elif what == "another":
        draft.files = {"2" + path[1:]: entry for path, entry in draft.files.items()}
    else:
        draft.files["2"] = Directory()


def loop(dice: random.Random, group: Group) -> None:
    """Make a step name an ensemble: a later one, or itself."""
    found = a_step(dice, group)
    around = pick(dice, ensembles(group))
    if found is not None and around is not None:
        found[0]["model_name"] = around.name


CHANGES: list[Callable[[random.Random, Group], None]] = [
    *[change_step] * 4,
    *[change_map] * 5,
    *[change_tensor] * 6,
    *[change_model] * 4,
    *[lose_model] * 2,
    loop,
]
