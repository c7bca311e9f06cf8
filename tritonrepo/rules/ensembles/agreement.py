"""When two models agree on a tensor that they share.

Source: core, src/ensemble_scheduler/ensemble_utils.cc, TensorNode and ValidateTensorConsistency; the same text in all
branches from r24.01 to main of June 2026.
"""

from __future__ import annotations

from typing import NamedTuple

from tritonrepo.repository.completion import Port

Dims = tuple[int, ...]
EVERY = (False, True)


class Definition(NamedTuple):
    """A tensor as a model or the ensemble defines it; `batching` has both values if the backend may enable it.

    If `known` is false, everything agrees with it.
    """

    model: str
    port: Port
    batching: tuple[bool, ...]
    known: bool = True

    @property
    def shape(self) -> str:
        """The full shape in the server's form: [-1,4]."""
        return shown(full(self.port.dims, batching=self.batching[0]))

    @property
    def type_name(self) -> str:
        """The data type by the server's name, or empty for a number that is not in the enum."""
        return self.port.data_type if self.port.data_type.startswith("TYPE_") else ""


UNKNOWN = Definition("", Port("", "", (), optional=False), EVERY, known=False)


def shown(dims: Dims) -> str:
    """Return dims in the server's form."""
    return f"[{','.join(map(str, dims))}]"


def full(dims: Dims, *, batching: bool) -> Dims:
    """Return the dims with the batch in front."""
    return (-1, *dims) if batching else dims


def fit(first: Dims, second: Dims) -> bool:
    """Return whether two shapes have the same rank and agree in each dim; -1 agrees with anything."""
    return len(first) == len(second) and all(a == b or -1 in {a, b} for a, b in zip(first, second, strict=True))


def types_agree(first: Definition, second: Definition) -> bool:
    """Return whether the data types are the same."""
    return not (first.known and second.known) or first.port.data_type == second.port.data_type


def shapes_agree(first: Definition, second: Definition) -> bool:
    """Return whether the dims fit or the full shapes do."""
    if not (first.known and second.known) or fit(first.port.dims, second.port.dims):
        return True
    return any(
        fit(full(first.port.dims, batching=a), full(second.port.dims, batching=b))
        for a in first.batching
        for b in second.batching
    )


def one_batch_only(first: Definition, second: Definition) -> int | None:
    """Return the only batch size that works, where a batching model meets a fixed first dim of one without batching."""
    if not (first.known and second.known) or fit(first.port.dims, second.port.dims):
        return None
    for batching, other in ((first, second), (second, first)):
        if batching.batching == (True,) and other.batching == (False,) and other.port.dims[:1] > (0,):
            return other.port.dims[0]
    return None


def by_dims(first: Definition, second: Definition) -> bool:
    """Return whether two known tensors agree without their batch dimensions."""
    return first.known and second.known and fit(first.port.dims, second.port.dims)


def alone(first: Definition, second: Definition) -> bool:
    """Return whether a tensor with a batch goes to a model without batching, which only takes a batch of one.

    Source: core, src/ensemble_scheduler/ensemble_scheduler.cc, ReshapeTensorDims. Triton 2.51.0 answers a batch of two
    with "unexpected shape for input".
    """
    return by_dims(first, second) and first.batching == (True,) and second.batching == (False,)


def narrowed(first: Definition, second: Definition) -> Dims | None:
    """Return the dims of the first with the sizes that only the second fixes; None if it fixes none."""
    if not by_dims(first, second):
        return None
    dims = tuple(b if a == -1 else a for a, b in zip(first.port.dims, second.port.dims, strict=True))
    return dims if dims != first.port.dims else None
