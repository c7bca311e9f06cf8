"""Any model that Triton serves: NAME, with the files and the config that the stack file names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from tritonrepo.diagnostics import Diagnostic, Faults, fatal
from tritonrepo.generate import signature
from tritonrepo.generate.draft import Draft
from tritonrepo.generate.inputs import Inputs
from tritonrepo.generate.own import laid_over, own
from tritonrepo.onnxfile import BrokenError, Header, header
from tritonrepo.parts import scripted
from tritonrepo.pbtxt.printer import Message, Value
from tritonrepo.repository.inference import FILENAMES, FILLED, LIBTORCH
from tritonrepo.sources.gather import Gathering
from tritonrepo.spec.declare import config_key, key, places, switch_key
from tritonrepo.spec.part import Part, Places, origin, wrong
from tritonrepo.spec.source import Source
from tritonrepo.spec.stack import Config, Stack
from tritonrepo.tree import NOT_KNOWN, File, of_bytes, parents

PLATFORMS = {platform: backend for backend, platform in FILLED.items()}
NAMES = {**FILENAMES, LIBTORCH.backend: LIBTORCH.filename, "vllm": "model.json"}
"""The file that a backend loads, unless default_model_filename names another one."""

PLAIN = b"class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"

RULE = "source-model"

LARGEST = (1 << 63) - 1
"""The largest version number: Triton reads it as a 64-bit integer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """Any model that Triton can serve, from your own files."""

    role: Literal["model"] = key(
        "role of the model; can be omitted if backend or platform is set", "model", example="model"
    )
    backend: str | None = key("Triton backend that runs the model", None, example="onnxruntime")
    platform: str | None = key("platform, in place of the backend", None, example="onnxruntime_onnx")
    source: Source | None = key(
        "files of the version directory: a file, or a directory of files", None, example="./triage.onnx"
    )
    versions: Mapping[str, Source] = key(
        "files of several versions by version number, in place of `source`; all of them are served",
        {},
        example='{"1": ./v1.onnx, "2": ./v2.onnx}',
        schema={"propertyNames": {"pattern": "^[1-9][0-9]{0,18}$"}},
    )
    files: Mapping[str, Source] = key(
        "files next to the version directories, such as labels and warm-up data, by path in the model's directory",
        {},
        example="{labels.txt: ./labels.txt}",
        schema={"propertyNames": {"not": {"pattern": r"(^|/)\.{0,2}(/|$)|^config\.pbtxt$|^[1-9][0-9]{0,18}(/|$)"}}},
    )
    switch: Literal["overlap", "replace"] | None = switch_key(
        default=None, shown="; default: `replace` with the vLLM backend, `overlap` with others"
    )
    config: Config = config_key(example="{max_batch_size: 8, dynamic_batching: {}}")
    places: Places = places()

    SCHEMA: ClassVar[Mapping[str, Any]] = {"not": {"required": ["source", "versions"]}}


@dataclass(frozen=True, slots=True)
class _Files:
    """The content of each version by its number, 0 for one without; the files beside; what completes the config."""

    versions: Mapping[int, Mapping[str, File]]
    beside: Mapping[str, File]
    header: Header | None
    known: bool = True


def _backend(model: Model) -> str:
    """Return the backend that the stack file names, in one of its ways; "" if it names none."""
    platform = model.platform or model.config.get("platform") or ""
    return str(model.backend or model.config.get("backend") or PLATFORMS.get(platform, ""))


def is_version(name: str) -> bool:
    """Return whether a directory's name is the plain number of a version."""
    digits = name.isascii() and name.isdecimal() and len(name) <= len(str(LARGEST))
    return digits and name[0] != "0" and int(name) <= LARGEST


def _is_below(path: str) -> bool:
    """Return whether a path stays in the directory to which it is relative."""
    return not any(part in {"", ".", ".."} for part in path.split("/"))


def _check(name: str, model: Model, _: Stack) -> Iterator[Diagnostic]:
    if model.source is not None and model.versions:
        yield wrong(model.places, "versions", f'"{name}" sets both source and versions', "Remove one of them.")
    for each in ("backend", "platform", "name"):
        if each in model.config and getattr(model, each, None) is not None:
            message = f'"{each}" of "{name}" is set twice, here and in config'
            yield wrong(model.places, each, message, "Remove one of them.")
    for number in model.versions:
        if not is_version(number):
            message = f'"{number}" cannot be the number of a version'
            hint = "Use an integer from 1, without leading zeros."
            yield wrong(model.places, f"versions.{number}", message, hint)
    yield from _paths(name, model)


def _paths(name: str, model: Model) -> Iterator[Diagnostic]:
    """Yield the paths that lead out of where they belong."""
    filename = model.config.get("default_model_filename") or ""
    if filename and not _is_below(filename):
        message = f'default_model_filename "{filename}" of "{name}" is outside the version directory'
        hint = "Use the path of the file in its version directory."
        yield wrong(model.places, "config.default_model_filename", message, hint)
    for path in model.files:
        if not _is_below(path) or path == "config.pbtxt" or is_version(path.partition("/")[0]):
            message = f'"{path}" cannot be a path next to the versions of "{name}"'
            hint = "Use a relative path, such as labels.txt. Version directories come from source or versions."
            yield wrong(model.places, f"files.{path}", message, hint)


