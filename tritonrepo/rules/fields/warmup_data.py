"""The data of warmup samples: known shapes, existing files, and as many bytes or strings as dims need.

Source of all: core, src/backend_model_instance.cc, GenerateWarmupData; src/infer_request.cc, Normalize,
ValidateBytesInputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, State, counted
from tritonrepo.pbtxt import Scalar
from tritonrepo.repository import Model
from tritonrepo.repository.paths import follow
from tritonrepo.repository.tensors import element_bytes
from tritonrepo.rules.fields.warmup_requests import REQUEST, Given, Sample, fits, matched, samples
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Directory, Entry, File

FOLDER = "warmup"
UNSIGNED = 1 << 64
"""Releases before 26.03 count bytes modulo this number, even those of a negative dim."""

BOUNDED = "bounded-element-counts"
SIZE = "Set the dim to the size of this sample."
ADVICE = "Write as many strings as dims need, each as a 4-byte little-endian length followed by its bytes."
LARGEST_SAMPLE = 1 << 24
"""Bytes of the largest file whose strings are counted; a larger one is not read."""

LENGTH = 4
"""Bytes of the little-endian number before each string, which is the string's length in bytes."""


def signed(number: int) -> int:
    """Return a number as 64 bits with a sign hold it."""
    return (number + (UNSIGNED >> 1)) % UNSIGNED - (UNSIGNED >> 1)


class Named(NamedTuple):
    """A file that a sample names: the sample's position, the input, the name as written, its path, and its entry."""

    item: int
    given: Given
    written: Scalar
    path: str
    entry: Entry | str


def named(model: Model) -> Iterator[Named]:
    """Yield the files of all samples."""
    for sample in samples(model):
        for given in sample.inputs.values():
            if given.value is None or given.source != "input_data_file":
                continue
            written = given.value.scalars("input_data_file")[-1]
            path = f"{FOLDER}/{str(written.data).removeprefix('/')}"
            yield Named(sample.item, given, written, path, follow(model, path))


@rule("warmup-variable-dim", Severity.ERROR, "model_warmup", at=Stage.WARMUP.first)
def variable_dim(model: Model) -> Iterator[Finding]:
    """A warmup input must have fixed dims."""
    for sample in samples(model):
        for given in sample.inputs.values():
            if given.value is not None and -1 in given.dims:
                yield Finding(
                    next(dim for dim in given.value.scalars("dims") if dim.data == -1),
                    f'warmup input "{given.name}" cannot have a dim of -1',
                    hint=SIZE,
                    reason="warmup setting expects all variable-size dimensions are specified for input "
                    f"'{given.name}'",
                    item=sample.item,
                )


