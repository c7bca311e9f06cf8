"""The data of warmup samples: shapes that are known, and bytes that are there.

Source of all: core, src/backend_model_instance.cc, GenerateWarmupData.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import NamedTuple

from tritonrepo.diagnostics import Severity, State
from tritonrepo.pbtxt import Scalar
from tritonrepo.repository import Model
from tritonrepo.repository.paths import follow
from tritonrepo.repository.tensors import element_bytes
from tritonrepo.rules.fields.warmup_samples import REQUEST, Given, samples
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Directory, Entry, File

FOLDER = "warmup"
UNSIGNED = 1 << 64
"""Releases before 26.03 count bytes modulo this, a negative dim's too."""


def signed(number: int) -> int:
    """Return what becomes of a number in 64 bits with a sign."""
    return (number + (UNSIGNED >> 1)) % UNSIGNED - (UNSIGNED >> 1)


class Named(NamedTuple):
    """A file that a sample names: the sample's position, the input, the written name, its path, and what lies there."""

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
    """A warmup input has fixed dims."""
    for sample in samples(model):
        for given in sample.inputs.values():
            if given.value is not None and -1 in given.dims:
                yield Finding(
                    next(dim for dim in given.value.scalars("dims") if dim.data == -1),
                    f'warmup input "{given.name}" has a dimension of any size',
                    hint="Write the size of this sample.",
                    reason=f"warmup setting expects all variable-size dimensions are specified for input '{given.name}'",
                    item=sample.item,
                )


@rule("warmup-no-data", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-variable-dim"))
def no_data(model: Model) -> Iterator[Finding]:
    """A warmup input says what its data is."""
    for sample in samples(model):
        for given in sample.inputs.values():
            if not given.source:
                yield Finding(
                    given.place,
                    f'warmup input "{given.name}" has no data',
                    hint="Write zero_data: true, random_data: true, or input_data_file: with a file in warmup/.",
                    reason=f"{REQUEST}warmup setting expects input '{given.name}' to have input_data_type set",
                    item=sample.item,
                )


@rule("warmup-file-missing", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-file-is-directory"))
def file_missing(model: Model) -> Iterator[Finding]:
    """The file of a warmup input lies in the model's warmup directory."""
    for item, _, written, path, entry in named(model):
        if isinstance(entry, str):
            yield Finding(
                written,
                f"there is no {model.name}/{path}",
                hint="Put the file there.",
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
    """The file of a warmup input is a file."""
    for item, _, written, path, entry in named(model):
        if isinstance(entry, Directory):
            yield Finding(
                written,
                f"{model.name}/{path} is a directory, and the server would abort",
                hint="Name the file in it.",
                reason="std::length_error",
                item=item,
            )


@rule("warmup-file-too-short", Severity.ERROR, "model_warmup", at=Stage.WARMUP.same_walk("warmup-file-missing"))
def file_too_short(model: Model) -> Iterator[Finding]:
    """The file of a warmup input has the bytes of its dims."""
    for item, given, written, path, entry in named(model):
        if not isinstance(entry, File) or given.data_type == "TYPE_STRING" or -1 in given.dims:
            continue
        counted = model.target.release.has("bounded-element-counts")
        whole = element_bytes(given.data_type) * prod(given.dims) if given.dims else 0
        expected = whole % UNSIGNED
        if entry.size < expected and not (counted and whole != expected):
            yield Finding(
                written,
                f"{model.name}/{path} has {entry.size} bytes, and {given.dims} of {given.data_type or 'no type'}"
                f" takes {expected}",
                hint="Write the raw values of one request, without batch and header, or smaller dims.",
                reason=f"{REQUEST}warmup setting expects {expected} bytes, but the data provided from "
                f"{written.data}only has {entry.size} bytes",
                item=item,
            )
