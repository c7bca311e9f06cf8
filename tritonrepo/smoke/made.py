"""Made-up inputs for a model about which nothing else is known: ones, true and a word, in its config's shapes."""

from __future__ import annotations

import json
from math import prod
from typing import Any, NamedTuple

from tritonrepo.server.tensors import Request, Tensor, numpy_type, of_values
from tritonrepo.smoke.served import Declared, Served, Warm


class Form(NamedTuple):
    """How a request is made up: rows, size of a dimension of any size, strings; `whole`: with all optional inputs."""

    rows: int = 1
    size: int = 1
    word: bytes = b"smoke"
    whole: bool = False


ONES = Form()
SAMPLING = {"max_tokens": 8, "temperature": 0, "ignore_eos": True}
"""What keeps a test answer short, non-empty and reproducible: vLLM's SamplingParams."""

CONTROLS: dict[str, tuple[str, object]] = {
    "sampling_parameters": ("BYTES", json.dumps(SAMPLING)),
    "stream": ("BOOL", True),
}
"""Optional inputs that are sent if a model has them, as with vLLM's backend: name → data type and value."""

QUERY = "query"
"""An input that is sent although it is optional: a request needs it unless it has a conversation."""

SEQUENCE = 7100
"""The id of the sequence for a request to a stateful model; the request begins and ends it."""


def controls(served: Served) -> list[Tensor]:
    """Return the control inputs that this model accepts."""
    return [
        given(served, name, value)
        for name, (datatype, value) in CONTROLS.items()
        if any((t.name, t.datatype) == (name, datatype) for t in served.inputs)
    ]


def made_up(served: Served, form: Form = ONES) -> Request:
    """Return the request with all required inputs, the query and the control inputs, in this form."""
    known = controls(served)
    names = {tensor.name for tensor in known}
    inputs = [
        _made(tensor, served, form)
        for tensor in served.inputs
        if tensor.name not in names and (form.whole or not tensor.optional or tensor.name == QUERY)
    ]
    return ask(served, [*inputs, *known])


def unsent(served: Served) -> list[str]:
    """Return the optional inputs that a made-up request leaves out."""
    sent = {tensor.name for tensor in made_up(served).inputs}
    return [tensor.name for tensor in served.inputs if tensor.name not in sent]


def ask(served: Served, inputs: list[Tensor]) -> Request:
    """Return the request to this version."""
    sequence = 0 if not served.stateful else str(SEQUENCE) if served.named else SEQUENCE
    return Request(served.name, served.version, tuple(inputs), sequence)


def given(served: Served, name: str, *rows: object) -> Tensor:
    """Return an input with one value, or a list of values, per row; raise ValueError if the model has no such input."""
    tensor = next((t for t in served.inputs if t.name == name), None)
    if tensor is None:
        inputs = ", ".join(t.name for t in served.inputs) or "no inputs"
        raise ValueError(f'unknown input "{name}"; the model has {inputs}')
    flat = [value for row in rows for value in (row if isinstance(row, (list, tuple)) else [row])]
    dims = _sized(tensor.dims, len(flat) // len(rows))
    return of_values(name, tensor.datatype, flat, [len(rows), *dims] if served.max_batch_size else dims)


def _sized(dims: tuple[int, ...], count: int) -> list[int]:
    """Return the dims with the first -1 replaced by what makes `count` values, and any further one by 1."""
    known = prod(dim for dim in dims if dim > 0) or 1
    sizes, left = [], max(count // known, 1)
    for dim in dims:
        sizes.append(dim if dim >= 0 else left)
        left = 1 if dim < 0 else left
    return sizes


def _made(tensor: Declared, served: Served, form: Form) -> Tensor:
    import numpy as np

    known = served.warmed.get(tensor.name, Warm())
    dims = known.dims if len(known.dims) == len(tensor.dims) else tensor.dims
    shape = [*((form.rows,) if served.max_batch_size else ()), *(form.size if dim < 0 else dim for dim in dims)]
    kind: Any = numpy_type(tensor.datatype)
    if kind is np.object_:
        return Tensor(tensor.name, tensor.datatype, np.full(shape, form.word, object))
    return Tensor(tensor.name, tensor.datatype, np.zeros(shape, kind) if known.zeros else np.ones(shape, kind))