@rule("warmup-no-data", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-variable-dim"))
def no_data(model: Model) -> Iterator[Finding]:
    """A warmup input must set the source of its data."""
    for sample in samples(model):
        for given in sample.inputs.values():
            if not given.source:
                yield Finding(
                    given.place,
                    f'warmup input "{given.name}" has no data',
                    hint="Set `zero_data: true`, `random_data: true`, or input_data_file to a file in warmup/.",
                    reason=f"{REQUEST}warmup setting expects input '{given.name}' to have input_data_type set",
                    item=sample.item,
                )


@rule("warmup-file-missing", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-file-is-directory"))
def file_missing(model: Model) -> Iterator[Finding]:
    """A warmup file must exist in the model's warmup directory."""
    for item, _, written, path, entry in named(model):
        if isinstance(entry, str):
            yield Finding(
                written,
                f"{model.name}/{path} does not exist",
                hint="Create the file, or set input_data_file to a file in warmup/.",
                reason=f"failed to open text file for read {model.on_server(path)}: {entry}",
                item=item,
            )


@rule(
    "warmup-file-is-directory",
    Severity.ERROR,
    "model_warmup",
    at=Stage.WARMUP.same_walk("warmup-no-data"),
    state=State.CRASH,
)
def file_is_directory(model: Model) -> Iterator[Finding]:
    """A warmup file cannot be a directory."""
    for item, _, written, path, entry in named(model):
        if isinstance(entry, Directory):
            yield Finding(
                written,
                f"{model.name}/{path} is a directory, which crashes the server",
                hint="Name a file in it.",
                reason="std::length_error",
                item=item,
            )


@rule("warmup-file-too-short", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-file-missing"))
def file_too_short(model: Model) -> Iterator[Finding]:
    """A warmup file must have as many bytes as its dims need."""
    for item, given, written, path, entry in named(model):
        if not isinstance(entry, File) or given.data_type == "TYPE_STRING" or -1 in given.dims:
            continue
        bounded = model.target.release.has(BOUNDED)
        whole = element_bytes(given.data_type) * prod(given.dims) if given.dims else 0
        expected = whole % UNSIGNED
        if entry.size < expected and not (bounded and whole != expected):
            needed = f"dims {given.dims} of {given.data_type or 'no type'} need {expected}"
            yield Finding(
                written,
                f"{model.name}/{path} has {counted(entry.size, 'byte')}, but {needed}",
                hint="Fill the file with the raw values of one request, without a batch or header, or reduce dims.",
                reason=f"{REQUEST}warmup setting expects {expected} bytes, but the data provided from "
                f"{written.data}only has {entry.size} bytes",
                item=item,
            )


def _impossible(model: Model) -> Iterator[tuple[Sample, Given, Scalar]]:
    """Yield the inputs with a dim that no tensor can have, where the server stumbles over it, and that dim.

    Two negative dims make a count that older servers accept; a dim that is too large makes a negative one.
    """
    bounded = model.target.release.has(BOUNDED)
    for sample, given, tensor in matched(model):
        if given.value is None or not given.source or -1 in given.dims or not fits(given.dims, tensor.dims):
            continue
        dims = {dim.data: dim for dim in given.value.scalars("dims") if isinstance(dim.data, int)}
        odd = min(dims, default=0) if min(dims, default=0) < 0 else max(dims, default=0)
        if (bounded and odd < 0) or (not bounded and signed(_bytes(given)) < 0):
            yield sample, given, dims[odd]


def _bytes(given: Given) -> int:
    """Return the bytes that dims make, counted without a limit."""
    return element_bytes(given.data_type) * prod(given.dims)


def _is_fatal(model: Model, given: Given) -> bool:
    """Return whether the server reads strings that it did not create."""
    made = given.data_type == "TYPE_STRING" and given.source != "input_data_file"
    release = model.target.release
    return made and release.has("counted-request-strings") and not release.has(BOUNDED)


@rule("warmup-dim-negative", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-shape-differs"))
def dim_negative(model: Model) -> Iterator[Finding]:
    """A warmup input cannot have a negative dim."""
    for sample, given, dim in _impossible(model):
        reason = "" if _is_fatal(model, given) else _dim_reason(model, given)
        if reason:
            yield Finding(dim, _dim_message(given, dim), hint=SIZE, reason=reason, item=sample.item)


def _dim_message(given: Given, dim: Scalar) -> str:
    if isinstance(dim.data, int) and dim.data >= 0:
        return f'dim {dim.data} of warmup input "{given.name}" is too large'
    return f'a dim of warmup input "{given.name}" must be 0 or greater, not {dim.data}'


def _dim_reason(model: Model, given: Given) -> str:
    """Return the server's words; "" for the releases that accept the dim, and if the rules on files report it."""
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
    """A warmup input of generated strings cannot have a negative dim."""
    for sample, given, dim in _impossible(model):
        if _is_fatal(model, given):
            message = f'warmup input "{given.name}" has a dim of {dim.data}, which crashes the server'
            yield Finding(dim, message, hint=SIZE, reason="server ended: signal 11", item=sample.item)


@rule("warmup-strings-differ", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-strings-dim-negative"))
def strings_differ(model: Model) -> Iterator[Finding]:
    """A warmup file of strings must have as many strings as its dims need."""
    if not model.target.release.has("counted-request-strings"):
        return
    sure = {(sample.item, given.name): fits(given.dims, tensor.dims) for sample, given, tensor in matched(model)}
    bounded = model.target.release.has(BOUNDED)
    for one in named(model):
        dims = one.given.dims
        strings = one.given.data_type == "TYPE_STRING" and -1 not in dims and not (bounded and min(dims, default=0) < 0)
        if not strings or not sure.get((one.item, one.given.name)):
            continue
        if isinstance(one.entry, File) and one.entry.size <= LARGEST_SAMPLE:
            yield from _strings(model, one, one.entry.content())


def _strings(model: Model, one: Named, content: bytes) -> Iterator[Finding]:
    """Walk over a file's strings as the server does; a truncated last one counts."""
    early = model.target.release.has("early-end-of-strings")
    wanted = signed(prod(one.given.dims))
    place = f"for inference input '{one.given.name}'" + (f" for model '{model.config_name}'" if early else "")
    at = count = 0
    while at < len(content) and (not early or count <= wanted or not count):
        left = len(content) - at
        if left < LENGTH:
            yield Finding(
                one.written,
                f"{model.name}/{one.path} ends with {counted(left, 'byte')}, but the length of a string takes {LENGTH}",
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
        has = f"more than {counted(max(wanted, 0), 'string')}" if more else counted(count, "string")
        yield Finding(
            one.written,
            f"{model.name}/{one.path} has {has}, but dims {one.given.dims} need {wanted}",
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
