"""What a stack's own cases expect of an output, and what came instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from tritonrepo.smoke.case import Flaw, Judge, Reply
from tritonrepo.smoke.judge import excerpt, joined, text
from tritonrepo.sources.patterns import unfit
from tritonrepo.spec.expectation import Cosine, Count, Expectation, Finish

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Came(NamedTuple):
    """An output of a reply: its values as one flat array, and the reply with the tensors of each response."""

    name: str
    values: NDArray[Any]
    reply: Reply

    @property
    def texts(self) -> list[str]:
        """The values as text."""
        return [text(value) for value in self.values.tolist()]

    @property
    def tensors(self) -> list[NDArray[Any]]:
        """The values of each response that has the output, in their shapes."""
        return [one[self.name].values for one in self.reply.responses if self.name in one]


def meets(expect: Mapping[str, Expectation]) -> Judge:
    """Return the judge of expectations; it judges a stream as a whole."""

    def judge(reply: Reply) -> Iterator[Flaw]:
        values = joined(reply)
        for name, expectation in expect.items():
            if name not in values:
                yield Flaw(f"output {name} is missing from the response")
                continue
            came = _Came(name, values[name], reply)
            for message in _unmet(came, expectation):
                yield Flaw(f"output {name} {message}; it is {excerpt(values[name])}")

    return judge


def _unmet(came: _Came, expectation: Expectation) -> Iterator[str]:
    yield from _same(came, expectation)
    yield from _fitting(came, expectation)
    if expectation.cosine is not None:
        yield from _similar(came, expectation.cosine)
    if expectation.order is not None:
        yield from _ordered(came, descending=expectation.order == "descending")
    if expectation.count is not None:
        yield from _counted(came, expectation.count)
    if isinstance(expectation.finishes, Finish):
        yield from _finished(came, expectation.finishes)


def _same(came: _Came, expectation: Expectation) -> Iterator[str]:
    if expectation.not_empty is not None and any(came.texts) != expectation.not_empty:
        yield "is empty" if expectation.not_empty else "is not empty"
    if expectation.contains is not None and not any(expectation.contains in value for value in came.texts):
        yield f'does not contain "{expectation.contains}"'
    if expectation.first is not None and came.texts[:1] != [expectation.first]:
        yield f'does not start with the value "{expectation.first}"'
    if expectation.equals is not None and not _equal(came.values, _flat(expectation.equals)):
        yield f"does not equal {expectation.equals!r}"
    if expectation.close is not None and not _close(came.values, _flat(expectation.close), float(expectation.within)):
        yield f"is not within {expectation.within} of {expectation.close!r}"


def _fitting(came: _Came, expectation: Expectation) -> Iterator[str]:
    """Yield what a regular expression or a schema says against the values; both are tried in a limited process."""
    if expectation.matches is None and expectation.json_schema is None:
        return
    try:
        said = unfit(came.texts, pattern=expectation.matches, schema=expectation.json_schema)
    except ValueError as error:
        yield f"cannot be judged: {error}"
        return
    if "pattern" in said:
        yield f"does not match {expectation.matches!r}"
    if "schema" in said:
        yield f"is not as json_schema demands: {said['schema']}"


def _similar(came: _Came, wanted: Cosine) -> Iterator[str]:
    import numpy as np

    if came.values.dtype == object:
        yield "has texts, which have no cosine"
        return
    least = float(wanted.at_least)
    rows, other = came.values[np.newaxis], np.asarray(wanted.vector or [], np.float64)
    if wanted.rows is not None:
        shape = came.tensors[0].shape
        rows = came.values.reshape(shape[0] if len(shape) > 1 else 1, -1)
        first, second = wanted.rows
        if max(first, second) >= len(rows):
            yield f"has no row {max(first, second)}"
            return
        rows, other = rows[[first]], rows[second].astype(np.float64)
    if not other.size or not rows.size or came.values.size % other.size:
        yield f"has {came.values.size} values, but the vector has {other.size}"
        return
    vectors = rows.reshape(-1, other.size).astype(np.float64)
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(other)
    cosines = (vectors @ other) / np.maximum(lengths, 1e-300)
    worst = int(cosines.argmin())
    if not cosines[worst] >= least:
        whose = f"row {worst}" if wanted.rows is None else f"rows {wanted.rows[0]} and {wanted.rows[1]}"
        yield f"has a cosine of {cosines[worst]:.4f} in {whose}, but must have at least {least:g}"


def _ordered(came: _Came, *, descending: bool) -> Iterator[str]:
    tensors = [came.values] if len(came.tensors) != 1 else came.tensors
    for values in tensors:
        for row in values.reshape(-1, values.shape[-1] if values.ndim and values.shape[-1] else 1):
            for index, (one, other) in enumerate(pairwise(row.tolist())):
                if (one < other) if descending else (one > other):
                    way = "descending" if descending else "ascending"
                    yield f"is not {way}: {text(one)} comes before {text(other)} at index {index}"
                    return


def _counted(came: _Came, wanted: int | Count) -> Iterator[str]:
    count = wanted if isinstance(wanted, Count) else Count(values=wanted)
    found = {"values": sum(tensor.size for tensor in came.tensors), "responses": len(came.tensors)}
    if not came.reply.flat:
        found["rows"] = next((len(tensor) for tensor in came.tensors if tensor.ndim), 0)
    for name, number in found.items():
        demanded = getattr(count, name)
        if demanded is not None and number != demanded:
            what = name.removesuffix("s") if number == 1 else name
            yield f"has {number} {what}, but must have {demanded}"


def _finished(came: _Came, wanted: Finish) -> Iterator[str]:
    responses, seconds = len(came.reply.responses), came.reply.ms / 1000
    if wanted.responses is not None and responses > wanted.responses:
        yield f"ended after {responses} responses, but must end within {wanted.responses}"
    if wanted.seconds is not None and seconds > wanted.seconds:
        yield f"ended after {seconds:g} s, but must end within {wanted.seconds:g} s"
    if wanted.reason is not None:
        last = next((text(value) for tensor in reversed(came.tensors) for value in tensor.ravel()[::-1].tolist()), "")
        if last != wanted.reason:
            yield f'ends with "{last[:80]}", but must end with "{wanted.reason}"'


def _flat(value: object) -> list[object]:
    return [item for part in value for item in _flat(part)] if isinstance(value, list) else [value]


def _equal(values: NDArray[Any], wanted: list[object]) -> bool:
    if values.dtype == object:
        return [text(value) for value in values.tolist()] == [str(value) for value in wanted]
    return bool(values.tolist() == wanted)


def _close(values: NDArray[Any], wanted: list[Any], within: float) -> bool:
    if values.dtype == object or len(wanted) != values.size:
        return False
    return all(abs(one - other) <= within for one, other in zip(values.tolist(), wanted, strict=True))