def _gather(name: str, model: Model, gathering: Gathering) -> _Files:
    faults = Faults()
    named: dict[int, tuple[Source, str]] = {0: (model.source, "source")} if model.source is not None else {}
    named |= {int(number): (source, f"versions.{number}") for number, source in model.versions.items()}
    found: dict[int, dict[str, File]] = {
        number: faults.tried(partial(_version, model, source, place, gathering), {})
        for number, (source, place) in named.items()
    }
    beside: dict[str, File] = faults.tried(partial(_beside, name, model, gathering), {})
    newest = found[max(found)] if found else {}
    completes = faults.tried(partial(_header, name, model, newest), None)
    faults.stop()
    return _Files(found or {0: {}}, beside, completes)


def _beside(name: str, model: Model, gathering: Gathering) -> dict[str, File]:
    """Return the files next to the versions; raise Stop with all that cannot be obtained or be there together."""
    faults, found = Faults(), dict[str, File]()
    for path, source in model.files.items():
        resolved = faults.tried(partial(gathering.resolved, source, model.places[f"files.{path}"]), None)
        for inner, file in resolved.files.items() if resolved else ():
            found[path if resolved and resolved.single else f"{path}/{inner}"] = file
    for path in found:
        if above := next((each for each in parents(path) if each in found), None):
            message = f'files of "{name}" has "{above}" as a file and as a directory'
            at = model.places.get(f"files.{path}", model.places["files"])
            faults.add(*fatal(RULE, at, message, "Give one of them another path.").diagnostics)
    faults.stop()
    return found


def _version(model: Model, source: Source, place: str, gathering: Gathering) -> dict[str, File]:
    """Return the files of a version directory; a single file gets the name that the backend looks for."""
    at = model.places.get(place, model.places[""])
    found = gathering.resolved(source, at)
    if not found.single:
        return found.files
    ((own_name, file),) = found.files.items()
    return {_filename(model) or own_name: file}


def _filename(model: Model) -> str:
    return model.config.get("default_model_filename") or NAMES.get(_backend(model), "")


def _header(name: str, model: Model, files: Mapping[str, File]) -> Header | None:
    """Return the header of the ONNX file that completes the config; None if nothing has to be completed."""
    file = files.get(_filename(model) or FILENAMES["onnxruntime"])
    if _backend(model) not in {"", "onnxruntime"} or file is None or not signature.lacks(model.config):
        return None
    at = model.places.get("source", model.places.get("versions", model.places[""]))
    try:
        found = header(file)
    except BrokenError as error:
        message = f'the ONNX file of "{name}" is damaged or incomplete: {error}'
        raise fatal(
            RULE, at, message, "Download or export the file again. If it is a Git LFS pointer, fetch it."
        ) from None
    if why := signature.wrong(found, model.config):
        message = f'the inputs and outputs of "{name}" cannot be read from its ONNX file: {why}'
        raise fatal(RULE, at, message, "List input and output in config, or export the model again.")
    return found


def _stand_in(model: Model) -> _Files:
    """Return a file in each version, under the name that the backend looks for, in which nothing can be found wrong."""
    version = {_filename(model) or "model": of_bytes(PLAIN) if _backend(model) == "python" else NOT_KNOWN}
    numbers = [int(number) for number in model.versions] or [0]
    return _Files(dict.fromkeys(numbers, version), {}, None, known=False)


def _make(name: str, model: Model, draft: Draft, inputs: Inputs) -> None:
    """Add the model; of its config, only what is absent is generated."""
    files: _Files = inputs.files[name]
    numbers = sorted(files.versions)
    if numbers[0] == 0:
        numbers = [draft.number(name, files.versions[0])]
    else:
        draft.place(name, files.versions)
    for number in numbers:
        place = model.places.get("source", model.places.get(f"versions.{number}", model.places[""]))
        draft.origins[f"{name}/{number}"] = {"": place}
    draft.unknown |= set() if files.known else {name}
    draft.tree |= {f"{name}/{path}": file for path, file in files.beside.items()}
    message: dict[str, Value] = {"name": name}
    message |= {each: value for each in ("backend", "platform") if (value := getattr(model, each)) is not None}
    message["version_policy"] = {"specific": {"versions": numbers}}
    if files.header is not None:
        message |= signature.completed(files.header, model.config)
    said, more = own(model.places, model.config), _scripted(name, message, model, draft, inputs)
    draft.completing |= {name} if more else set()
    message |= more
    listed = {kind: more[kind] for kind in ("input", "output") if kind in more and model.config.get(kind) is not None}
    source = model.places.get("source", model.places.get("versions"))
    at = {each: model.places.get(each) for each in ("backend", "platform")}
    draft.configure(
        name,
        message,
        origin(model.places, **at, version_policy=model.places.get("versions"), input=source, output=source),
        said._replace(fields={**said.fields, **listed}),
    )


def _scripted(name: str, message: Message, model: Model, draft: Draft, inputs: Inputs) -> Message:
    """Return what a Python model adds to its config by itself."""
    if _backend(model) not in {"", "python"}:
        return {}
    files: _Files = inputs.files[name]
    numbered = {number or draft.pinned(name): content for number, content in files.versions.items()}
    entries = {f"{number}/{path}": file for number, content in numbered.items() for path, file in content.items()}
    return scripted.added(
        name, {**entries, **files.beside}, laid_over(message, own(model.places, model.config)), inputs.stack.target
    )


def _backends(model: Model) -> frozenset[str]:
    return frozenset(filter(None, [_backend(model)])) - {"ensemble"}


PART = Part(
    keys=Model,
    takes=(),
    gives=(),
    steps=(),
    free=True,
    backends=_backends,
    check=_check,
    gather=_gather,
    stand_in=_stand_in,
    make=_make,
)
