"""The model files of compiled backends: which each opens in every served version, and that it is there."""

from __future__ import annotations

from collections.abc import Iterator

from tritonrepo.diagnostics import Fix, Move, Severity
from tritonrepo.repository import Model
from tritonrepo.repository.inference import GRAPHDEF, LIBTORCH, SAVEDMODEL, TORCH_AOTI
from tritonrepo.repository.paths import follow
from tritonrepo.rules.backends.naming import holder_named, named
from tritonrepo.rules.backends.places import beside, hint, is_python, judged, missing, opened
from tritonrepo.rules.fields.libraries import TENSORFLOW
from tritonrepo.rules.mending import edited, moved, set_parameter, together
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage
from tritonrepo.tree import Directory, File

PLAN = "model.plan"
DALI, DALI_SOURCE = "model.dali", "dali.py"
AOTI = TORCH_AOTI.platform
OTHERS = (".onnx", ".pb", ".tflite", ".pdmodel")
"""Files of other frameworks that OpenVINO reads."""

SAVED = ("saved_model.pb", "variables", "assets", "assets.extra", "keras_metadata.pb", "fingerprint.pb")
"""What a SavedModel consists of."""

SCRIPTS, PACKAGES = (".pt", ".pth", ".torchscript", ".ts"), (".pt2",)
FORESTS = (".model", ".json", ".ubj", ".txt", ".tl")
FORMATS = {
    "xgboost": "xgboost.model",
    "xgboost_json": "xgboost.json",
    "xgboost_ubj": "xgboost.ubj",
    "lightgbm": "model.txt",
    "treelite_checkpoint": "checkpoint.tl",
}
"""The file that the FIL backend opens, by the parameter model_type (fil_backend, src/model.h, model_file)."""


@rule("tensorrt-plan-missing", Severity.ERROR, "backend=tensorrt", at=Stage.BACKEND.after("tensorrt-kind"))
def plan_missing(model: Model) -> Iterator[Finding]:
    """A TensorRT model must have its plan in every served version."""
    for path in missing(model, PLAN) if judged(model) else ():
        if any(isinstance(follow(model, other), File) for other in _for_some_gpus(model, path)):
            continue  # the plan of another GPU; which one the server has is not known
        reason = f"{model.name}/{path}' for model instance '"
        if model.target.auto_complete:
            reason = "unable to load plan file to auto complete config: "
        yield Finding(
            path,
            "the TensorRT plan is missing",
            hint=hint(model, path, ".plan", ".engine", ".trt"),
            reason=reason,
            fix=named(model, path, ".plan", ".engine", ".trt"),
        )


def _for_some_gpus(model: Model, path: str) -> list[str]:
    """Return the paths of the plans that a GPU of some compute capability opens in place of this one."""
    names = (entry.text("value") for entry in model.config.entries("cc_model_filenames"))
    return [f"{path.rpartition('/')[0]}/{name}" for name in names if name]


@rule("openvino-file-missing", Severity.ERROR, "backend=openvino", at=Stage.BACKEND.after("tensorrt-plan-missing"))
def openvino_missing(model: Model) -> Iterator[Finding]:
    """An OpenVINO model must have its model.xml in every served version."""
    for path in missing(model, "model.xml") if judged(model) else ():
        yield Finding(
            path,
            "the OpenVINO model file is missing",
            hint=_openvino_hint(model, path),
            reason=f"{model.name}/{path}' for model '{model.name}'",
            fix=_openvino_fix(model, path),
        )


def _openvino_fix(model: Model, path: str) -> Fix | None:
    """Return the fix of a missing file; the weights of an XML move with it."""
    fix = named(model, path, ".xml") or named(model, path, *OTHERS, guess=True)
    move = next(iter(fix.files), None) if fix is not None else None
    if not isinstance(move, Move):
        return fix
    weights = f"{move.path.removeprefix(f'{model.name}/').removesuffix('.xml')}.bin"
    if weights not in model.entries:
        return fix
    return together(fix, moved(model, weights, f"{path.removesuffix('.xml')}.bin", safe=True))


