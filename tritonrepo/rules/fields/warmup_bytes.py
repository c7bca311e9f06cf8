"""The bytes of warmup samples beside their dims: counts below nothing, and files of strings.

Source of all: core, src/infer_request.cc, Normalize, ValidateBytesInputs; src/backend_model_instance.cc,
GenerateWarmupData.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from tritonrepo.diagnostics import Severity, State
from tritonrepo.pbtxt import Scalar
from tritonrepo.repository import Model
from tritonrepo.repository.tensors import element_bytes
from tritonrepo.rules.fields.warmup_data import UNSIGNED, Named, named, signed
from tritonrepo.rules.fields.warmup_requests import fits, matched
from tritonrepo.rules.fields.warmup_samples import REQUEST, Given, Sample
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import File

BOUNDED = "bounded-element-counts"
ADVICE = "Write as many strings as dims say, each as 4 bytes of length, little-endian, and then its bytes."
LARGEST_SAMPLE = 1 << 24
"""Bytes of a file whose strings are counted; a larger one is not read."""

LENGTH = 4
"""Bytes of the number before each string, which says how many bytes it has, little-endian."""


def _below_nothing(model: Model) -> Iterator[tuple[Sample, Given, Scalar]]:
    """Yield the inputs with a dim that no tensor has, where the server stumbles over it, and that dim.

    Two negative dims make a count that older servers take for a good one; a dim too large makes a negative one.
    """
    counted = model.target.release.has(BOUNDED)
    for sample, given, tensor in matched(model):
        if given.value is None or not given.source or -1 in given.dims or not fits(given.dims, tensor.dims):
            continue
        dims = {dim.data: dim for dim in given.value.scalars("dims") if isinstance(dim.data, int)}
        odd = min(dims, default=0) if min(dims, default=0) < 0 else max(dims, default=0)
        if (counted and odd < 0) or (not counted and signed(_bytes(given)) < 0):
            yield sample, given, dims[odd]


def _bytes(given: Given) -> int:
    """Return the bytes that dims make, where the server counts on and on."""
    return element_bytes(given.data_type) * prod(given.dims)


def _is_fatal(model: Model, given: Given) -> bool:
    """Tell whether the server reads strings where it has none."""
    made = given.data_type == "TYPE_STRING" and given.source != "input_data_file"
    release = model.target.release
    return made and release.has("counted-request-strings") and not release.has(BOUNDED)


@rule("warmup-dim-negative", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-shape-differs"))
def dim_negative(model: Model) -> Iterator[Finding]:
    """A warmup input has no negative dims."""
    for sample, given, dim in _below_nothing(model):
        reason = "" if _is_fatal(model, given) else _dim_reason(model, given)
        if reason:
            message = f'warmup input "{given.name}" has the dim {dim.data}'
            yield Finding(dim, message, hint="Write the size of this sample.", reason=reason, item=sample.item)


def _dim_reason(model: Model, given: Given) -> str:
    """Return the server's words; "" for the releases that accept it, and where the file's rules say it."""
    strings = given.data_type == "TYPE_STRING"
    if model.target.release.has(BOUNDED):
        shape = f"[{','.join(map(str, given.dims))}]"
        return f"tensor '{given.name}' contains an invalid dimension {'in shape ' if strings else ''}{shape}"
    size = signed(_bytes(given))
    if strings or not model.target.release.has("counted-request-bytes") or given.source == "input_data_file":
        return ""
    return (
        f"{REQUEST}input byte size mismatch for input '{given.name}' for model '{model.config_name}'. "
        f"Expected {size}, got {size % UNSIGNED}"
    )


@rule(
    "warmup-strings-dim-negative",
    Severity.ERROR,
    "model_warmup",
    at=Stage.WARMUP.same_walk("warmup-dim-negative"),
    state=State.CRASH,
)
def strings_dim_negative(model: Model) -> Iterator[Finding]:
    """A warmup input of strings, made by the server, has no negative dims."""
    for sample, given, dim in _below_nothing(model):
        if _is_fatal(model, given):
            message = f'warmup input "{given.name}" has the dim {dim.data}, and the server would end'
            yield Finding(
                dim, message, hint="Write the size of this sample.", reason="server ended: signal 11", item=sample.item
            )


@rule("warmup-strings-differ", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-strings-dim-negative"))
def strings_differ(model: Model) -> Iterator[Finding]:
    """The file of a warmup input of strings has as many strings as its dims say."""
    if not model.target.release.has("counted-request-strings"):
        return
    sure = {(sample.item, given.name): fits(given.dims, tensor.dims) for sample, given, tensor in matched(model)}
    counted = model.target.release.has(BOUNDED)
    for one in named(model):
        dims = one.given.dims
        strings = one.given.data_type == "TYPE_STRING" and -1 not in dims and not (counted and min(dims, default=0) < 0)
        if not strings or not sure.get((one.item, one.given.name)):
            continue
        if isinstance(one.entry, File) and one.entry.size <= LARGEST_SAMPLE:
            yield from _strings(model, one, one.entry.content())


def _strings(model: Model, one: Named, content: bytes) -> Iterator[Finding]:
    """Walk over a file's strings as the server does; a last one that is cut short counts."""
    early = model.target.release.has("early-end-of-strings")
    wanted = signed(prod(one.given.dims))
    place = f"for inference input '{one.given.name}'" + (f" for model '{model.config_name}'" if early else "")
    at = count = 0
    while at < len(content) and (not early or count <= wanted or not count):
        left = len(content) - at
        if left < LENGTH:
            yield Finding(
                one.written,
                f"{model.name}/{one.path} ends with {left} bytes, too few for the length of a string",
                hint=ADVICE,
                reason=_cut_reason(place, left)
                if early
                else f"{REQUEST}element byte size indicator exceeds the end of the buffer.",
                item=one.item,
            )
            return
        at += LENGTH + int.from_bytes(content[at : at + LENGTH], "little")
        count += 1
    if count != wanted:
        more = count > max(wanted, 0)
        has = "more" if more else f"{count} string{'' if count == 1 else 's'}"
        yield Finding(
            one.written,
            f"dims {one.given.dims} take {wanted} string{'' if wanted == 1 else 's'}, {model.name}/{one.path} has {has}",
            hint=ADVICE,
            reason=f"{REQUEST}unexpected number of string elements {count} {place}, expecting {wanted}"
            if more and early
            else f"{REQUEST}expected {wanted} string elements {place}, got {count}",
            item=one.item,
        )


def _cut_reason(place: str, left: int) -> str:
    return (
        f"{REQUEST}incomplete string length indicator {place}, expecting 4 bytes but only {left} bytes available. "
        "Please make sure the string length indicator is in one buffer."
    )
