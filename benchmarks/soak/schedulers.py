"""The schedulers of a config: dynamic_batching and sequence_batching with their queues, controls and states."""

from __future__ import annotations

import random

from benchmarks.soak.drafts import Plain
from benchmarks.soak.tensors import data_type, dims, rare
from tritonrepo.pbtxt import Enum

CONTROLS = ("CONTROL_SEQUENCE_START", "CONTROL_SEQUENCE_READY", "CONTROL_SEQUENCE_END", "CONTROL_SEQUENCE_CORRID")


def queue_policy(dice: random.Random) -> Plain:
    """Return a queue policy."""
    found: Plain = {}
    if rare(dice, 0.5):
        found["timeout_action"] = Enum(dice.choice(("REJECT", "DELAY", "DELAY")))
    if rare(dice, 0.5):
        found["default_timeout_microseconds"] = dice.choice((0, 1, 1000, 1 << 63))
    if rare(dice, 0.5):
        found["allow_timeout_override"] = dice.choice((True, False))
    if rare(dice, 0.5):
        found["max_queue_size"] = dice.choice((0, 1, 100, (1 << 32) - 1))
    return found


def sizes(dice: random.Random, largest: int) -> list[int]:
    """Return preferred batch sizes."""
    good = [size for size in (1, 2, 4, 8, 16) if size <= largest] or [1]
    return dice.choices((0, -1, largest + 1, 1 << 30), k=1) if rare(dice, 0.15) else dice.sample(good, 1)


def dynamic_batching(dice: random.Random, config: Plain) -> Plain:
    """Return a dynamic_batching."""
    found: Plain = {}
    if rare(dice, 0.4):
        found["preferred_batch_size"] = sizes(dice, config.get("max_batch_size", 0))
    if rare(dice, 0.4):
        found["max_queue_delay_microseconds"] = dice.choice((0, 1, 100, 1 << 63, (1 << 64) - 1))
    if rare(dice, 0.25):
        found["preserve_ordering"] = dice.choice((True, False))
    if rare(dice, 0.4):
        levels = found["priority_levels"] = dice.choice((0, 1, 2, 3, 5))
        found["default_priority_level"] = dice.choice((levels, 1, 1, levels + 1, 0))
    if rare(dice, 0.3):
        found["default_queue_policy"] = queue_policy(dice)
    if rare(dice, 0.3):
        keys = dice.sample((0, 1, 2, 3, 7, 1 << 40), dice.choice((1, 2)))
        found["priority_queue_policy"] = {key: queue_policy(dice) for key in keys}
    return found


def control(dice: random.Random, kind: str) -> Plain:
    """Return a control of a sequence."""
    found: Plain = {"kind": Enum(kind)} if kind != CONTROLS[0] or rare(dice, 0.7) else {}
    if (kind == CONTROLS[3]) is not rare(dice):
        found["data_type"] = Enum(dice.choice(("TYPE_UINT64", "TYPE_INT64", "TYPE_UINT32", "TYPE_STRING", "TYPE_FP32")))
        if not rare(dice, 0.1):
            return found
    values: dict[str, list[float]] = {
        "int32_false_true": [0, 1],
        "fp32_false_true": [0.0, 1.0],
        "bool_false_true": [False, True],
    }
    for name in dice.sample(list(values), dice.choice((1,) * 12 + (0, 2, 3))):
        found[name] = dice.choice(
            (values[name],) * 8 + (values[name][:1], values[name] * 2, list(reversed(values[name])), [])
        )
    return found


def initial_state(dice: random.Random, state: Plain) -> Plain:
    """Return an initial state of a state."""
    found: Plain = {"name": "start"} if not rare(dice) else {}
    found["data_type"] = state.get("data_type", Enum("TYPE_FP32")) if not rare(dice) else data_type(dice)
    shape = [abs(dim) or 1 for dim in state.get("dims", [1])]
    found["dims"] = shape if not rare(dice, 0.15) else dims(dice)
    if rare(dice, 0.75):
        found["zero_data"] = dice.choice((True, True, True, False))
    elif rare(dice, 0.8):
        found["data_file"] = dice.choice(("state.bin", "missing.bin", "", "../state.bin"))
    return found


def sequence_batching(dice: random.Random, config: Plain) -> Plain:
    """Return a sequence_batching."""
    found: Plain = {}
    if rare(dice, 0.4):
        found["max_sequence_idle_microseconds"] = dice.choice((0, 1, 5_000_000, (1 << 64) - 1))
    found |= strategy(dice, config)
    if rare(dice, 0.15):
        found["iterative_sequence"] = dice.choice((True, False))
    if rare(dice, 0.7):
        found["control_input"] = controls(dice)
    if rare(dice, 0.35):
        found["state"] = [state(dice, number) for number in range(dice.choice((1, 1, 2)))]
    return found


def strategy(dice: random.Random, config: Plain) -> Plain:
    """Return one of the two strategies, or neither."""
    if rare(dice, 0.3):
        return {"direct": {"minimum_slot_utilization": dice.choice((0.0, 0.5, 1.0, 1.5, -0.1, float("nan")))}}
    if not rare(dice, 0.5):
        return {}
    found: Plain = {"max_candidate_sequences": dice.choice((0, 1, 4, 1024, -1))}
    if rare(dice, 0.5):
        found["preferred_batch_size"] = sizes(dice, config.get("max_batch_size", 0))
    return {"oldest": found}


def controls(dice: random.Random) -> list[Plain]:
    """Return control inputs, each of one control or, rarely, of none."""
    kinds = dice.choices(CONTROLS, k=2) if rare(dice, 0.15) else dice.sample(CONTROLS, dice.choice((1, 2, 3, 4)))
    found = [
        {
            "name": kind.rpartition("_")[2] if not rare(dice, 0.05) else dice.choice(("", "START")),
            "control": [control(dice, kind)],
        }
        for kind in kinds
    ]
    if rare(dice, 0.1):
        dice.choice(found)["control"] = []
    return found


def state(dice: random.Random, number: int) -> Plain:
    """Return a state of a sequence."""
    found: Plain = {"input_name": f"STATE_IN{number}", "output_name": f"STATE_OUT{number}"}
    found |= {"data_type": data_type(dice), "dims": dims(dice)}
    if rare(dice, 0.15):
        found.pop(dice.choice(list(found)))
    if rare(dice, 0.6):
        found["initial_state"] = [initial_state(dice, found) for _ in range(2 if rare(dice) else 1)]
    if rare(dice, 0.2):
        found["use_same_buffer_for_input_output"] = dice.choice((True, False))
    if rare(dice, 0.2):
        found["use_growable_memory"] = dice.choice((True, False))
    return found
