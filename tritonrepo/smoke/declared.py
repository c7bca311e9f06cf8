"""Cases that a stack file declares: inputs as YAML values, and what each output must be."""

from __future__ import annotations

from tritonrepo.diagnostics import Severity, closest
from tritonrepo.server.tensors import Tensor, of_values
from tritonrepo.smoke.case import Case, Check, Flaw, Protocol, Result, found, streams_over_http
from tritonrepo.smoke.judge import both, well_formed
from tritonrepo.smoke.made import ask
from tritonrepo.smoke.served import Served
from tritonrepo.smoke.wanted import meets
from tritonrepo.spec.stack import Smoke


def case(served: Served, declared: Smoke, number: int) -> Case | Result:
    """Return a declared case for this version, or the result that says why it cannot be run."""
    try:
        outputs = [tensor.name for tensor in served.outputs]
        for name in declared.expect:
            _known(name, outputs, "output")
        inputs = [_input(served, name, value) for name, value in declared.inputs.items()]
    except ValueError as error:
        message, *hints = map(str, error.args)
        flaw = Flaw(f"{served.name}: {message}", "\n".join([*hints, "Fix the case in the stack file."]))
        at = declared.places.get("", served.at)
        diagnostic = found(Check.DECLARED, Severity.ERROR, at, flaw, served.name)
        return Result(served.name, served.version, Check.DECLARED, f"{number}", diagnostics=(diagnostic,))
    request = ask(served, inputs)
    rows = inputs[0].values.shape[0] if inputs and served.max_batch_size else 1
    over_http = not served.decoupled or streams_over_http(request)
    return Case(
        Check.DECLARED,
        request,
        both(well_formed(served, rows), meets(declared.expect)),
        declared.places.get("", served.at),
        f"{number}",
        protocols=tuple(Protocol) if over_http else (Protocol.GRPC,),
        streamed=served.decoupled,
    )


def _known(name: str, names: list[str], what: str) -> None:
    if name not in names:
        raise ValueError(f'unknown {what} "{name}"', closest(name, names))


def _input(served: Served, name: str, value: object) -> Tensor:
    _known(name, [tensor.name for tensor in served.inputs], "input")
    declared = next(tensor for tensor in served.inputs if tensor.name == name)
    shape = _shape(value)
    rank = len(declared.dims) + bool(served.max_batch_size)
    if len(shape) < rank:
        shape = (1,) * (rank - len(shape)) + shape
    expected = (-1,) * bool(served.max_batch_size) + declared.dims
    if len(shape) != rank or any(e not in {-1, n} for e, n in zip(expected, shape, strict=True)):
        raise ValueError(f'input "{name}" must have shape {list(expected)}, not {list(shape)}')
    try:
        return of_values(name, declared.datatype, _flat(value), shape)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f'input "{name}" must be {declared.datatype}, not {value!r}: {error}') from None


def _shape(value: object) -> tuple[int, ...]:
    return (len(value), *(_shape(value[0]) if value else ())) if isinstance(value, list) else ()


def _flat(value: object) -> list[object]:
    return [item for part in value for item in _flat(part)] if isinstance(value, list) else [value]