def _openvino_hint(model: Model, path: str) -> str:
    """Return a hint; the weights have the name of the XML file, so both must be renamed."""
    directory, _, name = path.rpartition("/")
    there = beside(model, directory)
    found = [each for each in there if each.endswith(".xml")]
    weights = f"{found[0].removesuffix('.xml')}.bin" if len(found) == 1 else ""
    if weights in there and found != [name]:
        renamed = f"rename {found[0]} and {weights} to {name} and {name.removesuffix('.xml')}.bin"
        return f'Set `default_model_filename: "{found[0]}"`, or {renamed}.'
    return hint(model, path, ".xml", *OTHERS)


@rule("dali-file-missing", Severity.ERROR, "backend=dali", at=Stage.BACKEND.after("openvino-file-missing"))
def dali_missing(model: Model) -> Iterator[Finding]:
    """A DALI model must have its model.dali or a dali.py in every served version."""
    for path in missing(model, DALI) if judged(model) else ():
        directory, _, name = path.rpartition("/")
        if DALI_SOURCE not in beside(model, directory):
            yield Finding(
                path,
                f"the DALI pipeline is missing: neither {name} nor {DALI_SOURCE} exists",
                hint=hint(model, path, ".dali", ".py"),
                reason="Failed to load model file. The program looked in the following locations: ",
                fix=named(model, path, ".dali"),
            )


@rule(
    "pytorch-file-missing",
    Severity.ERROR,
    "backend=pytorch",
    at=Stage.INSTANCE.after("vllm-max-model-len-kv"),
)
def pytorch_missing(model: Model) -> Iterator[Finding]:
    """A PyTorch model must have its model file in every served version."""
    if is_python(model):
        if model.backend in model.target.backends:
            yield from _class_missing(model)
        return
    for path in missing(model, LIBTORCH.filename) if judged(model) else ():
        yield Finding(
            path,
            f"the {_pytorch(model)} file is missing",
            hint=_pytorch_hint(model, path),
            reason=f"{model.name}/{path}"
            + ('" is unreachable' if model.inferred.platform == AOTI else "' for model instance '"),
            fix=named(model, path, *_pytorch_endings(model)),
        )


def _pytorch(model: Model) -> str:
    return "AOTInductor" if model.inferred.platform == AOTI else "TorchScript"


def _pytorch_hint(model: Model, path: str) -> str:
    there = beside(model, path.rpartition("/")[0])
    if model.inferred.platform != AOTI and TORCH_AOTI.filename in there:
        if not model.target.release.has("torch-aoti"):
            return "Export the model with torch.jit.save. AOTInductor packages (.pt2) need Triton 26.03 or later."
        return f'Set `platform: "{AOTI}"` to serve {TORCH_AOTI.filename}, or export the model with torch.jit.save.'
    return hint(model, path, *_pytorch_endings(model))


def _pytorch_endings(model: Model) -> tuple[str, ...]:
    return PACKAGES if model.inferred.platform == AOTI else SCRIPTS


def _class_missing(model: Model) -> Iterator[Finding]:
    """Yield the versions in which the model.py of the backend finds neither a class nor a TorchScript file."""
    own = model.config.text("default_model_filename")
    names = (*([own] if own else []), "model.py", LIBTORCH.filename)
    for version in model.served:
        directory = model.directory_of(version)
        if not any(f"{directory}/{name}" in model.entries for name in names) and "/" not in own:
            path = f"{directory}/{names[0]}"
            yield Finding(
                path,
                f"the PyTorch model is missing: {' and '.join(dict.fromkeys(names))} do not exist",
                hint=hint(model, path, ".py", ".pt"),
                reason="No model found in ",
                fix=named(model, path, ".py", ".pt", guess=True),
            )


