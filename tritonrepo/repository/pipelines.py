"""The calls of a pipeline that is a Python model, as its settings.json has them (generate.bls)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tritonrepo.repository.calls import PINS, calls
from tritonrepo.repository.model import Model
from tritonrepo.shared import SETTINGS, SETTINGS_BYTES
from tritonrepo.tree import Entry, File, below


def scripted(model: Model) -> list[dict[str, Any]]:
    """Return the calls of the version that a Python model serves; none if it is not a pipeline."""
    if model.backend != "python" or len(model.served) != 1:
        return []
    return steps(below(model.entries, model.directory_of(model.served[0])))


def steps(files: Mapping[str, Entry]) -> list[dict[str, Any]]:
    """Return the calls of a version with these files, in the form of an ensemble's steps.

    There are none if the files do not have our form.
    """
    settings, pins = files.get(SETTINGS), files.get(PINS)
    if not isinstance(settings, File) or not isinstance(pins, File) or settings.size > SETTINGS_BYTES:
        return []
    try:
        data = json.loads(settings.content())
    except (ValueError, RecursionError):
        return []
    found = data.get("steps") if isinstance(data, dict) else None
    versions = {call.model: call.version for call in calls(PINS, pins)}
    return [_step(each, versions) for each in found] if isinstance(found, list) and all(map(_fits, found)) else []


def _fits(step: object) -> bool:
    """Return whether a value has the form of a call."""
    if not isinstance(step, dict) or not isinstance(step.get("model"), str):
        return False
    maps = [step.get(key) for key in ("inputs", "outputs")]
    return all(isinstance(each, dict) and all(isinstance(tensor, str) for tensor in each.values()) for each in maps)


def _step(step: Mapping[str, Any], versions: Mapping[str, int]) -> dict[str, Any]:
    return {
        "model_name": step["model"],
        "model_version": versions.get(step["model"], -1),
        "input_map": step["inputs"],
        "output_map": step["outputs"],
    }
