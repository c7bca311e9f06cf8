"""Model files of compiled backends that are surely not what the backend reads, as their first bytes show."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Severity
from tritonrepo.repository import Model
from tritonrepo.repository.contents import PULL, Content, content, is_archive
from tritonrepo.repository.inference import GRAPHDEF, LIBTORCH, SAVEDMODEL
from tritonrepo.rules.backends.model_files import AOTI, DALI, DALI_SOURCE, FORMATS, PLAN, model_type
from tritonrepo.rules.backends.places import beside, files, judged
from tritonrepo.rules.fields.libraries import TENSORFLOW
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import File

NO_CONSTANTS = "PytorchStreamReader failed locating file constants.pkl: file not found"
FLATBUFFER = b"PTMF"
"""The mark of a mobile model, at offset 4, which some releases of torch.jit.load also read."""

EXPORT = "Export the model with torch.jit.script or torch.jit.trace, and save it with torch.jit.save."
COMPILE = "Compile the model with torch._inductor.aoti_compile_and_package."
ADD = "Replace it with the model file."
SAVED = "saved_model.pb"


@rule("tensorrt-engine-incompatible", Severity.ERROR, "backend=tensorrt", at=Stage.BACKEND.after("dali-file-missing"))
def no_engine(model: Model) -> Iterator[Finding]:
    """A TensorRT plan must be an engine of TensorRT."""
    for path, file in files(model, PLAN) if judged(model) and "cc_model_filenames" not in model.fields else ():
        found = content(file)
        if found is Content.UNKNOWN:
            continue
        prefix = "unable to create TensorRT engine: "
        if model.target.auto_complete:
            prefix = "unable to load plan file to auto complete config: "
        yield Finding(
            path,
            f"the file is {found}, not a TensorRT engine",
            hint=_hint(
                found, "Build an engine from the model with trtexec, on the GPU and with the TensorRT of the server."
            ),
            reason=prefix,
        )


def _hint(found: Content, otherwise: str) -> str:
    return {Content.POINTER: PULL, Content.EMPTY: ADD}.get(found, otherwise)


@rule(
    "model-file-placeholder",
    Severity.ERROR,
    "backend=openvino",
    "backend=tensorflow",
    "backend=fil",
    "backend=dali",
    at=Stage.BACKEND.after("tensorrt-engine-incompatible"),
)
def placeholder(model: Model) -> Iterator[Finding]:
    """A model file must be the file itself, neither empty nor a Git LFS pointer."""
    for path, file in _opened(model) if judged(model) else ():
        found = content(file)
        graph = model.inferred.platform == GRAPHDEF.platform  # an empty one is a graph without nodes
        if found is Content.POINTER or (found is Content.EMPTY and not graph):
            yield Finding(path, f"the model file is {found}", hint=_hint(found, ""))


def _opened(model: Model) -> Iterator[tuple[str, File]]:
    """Yield what each served version has for its backend, with its path."""
    if model.backend == "openvino":
        yield from files(model, "model.xml")
    elif model.backend == "fil":
        yield from files(model, FORMATS.get(model_type(model), ""))
    elif model.backend == "dali":
        found = files(model, DALI)
        yield from (each for each in found if DALI_SOURCE not in beside(model, each[0].rpartition("/")[0]))
    elif model.inferred.platform == GRAPHDEF.platform:
        yield from files(model, GRAPHDEF.filename)
    elif model.target.release.has(TENSORFLOW):
        yield from files(model, SAVEDMODEL.filename, SAVED)


@rule("pytorch-load-failed", Severity.ERROR, "backend=pytorch", at=Stage.INSTANCE.after("fil-file-missing"))
def not_torchscript(model: Model) -> Iterator[Finding]:
    """A PyTorch model file must be an archive of the format that its platform loads."""
    aoti = model.inferred.platform == AOTI
    for path, file in files(model, LIBTORCH.filename) if judged(model) else ():
        found = content(file)
        fits = found is (Content.COMPILED if aoti else Content.TORCHSCRIPT)
        if fits or (found is Content.UNKNOWN and (is_archive(file) or file.read(4, 4) == FLATBUFFER)):
            continue
        wanted = "a package of AOTInductor" if aoti else "a TorchScript archive"
        is_checkpoint = found is Content.CHECKPOINT and not aoti
        yield Finding(
            path,
            f"the file is {found}, not {wanted}" if found else f"the file is not {wanted}",
            hint=_hint(found, _other_platform(model, found) or (COMPILE if aoti else EXPORT)),
            reason="" if aoti else f"failed to load model '{model.name}': {NO_CONSTANTS if is_checkpoint else ''}",
        )


def _other_platform(model: Model, found: Content) -> str:
    """Return the hint for a file that another platform of the backend loads; "" if none does."""
    fitting = {Content.COMPILED: AOTI, Content.TORCHSCRIPT: LIBTORCH.platform}.get(found, "")
    return f'Set `platform: "{fitting}"`.' if fitting and model.target.release.has("torch-aoti") else ""
