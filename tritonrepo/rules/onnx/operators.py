"""What a model asks of ONNX Runtime: its IR version, operator sets and operators.

Source: onnxruntime, core/graph/model.cc, Model::Model; core/graph/model_load_utils.h, ValidateOpsetForDomain;
core/graph/graph.cc, Graph::VerifyNodeAndOpMatch. The packages of each version were asked to load such models.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from tritonrepo.diagnostics import Severity, nearest, some
from tritonrepo.onnxfile import Header
from tritonrepo.onnxfile.operators import FULL, changes, exists, minor, operators, since
from tritonrepo.releases import RELEASES, OnnxRuntime
from tritonrepo.repository import Model
from tritonrepo.repository.graphs import graphs
from tritonrepo.rules.registry import Finding, rule
from tritonrepo.rules.stages import Stage

MICROSOFT = "com.microsoft"
BUILT_IN = {*FULL, MICROSOFT, "com.microsoft.nchwc", "com.ms.internal.nhwc"}
"""Domains that ONNX Runtime has."""
PERHAPS = {"ai.onnx.training", "ai.onnx.preview.training", "com.microsoft.experimental", "trt.plugins"}
"""Domains that some builds and accelerators of ONNX Runtime have."""
EXTENSIONS = "ai.onnx.contrib"
SEVERAL = 3
LIMIT = 1 << 31
"""ONNX Runtime keeps the version of an operator set in 32 bits."""


@rule("onnx-ir-newer-than-image", Severity.ERROR, "backend=onnxruntime", at=Stage.BACKEND.after("onnx-over-2gib"))
def ir_version(model: Model) -> Iterator[Finding]:
    """The IR version of an ONNX file cannot be newer than the image's ONNX Runtime knows."""
    for path, header, runtime in _asked(model):
        if header.ir_version > runtime.ir_version:
            yield Finding(
                path,
                f"the ONNX file has IR version {header.ir_version}, but {_named(model, runtime)} reads at most "
                f"{runtime.ir_version}",
                hint=f"Set `model.ir_version = {runtime.ir_version}` with the onnx package and save it again"
                f"{_or_newer(_reading(header.ir_version))}.",
                reason=f"Unsupported model IR version: {header.ir_version}, max supported IR version: "
                f"{runtime.ir_version}",
            )


@rule(
    "onnx-opset-newer-than-image",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-ir-newer-than-image"),
)
def opset(model: Model) -> Iterator[Finding]:
    """The operator sets of an ONNX file cannot be newer than the image's ONNX Runtime knows."""
    for path, header, runtime in _asked(model):
        for domain, version in sorted(header.opsets.items()):
            most = runtime.opsets.get(domain, version)
            if most < version < LIMIT:
                yield Finding(
                    path,
                    f"the ONNX file uses opset {version} of {_domain(domain)}, but {_named(model, runtime)} supports "
                    f"opset {most} at most",
                    hint=f"Export the model with opset {most}{_or_newer(_with(domain, version))}.",
                    reason=f"Opset {version} is under development and support for this is limited.",
                )


@rule(
    "onnx-custom-domain",
    Severity.ERROR,
    "backend=onnxruntime",
    at=Stage.BACKEND.after("onnx-tensor-undefined"),
)
def custom_domain(model: Model) -> Iterator[Finding]:
    """Operators that are not ONNX Runtime's own must come with a library, or be functions of the model."""
    for path, header, _ in _asked(model):
        found = defaultdict[str, list[str]](list)
        for domain, name in sorted(header.operators - header.functions):
            if name and _foreign(domain):
                found[domain].append(name)
        for domain, names in found.items():
            yield Finding(
                path,
                f'the ONNX file uses {_listed(names)} of the domain "{domain}", which ONNX Runtime does not have',
                hint=_library(domain),
                reason=f"{domain}:{names[0]}(-1) is not a registered function/op"
                if len(names) == 1 and domain in header.opsets
                else "is not a registered function/op"
                if domain in header.opsets
                else f"No opset import for domain '{domain}'",
            )
        for domain in sorted({domain for domain, name in header.operators & header.functions if name}):
            if _foreign(domain) and domain not in header.opsets:
                yield Finding(
                    path,
                    f'the ONNX file uses its functions of the domain "{domain}", but does not import this domain',
                    hint=f'Add it with the onnx package: `model.opset_import.add(domain="{domain}", version=1)`.',
                    reason=f"No opset import for domain '{domain}'",
                )


def _foreign(domain: str) -> bool:
    return domain not in BUILT_IN and domain not in PERHAPS


