"""The parameters of the FIL backend, which it reads before it opens the model.

Source of all: fil_backend, src/shared_state.h, RapidsSharedState::load; src/serialization.h; rapids-triton,
cpp/include/rapids_triton/model/shared_state.hpp, get_config_param.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tritonrepo.diagnostics import Fix, Severity, closest
from tritonrepo.pbtxt import Message
from tritonrepo.pbtxt.nodes import Placed
from tritonrepo.repository import Model
from tritonrepo.repository.contents import Content, content
from tritonrepo.rules.backends.model_files import FORMATS, model_type
from tritonrepo.rules.backends.places import files, judged
from tritonrepo.rules.mending import edited, moved, set_parameter, together
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

NEWER = "fil-ubj"
RENAMED = "fil-is-classifier"
HEAD = 64
STARTS = {"xgboost_json": re.compile(rb'\{\s*["}]'), "xgboost_ubj": re.compile(rb"\{[\x00-\x1fLUilI$#]")}
"""What the newer formats of XGBoost begin with (xgboost, doc/tutorials/saving_model.rst)."""

BOOLEAN = frozenset({"true", "false"})
FLAGS = ("predict_proba", "use_experimental_optimizations")


def _at(model: Model, name: str) -> Placed | None:
    found = model.parameters.get(name)
    return found if isinstance(found, Message) else None


@rule("fil-model-type", Severity.ERROR, "backend=fil", at=Stage.BACKEND.after("openvino-weights-missing"))
def unknown_type(model: Model) -> Iterator[Finding]:
    """The model_type of a forest must be one that the FIL backend reads."""
    newer = model.target.release.has(NEWER)
    known = [name for name in FORMATS if newer or name != "xgboost_ubj"]
    kind = model_type(model)
    if judged(model) and kind not in known:
        message = f'unknown model_type "{kind}"'
        if kind in FORMATS:
            message = f'the FIL backend of Triton {model.target.release.name} does not read model_type "{kind}"'
        yield Finding(
            _at(model, "model_type"),
            message,
            hint=closest(kind, known)
            if kind not in FORMATS
            else "Use Triton 24.10 or later, or save the model as JSON.",
            reason=f"{kind} not recognized as a valid serialization format.",
        )


@rule("fil-parameter", Severity.ERROR, "backend=fil", at=Stage.BACKEND.after("fil-model-type"))
def parameters(model: Model) -> Iterator[Finding]:
    """The FIL backend must be told whether a forest is a classifier, and each flag must be "true" or "false"."""
    if not judged(model) or model.parsed is None:
        return
    given, named = model.parameters, _classifying(model)
    for name in (*FLAGS, named):
        if name in given and (value := model.parameter(name)) not in BOOLEAN:
            yield Finding(
                _at(model, name),
                f'the parameter {name} must be "true" or "false", not "{value}"',
                hint="Write it in lower case.",
                reason=f"Expected 'true' or 'false' for parameter '{name}', got: '{value}'",
            )
    missing, value, advice = named, "true", 'for a classifier, or "false"'
    if named in given and model.parameter(named) == "true":
        missing, value, advice = "threshold", "0.5", "or another threshold of the classifier"
    if missing == "output_class" and "is_classifier" in given:
        advice += ". The FIL backend reads is_classifier since Triton 25.09"
    if missing not in given:
        yield Finding(
            None,
            f"the parameter {missing} is missing, which the FIL backend requires",
            hint=f'Add `parameters {{ key: "{missing}" value {{ string_value: "{value}" }} }}` {advice}.',
            reason=f"Required parameter {missing} not found in config",
        )


@rule("fil-model-format", Severity.WARNING, "backend=fil")
def other_format(model: Model) -> Iterator[Finding]:
    """The file of a forest should be in the format of its model_type."""
    kind = model_type(model)
    for path, file in files(model, FORMATS.get(kind, "")) if judged(model) and kind.startswith("xgboost") else ():
        head = file.read(0, HEAD).lstrip()
        found = next((each for each, start in STARTS.items() if start.match(head)), "xgboost")
        if head and found != kind and content(file) is not Content.POINTER:
            looks = "does not look like it" if found == "xgboost" else f"looks like {found}"
            wanted = "the format of the file" if found == "xgboost" else f'"{found}"'
            yield Finding(
                path,
                f"model_type is {kind}, but the file {looks}",
                hint=f"Set the parameter model_type to {wanted}, or save the model again.",
                fix=None if found == "xgboost" or "default_model_filename" in model.fields else _as(model, path, found),
            )


def _as(model: Model, path: str, kind: str) -> Fix | None:
    """Return the fix that sets another model_type, and gives the file the name that it then has."""
    if len(model.served) > 1:
        return None
    name = f"{path.rpartition('/')[0]}/{FORMATS[kind]}"
    setting = edited(model, set_parameter(model, "model_type", kind), safe=False)
    return together(setting, moved(model, path, name, safe=False)) if name not in model.entries else None


def _classifying(model: Model) -> str:
    """Return the parameter that says whether the forest is a classifier; since 25.09 the older name counts first."""
    older = model.parameter("output_class") in BOOLEAN
    return "output_class" if older or not model.target.release.has(RENAMED) else "is_classifier"