@rule("tensorflow-file-missing", Severity.ERROR, "backend=tensorflow", at=Stage.INSTANCE.after("pytorch-file-missing"))
def tensorflow_missing(model: Model) -> Iterator[Finding]:
    """A TensorFlow model must have its model.savedmodel or model.graphdef in every served version."""
    kind = GRAPHDEF if model.inferred.platform == GRAPHDEF.platform else SAVEDMODEL
    there = judged(model) and model.target.release.has(TENSORFLOW)
    if there and kind is SAVEDMODEL:
        yield from _without_graph(model)
    for path in missing(model, kind.filename) if there else ():
        directory, _, name = path.rpartition("/")
        advice = hint(model, path, ".graphdef", ".pb") if kind is GRAPHDEF else _savedmodel_hint(model, directory, name)
        yield Finding(
            path,
            f"the TensorFlow {'graph' if kind is GRAPHDEF else 'SavedModel'} is missing",
            hint=advice,
            reason=f"{model.name}/{path}' for model instance '",
            fix=named(model, path, ".graphdef", ".pb") if kind is GRAPHDEF else _savedmodel_fix(model, path),
        )


def _without_graph(model: Model) -> Iterator[Finding]:
    """Yield the directories of a SavedModel that do not contain one."""
    for path in opened(model, SAVEDMODEL.filename):
        entry, names = follow(model, path), beside(model, path)
        if isinstance(entry, Directory) and not any(name.startswith("saved_model.") for name in names):
            inner = next((each for each in names if f"{path}/{each}/saved_model.pb" in model.entries), "")
            advice = f"Move the content of {inner} one directory up." if inner else "Export the model again."
            yield Finding(path, "the SavedModel has no saved_model.pb", hint=advice)


def _savedmodel_hint(model: Model, directory: str, name: str) -> str:
    there = beside(model, directory)
    if "saved_model.pb" in there:
        return f"Move saved_model.pb, variables and assets into a directory {name} in the directory {directory}."
    holders = [each for each in there if f"{directory}/{each}/saved_model.pb" in model.entries]
    if len(holders) == 1:
        return f'Rename {holders[0]} to {name}, or set `default_model_filename: "{holders[0]}"`.'
    return f"Add {name} to the directory {directory}."


def _savedmodel_fix(model: Model, path: str) -> Fix | None:
    directory = path.rpartition("/")[0]
    there = [name for name in SAVED if name in beside(model, directory)]
    if SAVED[0] not in there:
        return holder_named(model, path, SAVED[0])
    return together(*(moved(model, f"{directory}/{name}", f"{path}/{name}", safe=True) for name in there))


@rule("fil-file-missing", Severity.ERROR, "backend=fil", at=Stage.INSTANCE.after("tensorflow-file-missing"))
def fil_missing(model: Model) -> Iterator[Finding]:
    """A forest of the FIL backend must have the file of its model_type in every served version."""
    kind = model_type(model)
    name = FORMATS.get(kind, "")
    if not name or not judged(model) or (kind == "xgboost_ubj" and not model.target.release.has("fil-ubj")):
        return
    for path in missing(model, name):
        there = beside(model, path.rpartition("/")[0])
        others = [each for each, file in FORMATS.items() if file in there and each != kind]
        advice, fix = hint(model, path, *FORESTS), named(model, path, *FORESTS, guess=True)
        if others and not model.config.text("default_model_filename"):
            advice = f'Set the parameter model_type to "{others[0]}", whose file {FORMATS[others[0]]} is there.'
            fix = edited(model, set_parameter(model, "model_type", others[0]), safe=False)
        yield Finding(path, f"the file of model_type {kind} is missing", hint=advice, fix=fix)


def model_type(model: Model) -> str:
    """Return the parameter model_type of a model of the FIL backend."""
    return next(iter(model.parameter("model_type").split()), "xgboost")
