"""Options of the ONNX Runtime backend in `parameters`, and the level of graph optimisation.

Source: onnxruntime_backend, src/onnxruntime.cc, ModelState::ModelState; backend, src/backend_common.cc, ParseIntValue
and ParseBoolValue; the same text from r24.01 to r26.06.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Fix, Severity, State, nearest
from tritonrepo.pbtxt import Scalar
from tritonrepo.pbtxt.editor import Edit
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.pbtxt.printer import quoted
from tritonrepo.repository import Model
from tritonrepo.rules.instances.groups import GPU, groups
from tritonrepo.rules.mending import edited
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

MODE = "execution_mode"
COUNTS = (MODE, "intra_op_thread_count", "inter_op_thread_count")
FLAGS = ("enable_mem_arena", "enable_mem_pattern")
ON_GPU = {"cudnn_conv_algo_search": 2, "arena_extend_strategy": 1}
"""Options that are read for an instance on a GPU, with their largest value."""

OTHERS = (
    *("memory.enable_memory_arena_shrinkage", "session.use_device_allocator_for_initializers"),
    *("gpu_mem_limit", "do_copy_in_default_stream"),
)
KNOWN = (*COUNTS, *FLAGS, *ON_GPU, *OTHERS)
WHOLE = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]{1,99})")
LIMIT = 1 << 31
BOOLEANS = frozenset({"true", "on", "1", "false", "off", "0"})
WORDS = {
    "true": {"true", "on", "1", "yes", "y", "t", "enable", "enabled"},
    "false": {"false", "off", "0", "no", "n", "f", "disable", "disabled"},
}
"""Words that can only mean one of the two, whatever is around them."""

CLOSE = 0.8
"""How similar an unknown parameter is to a known one to count as misspelt; others may be meant for other programs."""


def whole(text: str) -> int | None:
    """Return the number at the beginning of a text, as std::stoi reads it; None if there is none."""
    found = WHOLE.match(text)
    return int(found[1]) if found else None


def parameter(model: Model, name: str) -> tuple[Placed, str] | None:
    """Return the value of a parameter and its place; None if it is not set."""
    for entry in reversed(model.config.entries("parameters")):
        if entry.text("key") == name:
            value = entry.message("value")
            written: list[Scalar] = value.scalars("string_value") if value is not None else []
            return (written[-1], str(written[-1].data)) if written else (entry, "")
    return None


def on_gpu(model: Model) -> bool:
    """Whether an instance of the model runs on a GPU."""
    listed = groups(model)
    return any(group.kind == GPU for group in listed) if listed else model.target.gpus > 0


@rule(
    "onnx-execution-mode",
    Severity.ERROR,
    "parameters",
    at=Stage.BACKEND.after("python-force-cpu-value"),
)
def execution_mode(model: Model) -> Iterator[Finding]:
    """execution_mode of an ONNX model must be 0 or 1."""
    given = parameter(model, MODE) if model.backend == "onnxruntime" else None
    number = whole(given[1]) if given is not None else None
    if given is not None and number is not None and number not in {0, 1} and -LIMIT <= number < LIMIT:
        yield Finding(
            given[0],
            f'{MODE} is "{given[1]}", but only 0 (sequential) and 1 (parallel) exist',
            hint="Set it to 0 or 1.",
            reason="Invalid configuration value provided. Expected values for  execution_mode are 0 or 1 but got "
            f"{number} .",
        )


@rule("onnx-int-parameter", Severity.ERROR, "parameters", at=Stage.BACKEND.after("onnx-execution-mode"))
def integers(model: Model) -> Iterator[Finding]:
    """Thread counts and other numbers among the parameters of an ONNX model must be integers."""
    for place, name, text in _integers(model):
        if whole(text) is None:
            yield Finding(
                place,
                f'{name} is "{text}", which is not an integer',
                hint="Set it to an integer, as a string.",
                reason=f"failed to convert '{text}' to integral number",
            )


@rule(
    "onnx-int-parameter-overflow",
    Severity.ERROR,
    "parameters",
    at=Stage.BACKEND.same_walk("onnx-int-parameter"),
    state=State.CRASH,
)
def overflow(model: Model) -> Iterator[Finding]:
    """Thread counts and other numbers among the parameters of an ONNX model must fit into 32 bits."""
    for place, name, text in _integers(model):
        if not -LIMIT <= (whole(text) or 0) < LIMIT:
            yield Finding(
                place,
                f'{name} is "{text}", which does not fit into 32 bits and crashes the server',
                hint="Set it to a smaller number.",
                reason="server ended: stoi",
            )


def _integers(model: Model) -> Iterator[tuple[Placed, str, str]]:
    """Yield the parameters that are read as integers, each with its place and text."""
    for name in (*COUNTS, *(ON_GPU if on_gpu(model) else ())) if model.backend == "onnxruntime" else ():
        given = parameter(model, name)
        if given is not None:
            yield given[0], name, given[1]


@rule("onnx-bool-parameter", Severity.ERROR, "parameters", at=Stage.BACKEND.after("onnx-int-parameter-overflow"))
def booleans(model: Model) -> Iterator[Finding]:
    """Switches among the parameters of an ONNX model must be true or false."""
    for name in FLAGS if model.backend == "onnxruntime" else ():
        given = parameter(model, name)
        if given is not None and given[1].lower() not in BOOLEANS:
            yield Finding(
                given[0],
                f'{name} is "{given[1]}", which is neither true nor false',
                hint='Set it to "true" or "false".',
                reason=f"failed to convert '{given[1]}' to boolean",
                fix=_as_boolean(model, *given),
            )


def _as_boolean(model: Model, place: Placed, text: str) -> Fix | None:
    """Return the fix that writes a word for a switch as the backend reads it; None if it is no such word."""
    word = text.strip().casefold()
    meant = next((to for to, words in WORDS.items() if word in words), "")
    near = nearest(word, ("true", "false")) if word and not meant else ""
    if not isinstance(place, Scalar) or not (meant or near):
        return None
    return edited(model, Edit(place.start, place.end, quoted(meant or near).encode()), safe=bool(meant))