@rule("onnx-unknown-op", Severity.ERROR, "backend=onnxruntime", at=Stage.BACKEND.after("onnx-custom-domain"))
def unknown_op(model: Model) -> Iterator[Finding]:
    """Each operator must exist in the operator set that the ONNX file uses."""
    for path, header, runtime in _asked(model):
        yield from _nameless(path, header)
        for domain, name in sorted(header.operators - header.functions):
            version = header.opsets.get(domain, runtime.opsets.get(domain, 0))
            if not 0 < version <= runtime.opsets.get(domain, 0):
                continue
            line = operators()[domain].get(name, "")
            if domain in FULL and name and not exists(line, version):
                yield _unknown(path, (domain, name, line), version)
            elif since(line) > minor(runtime.version):
                yield Finding(
                    path,
                    f'the ONNX file uses the operator "{name}" of {domain}, which {_named(model, runtime)} does not '
                    "have yet",
                    hint=f"Export the model without it{_or_newer(_having(line))}.",
                    reason=f"{domain}:{name}(-1) is not a registered function/op",
                )


def _nameless(path: str, header: Header) -> Iterator[Finding]:
    """Yield what is wrong with nodes without an operator, and with operator sets that have none."""
    if any(not name for _, name in header.operators):
        yield Finding(
            path,
            "a node of the ONNX file does not say its operator",
            hint="Export the model again.",
            reason="Field 'op_type' of 'node' is required to be non-empty.",
        )
    for domain, version in sorted(header.opsets.items()):
        names = [name for each, name in header.operators - header.functions if each == domain and name]
        if domain in FULL and -LIMIT < version <= 0 and names:
            yield Finding(
                path,
                f"the ONNX file uses opset {version} of {_domain(domain)}, which has no operators",
                hint="Export the model again, or set the version in opset_import with the onnx package.",
                reason=f"No Op registered for {names[0]} with domain_version of {version}"
                if len(names) == 1
                else f"with domain_version of {version}",
            )


def _unknown(path: str, operator: tuple[str, str, str], version: int) -> Finding:
    """Return the finding for an operator that an operator set does not have."""
    domain, name, line = operator
    found = changes(line)
    gone = [-each for each in found if -version <= each < 0]
    later = [each for each in found if each > version]
    if gone:
        hint = f"Export the model with opset {gone[0] - 1}, or with a newer exporter that does not use {name}."
    elif later:
        hint = f"{name} exists since opset {later[0]}: export the model with that one or a newer one."
    else:
        near = nearest(name, operators()[domain])
        hint = f'Did you mean "{near}"?' if near else "Give its domain, and its library in model_operations."
    return Finding(
        path,
        f'the operator "{name}" was removed in opset {gone[0]} of {_domain(domain)}, and the ONNX file uses {version}'
        if gone
        else f'the operator "{name}" does not exist in opset {version} of {_domain(domain)}, which the ONNX file uses',
        hint=hint,
        reason=f"Op registered for {name} is deprecated in domain_version of {version}"
        if gone and name not in CONTRIBUTED
        else f"{name}({gone[0]}) is not a registered function/op"
        if gone
        else f"No Op registered for {name} with domain_version of {version}",
    )


CONTRIBUTED = {
    *("Affine", "Crop", "DynamicSlice", "GRUUnit", "GivenTensorFill", "ImageScaler", "ParametricSoftplus"),
    *("Scale", "ScaledTanh"),
}
"""Operators that ONNX Runtime itself adds to ONNX's own, and removes (core/graph/contrib_ops/contrib_defs.cc)."""


def _asked(model: Model) -> Iterator[tuple[str, Header, OnnxRuntime]]:
    """Yield path and header of the files whose operators ONNX Runtime itself must have."""
    runtime = model.target.release.onnxruntime
    operations = model.config.message("model_operations")
    if runtime is None or (operations is not None and operations.has("op_library_filename")):
        return
    for graph in graphs(model):
        if graph.header is not None and graph.header.opsets:
            yield graph.path, graph.header, runtime


def _named(model: Model, runtime: OnnxRuntime) -> str:
    return f"ONNX Runtime {runtime.version} of Triton {model.target.release.name}"


def _domain(domain: str) -> str:
    return domain or "ai.onnx"


def _listed(names: list[str]) -> str:
    few = some([f'"{name}"' for name in names], SEVERAL)
    return f"the operator{'s' if len(names) > 1 else ''} {few}"


def _library(domain: str) -> str:
    if domain == EXTENSIONS:
        return "Add the library of onnxruntime-extensions to the image, and name it in model_operations."
    return 'Name the library that has it: `model_operations { op_library_filename: "/path/of/the/library.so" }`.'


def _reading(ir_version: int) -> Callable[[OnnxRuntime], bool]:
    return lambda runtime: runtime.ir_version >= ir_version


def _having(line: str) -> Callable[[OnnxRuntime], bool]:
    return lambda runtime: minor(runtime.version) >= since(line)


def _with(domain: str, version: int) -> Callable[[OnnxRuntime], bool]:
    return lambda runtime: runtime.opsets.get(domain, 0) >= version


def _or_newer(fits: Callable[[OnnxRuntime], bool]) -> str:
    """Return the words that offer the first release whose ONNX Runtime fits."""
    found = [
        name for name, release in RELEASES.items() if release.onnxruntime is not None and fits(release.onnxruntime)
    ]
    return f", or use Triton {min(found)} or newer" if found else ""
