"""Corner cases of the rules on the model files of compiled backends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.archives import CHECKPOINT, EXPORTED, OLD_PACKAGE, PACKAGE, TORCHSCRIPT, archive
from tests.pages import REST, judged
from tests.tabled import tabled
from tritonrepo.tree import Directory, Entry, Link, of_bytes, of_text


class Case(NamedTuple):
    """A model "m": its config, its other files, and the rule and hint of the one finding about them."""

    config: str
    files: Mapping[str, bytes | Entry]
    rule: str = ""
    hint: str = ""
    options: str = ""


TORCH = f'platform: "pytorch_libtorch"\n{REST}'
AOTI = f'platform: "torch_aoti"\n{REST}'
CLASS = f'backend: "pytorch" runtime: "model.py"\n{REST}'
PLAN = f'platform: "tensorrt_plan"\n{REST}'
OPENVINO = f'backend: "openvino"\n{REST}'
SAVED = f'platform: "tensorflow_savedmodel"\n{REST}'
GRAPH = f'platform: "tensorflow_graphdef"\n{REST}'
DALI = f'backend: "dali"\n{REST}'
FIL = f'backend: "fil"\n{REST}'
GPU = "--gpus 1"


def forest(kind: str) -> str:
    """Return the config of a forest with a model_type."""
    return FIL + f'parameters {{ key: "model_type" value {{ string_value: "{kind}" }} }}\n'


MISSING = {
    "an empty version of pytorch": Case(
        TORCH, {"1": Directory()}, "pytorch-file-missing", "Add model.pt to the directory 1."
    ),
    "a checkpoint of another name": Case(
        TORCH,
        {"1/weights.pth": b"x"},
        "pytorch-file-missing",
        'Rename weights.pth to model.pt, or set `default_model_filename: "weights.pth"`.',
    ),
    "model.pt beside the version": Case(
        TORCH,
        {"model.pt": b"x", "1": Directory()},
        "pytorch-file-missing",
        "Move model.pt into the version directory 1.",
    ),
    "a package of AOTInductor for TorchScript": Case(
        TORCH,
        {"1/model.pt2": b"x"},
        "pytorch-file-missing",
        'Set `platform: "torch_aoti"` to serve model.pt2, or export the model with torch.jit.save.',
        "--release 26.04",
    ),
    "a package of AOTInductor before 26.03": Case(
        TORCH,
        {"1/model.pt2": b"x"},
        "pytorch-file-missing",
        "Export the model with torch.jit.save. AOTInductor packages (.pt2) need Triton 26.03 or later.",
    ),
    "26.03 opens model.pt for torch_aoti": Case(
        AOTI,
        {"1/model.pt2": b"x"},
        "pytorch-file-missing",
        'Rename model.pt2 to model.pt, or set `default_model_filename: "model.pt2"`.',
        "--release 26.03",
    ),
    "26.04 opens model.pt2 for torch_aoti": Case(AOTI, {"1/model.pt2": b"x"}, options="--release 26.04"),
    "a library of one's own reads what it likes": Case(TORCH, {"1": Directory(), "libtriton_pytorch.so": b"x"}),
    "a library of one's own in the version": Case(TORCH, {"1/libtriton_pytorch.so": b"x"}),
    "a link that is not followed": Case(TORCH, {"1/model.pt": Link("/elsewhere/model.pt")}),
    "a path outside the model": Case(f'{TORCH}default_model_filename: "../../x.pt"\n', {"1": Directory()}),
    "a class": Case(CLASS, {"1/model.py": b""}),
    "TorchScript beside no class": Case(CLASS, {"1/model.pt": b"x"}),
    "no class": Case(CLASS, {"1": Directory()}, "pytorch-file-missing", "Add model.py to the directory 1."),
    "a class of another name": Case(
        CLASS,
        {"1/net.py": b""},
        "pytorch-file-missing",
        'Rename net.py to model.py, or set `default_model_filename: "net.py"`.',
    ),
    "an empty version of tensorrt": Case(
        PLAN, {"1": Directory()}, "tensorrt-plan-missing", "Add model.plan to the directory 1.", GPU
    ),
    "an engine": Case(
        PLAN,
        {"1/model.trt": b"x"},
        "tensorrt-plan-missing",
        'Rename model.trt to model.plan, or set `default_model_filename: "model.trt"`.',
        GPU,
    ),
    "plans by compute capability": Case(
        f'{PLAN}cc_model_filenames {{ key: "9.0" value: "h100.plan" }}\n', {"1/h100.plan": b"x"}, options=GPU
    ),
    "no plan of any compute capability": Case(
        f'{PLAN}cc_model_filenames {{ key: "9.0" value: "h100.plan" }}\n',
        {"1/x": b"x"},
        "tensorrt-plan-missing",
        "Add model.plan to the directory 1.",
        GPU,
    ),
    "no XML": Case(OPENVINO, {"1": Directory()}, "openvino-file-missing", "Add model.xml to the directory 1."),
    "an XML of another name": Case(
        OPENVINO,
        {"1/ir.xml": b"<net/>", "1/ir.bin": b"x"},
        "openvino-file-missing",
        'Set `default_model_filename: "ir.xml"`, or rename ir.xml and ir.bin to model.xml and model.bin.',
    ),
    "ONNX for OpenVINO": Case(
        OPENVINO,
        {"1/model.onnx": b"x"},
        "openvino-file-missing",
        'Rename model.onnx to model.xml, or set `default_model_filename: "model.onnx"`.',
    ),
    "a SavedModel of another name": Case(
        SAVED,
        {"1/export/saved_model.pb": b"x"},
        "tensorflow-file-missing",
        'Rename export to model.savedmodel, or set `default_model_filename: "export"`.',
    ),
    "a frozen graph": Case(
        GRAPH,
        {"1/frozen.pb": b"x"},
        "tensorflow-file-missing",
        'Rename frozen.pb to model.graphdef, or set `default_model_filename: "frozen.pb"`.',
    ),
    "no SavedModel": Case(
        SAVED, {"1/readme": b""}, "tensorflow-file-missing", "Add model.savedmodel to the directory 1."
    ),
    "a pipeline in Python": Case(DALI, {"1/dali.py": b""}),
    "no pipeline": Case(DALI, {"1": Directory()}, "dali-file-missing", "Add model.dali to the directory 1."),
    "each file of a forest": Case(forest("lightgbm"), {"1/model.txt": b"tree\n"}),
    "a forest in a file of another type": Case(
        forest("lightgbm"),
        {"1/checkpoint.tl": b"x"},
        "fil-file-missing",
        'Set the parameter model_type to "treelite_checkpoint", whose file checkpoint.tl is there.',
    ),
    "a forest of the default type": Case(
        FIL, {"1": Directory()}, "fil-file-missing", "Add xgboost.model to the directory 1."
    ),
    "two versions": Case(
        f"{FIL}version_policy {{ all {{ }} }}\n",
        {"1/xgboost.model": b"x", "2": Directory()},
        "fil-file-missing",
        "Add xgboost.model to the directory 2.",
    ),
    "a name with a line break": Case(
        FIL,
        {"1/a\nb.model": b"x"},
        "fil-file-missing",
        r'Rename a\nb.model to xgboost.model, or set `default_model_filename: "a\nb.model"`.',
    ),
}


def tree(case: Case) -> dict[str, Entry]:
    """Return the case's repository."""
    files = {f"m/{path}": of_bytes(each) if isinstance(each, bytes) else each for path, each in case.files.items()}
    return {"m/config.pbtxt": of_text(case.config), **files}


