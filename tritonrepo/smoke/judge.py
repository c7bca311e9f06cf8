"""What must be true of every reply: the declared outputs, in the declared types and shapes, with finite numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any

from tritonrepo.server.tensors import Tensor, Tensors
from tritonrepo.smoke.case import Flaw, Judge, Reply
from tritonrepo.smoke.served import Declared, Served

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = 6
LONGEST = 80
TENSORS = 8


SHORT = "Keep the last dimension, as in `values.reshape(-1, 1)`: clients that rely on the metadata expect it."


class Shapes(Enum):
    """How shapes are compared: not at all where they are unknown, or with a warning for lost last dimensions of one."""

    STRICT = "strict"
    LENIENT = "lenient"
    UNKNOWN = "unknown"


def well_formed(served: Served, rows: int = 1, *, whole: bool = True, strict: bool = True) -> Judge:
    """Return the judge of what a config promises, for a request with this number of rows.

    Unless it is `whole`, with all optional inputs, the response may lack outputs, but not all of them. Unless `strict`,
    last dimensions of size one may be missing from an output, with a warning: many models of others return [rows]
    where their config says [rows, 1], and Triton passes that on.
    """
    batch = (rows,) if served.max_batch_size else ()
    shapes = Shapes.STRICT if strict else Shapes.LENIENT

    def judge(reply: Reply) -> Iterator[Flaw]:
        if not served.decoupled:
            for response in reply.responses:
                if whole or not response:
                    yield from _complete(served, response)
        elif not any(reply.responses):
            hint = "Check that the model sends a response before its final flag."
            count = len(reply.responses)
            what = f"any output in its {count} event{'' if count == 1 else 's'}" if count else "a response"
            yield Flaw(f"the stream ended without {what}", hint)
        for response in reply.responses:
            yield from _fitting(served, response, batch, Shapes.UNKNOWN if reply.flat else shapes)

    return judge


def anything(_: Reply) -> Iterable[Flaw]:
    """Accept every reply."""
    return ()


def both(*judges: Judge) -> Judge:
    """Return the judge that uses each next judge only if the previous ones found nothing."""

    def judge(reply: Reply) -> Iterable[Flaw]:
        return next(filter(None, (list(one(reply)) for one in judges)), [])

    return judge


def _complete(served: Served, response: Tensors) -> Iterator[Flaw]:
    lacking = [tensor.name for tensor in served.outputs if tensor.name not in response]
    if lacking:
        missing = f"{'outputs' if len(lacking) > 1 else 'output'} {', '.join(lacking)}"
        yield Flaw(
            f"the response lacks the declared {missing}; it has {', '.join(response) or 'no outputs'}",
            "Set every declared output in every response, or remove it from the config.",
        )


def _fitting(served: Served, response: Tensors, batch: tuple[int, ...], shapes: Shapes) -> Iterator[Flaw]:
    declared = {tensor.name: tensor for tensor in served.outputs}
    for name, tensor in response.items():
        if name not in declared:
            yield Flaw(f"the response has output {name}, which the config does not declare")
            continue
        yield from _fits(declared[name], tensor, batch, shapes)


def _fits(declared: Declared, tensor: Tensor, batch: tuple[int, ...], shapes: Shapes) -> Iterator[Flaw]:
    if tensor.datatype != declared.datatype:
        yield Flaw(f"output {declared.name} is {tensor.datatype}, but the config declares {declared.datatype}")
    expected, shape = (*batch, *declared.dims), tensor.values.shape
    alike = len(shape) <= len(expected) and all(e in {-1, n} for e, n in zip(expected, shape, strict=False))
    if shapes is not Shapes.UNKNOWN and (len(shape) != len(expected) or not alike):
        message = f"output {declared.name} has shape {list(shape)}, but the config declares {list(expected)}"
        minor = shapes is Shapes.LENIENT and alike and set(expected[len(shape) :]) <= {1, -1}
        yield Flaw(message, SHORT if minor else "", minor=minor)
    yield from _finite(tensor)


def _finite(tensor: Tensor) -> Iterator[Flaw]:
    import numpy as np

    if tensor.values.dtype.kind == "f":
        bad = ~np.isfinite(tensor.values.ravel())
        if bad.any():
            first = int(bad.argmax())
            value = tensor.values.ravel()[first]
            count = f"{int(bad.sum())} of {bad.size} values"
            message = f"output {tensor.name} is not finite: {count}, first {value} at index {first}"
            hint = "Check the model for a division by zero, an overflow in half precision, or a mask of zeros."
            yield Flaw(message, hint)


def differences(one: Reply, other: Reply) -> Iterator[Flaw]:
    """Yield what differs between a request's replies over two protocols; numbers may differ by a thousandth."""
    first, second = joined(one), joined(other)
    for name in sorted(first.keys() | second.keys()):
        if name not in first or name not in second:
            yield Flaw(f"output {name} arrives over only one protocol")
        elif not _alike(first[name], second[name]):
            yield Flaw(
                f"output {name} differs between the protocols: {excerpt(first[name])} over gRPC, "
                f"{excerpt(second[name])} over HTTP",
                "Check that both ports belong to the same server.",
            )


def joined(reply: Reply) -> dict[str, NDArray[Any]]:
    """Return each output as one flat array; the strings of a stream are joined into one."""
    import numpy as np

    parts: dict[str, list[Any]] = {}
    for response in reply.responses:
        for name, tensor in response.items():
            parts.setdefault(name, []).append(tensor.values.ravel())
    whole = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    if len(reply.responses) == 1:
        return whole
    return {
        name: np.array([b"".join(values.tolist())], object) if values.dtype == object else values
        for name, values in whole.items()
    }


def _alike(a: NDArray[Any], b: NDArray[Any]) -> bool:
    import numpy as np

    if a.shape != b.shape:
        return False
    if a.dtype.kind == "f":
        return bool(np.allclose(a, b, rtol=1e-3, atol=1e-3, equal_nan=True))
    return bool((a == b).all())


def text(value: object) -> str:
    """Return a value of a BYTES tensor as text."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def excerpt(values: NDArray[Any]) -> str:
    """Return the first values, shortened."""
    flat = values.ravel()
    shown = [_short(text(value)) if flat.dtype == object else f"{value:.6g}" for value in flat[:SHOWN].tolist()]
    return f"[{', '.join(shown)}{', …' if flat.size > SHOWN else ''}]"


def _short(value: str) -> str:
    return f'"{value[:LONGEST]}{"…" if len(value) > LONGEST else ""}"'


def described(tensors: Iterable[Tensor]) -> str:
    """Return a description of tensors in one line: name, type, shape, first values."""
    tensors = list(tensors)
    shown = [f"{t.name} {t.datatype}{list(t.values.shape)} {excerpt(t.values)}" for t in tensors[:TENSORS]]
    more = [f"and {len(tensors) - TENSORS} more"] if len(tensors) > TENSORS else []
    return "; ".join([*shown, *more]) or "nothing"