@tabled("case", MISSING.values(), ids=MISSING)
def test_a_missing_file_is_reported_with_what_is_there_instead(case: Case) -> None:
    found = [
        each
        for each in judged(tree(case), case.options).diagnostics
        if each.rule.endswith(("-file-missing", "-plan-missing"))
    ]
    assert [(each.rule, each.hint) for each in found] == ([(case.rule, case.hint)] if case.rule else [])


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
PULL = "Run `git lfs pull` to get the file itself."
SAVE = "Export the model with torch.jit.script or torch.jit.trace, and save it with torch.jit.save."
COMPILE = "Compile the model with torch._inductor.aoti_compile_and_package."
BUILD = "Build an engine from the model with trtexec, on the GPU and with the TensorRT of the server."
LOAD, ENGINE, PLACEHOLDER = "pytorch-load-failed", "tensorrt-engine-incompatible", "model-file-placeholder"
NEWER = "--release 26.04"

WRONG = {
    "TorchScript": Case(TORCH, {"1/model.pt": archive(*TORCHSCRIPT)}),
    "TorchScript of an old torch": Case(TORCH, {"1/model.pt": archive("m/version", "m/model.json")}),
    "TorchScript behind other bytes": Case(TORCH, {"1/model.pt": b"x" * 100 + archive(*TORCHSCRIPT)}),
    "a mobile model": Case(TORCH, {"1/model.pt": b"\0\0\0\0PTMFrest"}),
    "a checkpoint": Case(TORCH, {"1/model.pt": archive(*CHECKPOINT)}, LOAD, SAVE),
    "a pickle": Case(TORCH, {"1/model.pt": b"\x80\x02}q\x00."}, LOAD, SAVE),
    "a pickle that ends like an archive": Case(TORCH, {"1/model.pt": b"\x80\x02" + archive(*TORCHSCRIPT)}, LOAD, SAVE),
    "an exported program": Case(TORCH, {"1/model.pt": archive(*EXPORTED)}, LOAD, SAVE),
    "a package for TorchScript": Case(TORCH, {"1/model.pt": archive(*PACKAGE)}, LOAD, SAVE),
    "a package for TorchScript, where it can be served": Case(
        TORCH, {"1/model.pt": archive(*PACKAGE)}, LOAD, 'Set `platform: "torch_aoti"`.', NEWER
    ),
    "any archive": Case(TORCH, {"1/model.pt": archive("a/b")}, LOAD, SAVE),
    "an archive that is cut off": Case(TORCH, {"1/model.pt": archive(*TORCHSCRIPT)[:-30]}, LOAD, SAVE),
    "zeros": Case(TORCH, {"1/model.pt": bytes(1000)}, LOAD, SAVE),
    "a pointer for TorchScript": Case(TORCH, {"1/model.pt": POINTER}, LOAD, PULL),
    "an empty file for TorchScript": Case(TORCH, {"1/model.pt": b""}, LOAD, "Replace it with the model file."),
    "weights beside a class": Case(CLASS, {"1/model.py": b"", "1/model.pt": archive(*CHECKPOINT)}),
    "a package": Case(AOTI, {"1/model.pt2": archive(*PACKAGE)}, options=NEWER),
    "a package of an old torch": Case(AOTI, {"1/model.pt2": archive(*OLD_PACKAGE)}, options=NEWER),
    "an exported program for AOTInductor": Case(AOTI, {"1/model.pt2": archive(*EXPORTED)}, LOAD, COMPILE, NEWER),
    "TorchScript for AOTInductor": Case(
        AOTI, {"1/model.pt2": archive(*TORCHSCRIPT)}, LOAD, 'Set `platform: "pytorch_libtorch"`.', NEWER
    ),
    "an engine, as far as is known": Case(PLAN, {"1/model.plan": b"\1\2\3\4\5\6"}, options=GPU),
    "ONNX for TensorRT": Case(PLAN, {"1/model.plan": b"\x08\x08\x12\x07pytorch"}, ENGINE, BUILD, GPU),
    "safetensors for TensorRT": Case(PLAN, {"1/model.plan": b"\x02" + bytes(7) + b'{"a'}, ENGINE, BUILD, GPU),
    "a pointer for TensorRT": Case(PLAN, {"1/model.plan": POINTER}, ENGINE, PULL, GPU),
    "an empty plan": Case(PLAN, {"1/model.plan": b""}, ENGINE, "Replace it with the model file.", GPU),
    "a pointer for OpenVINO": Case(OPENVINO, {"1/model.xml": POINTER}, PLACEHOLDER, PULL),
    "a pointer for a graph": Case(GRAPH, {"1/model.graphdef": POINTER}, PLACEHOLDER, PULL),
    "an empty graph": Case(GRAPH, {"1/model.graphdef": b""}),
    "a pointer for a SavedModel": Case(SAVED, {"1/model.savedmodel/saved_model.pb": POINTER}, PLACEHOLDER, PULL),
    "a pointer for a forest": Case(forest("xgboost_json"), {"1/xgboost.json": POINTER}, PLACEHOLDER, PULL),
    "a pointer for a pipeline": Case(DALI, {"1/model.dali": POINTER}, PLACEHOLDER, PULL),
    "a pointer beside a pipeline in Python": Case(DALI, {"1/model.dali": POINTER, "1/dali.py": b""}),
    "a long text about Git LFS": Case(OPENVINO, {"1/model.xml": POINTER.ljust(5000)}),
}


@tabled("case", WRONG.values(), ids=WRONG)
def test_a_file_of_another_kind_is_reported_with_what_it_is(case: Case) -> None:
    found = [each for each in judged(tree(case), case.options).diagnostics if each.rule in {LOAD, ENGINE, PLACEHOLDER}]
    assert [(each.rule, each.hint) for each in found] == ([(case.rule, case.hint)] if case.rule else [])


def test_a_saved_model_without_its_graph() -> None:
    found = judged(tree(Case(SAVED, {"1/model.savedmodel/1/saved_model.pb": b"x"}))).diagnostics
    assert [(each.rule, each.at.path, each.hint) for each in found if each.severity == "error"] == [
        ("tensorflow-file-missing", "m/1/model.savedmodel", "Move the content of 1 one directory up.")
    ]


def test_the_servers_words_on_a_checkpoint() -> None:
    (verdict,) = judged(tree(WRONG["a checkpoint"])).verdicts
    said = "failed to load model 'm': PytorchStreamReader failed locating file constants.pkl: file not found"
    assert (verdict.stage, verdict.server_reason) == ("backend", said)
