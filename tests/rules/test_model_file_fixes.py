"""Corner cases of the fixes for model files that a backend does not find."""

from __future__ import annotations

from typing import NamedTuple

from tests.pages import judged
from tests.rules.test_backend_fixes import IO, mended, text
from tests.tabled import tabled
from tritonrepo.tree import Directory, Entry, of_text

TORCH, SAVED = f'platform: "pytorch_libtorch" {IO}', f'platform: "tensorflow_savedmodel" {IO}'
OPENVINO, FIL = f'backend: "openvino" {IO}', f'backend: "fil" {IO}'
PYTHON, ALL = f'backend: "python" {IO}', "version_policy { all { } }\n"
MISSING = "pytorch-file-missing"


class Found(NamedTuple):
    """A rule, a config, the files, what the fix adds to the config, the files afterwards, and whether it is safe."""

    rule: str
    config: str
    files: str
    added: str = ""
    left: str = ""
    safe: bool | None = False


CASES = {
    "all versions": Found(MISSING, TORCH + ALL, "1/a.pt 2/a.pt", 'default_model_filename: "a.pt"', safe=True),
    "another ending": Found(MISSING, TORCH, "1/a.pth", 'default_model_filename: "a.pth"'),
    "versions with different files": Found(MISSING, TORCH + ALL, "1/a.pt 2/b.pt", left="1/model.pt 2/model.pt"),
    "one version of two": Found(MISSING, TORCH + ALL, "1/model.pt 2/b.pt", left="1/model.pt 2/model.pt"),
    "two files": Found(MISSING, TORCH, "1/a.pt 1/b.pt", safe=None),
    "a file next to the version": Found(MISSING, TORCH, "model.pt 1", left="1/model.pt", safe=True),
    "a file next to two versions": Found(MISSING, TORCH + ALL, "model.pt 1 2", safe=None),
    "a directory next to the version": Found(MISSING, TORCH, "model.pt/x 1", safe=None),
    "a version with another file": Found(MISSING, TORCH, "model.pt 1/readme", left="1/model.pt 1/readme", safe=True),
    "a misspelt name in a directory": Found(
        MISSING, f"{TORCH}default_model_filename: 'in/b.pt'", "1/in/a.pt", 'default_model_filename: "in/a.pt"'
    ),
    "ONNX for OpenVINO": Found("openvino-file-missing", OPENVINO, "1/a.onnx", 'default_model_filename: "a.onnx"'),
    "one XML among others": Found(
        "openvino-file-missing", OPENVINO, "1/a.onnx 1/b.xml 1/b.bin", 'default_model_filename: "b.xml"', safe=True
    ),
    "an XML next to the version, with its weights": Found(
        "openvino-file-missing", OPENVINO, "model.xml model.bin 1", left="1/model.xml 1/model.bin", safe=True
    ),
    "an XML in one version of two": Found(
        "openvino-file-missing",
        OPENVINO + ALL,
        "1/model.xml 1/model.bin 2/b.xml 2/b.bin",
        left="1/model.xml 1/model.bin 2/model.xml 2/model.bin",
    ),
    "a SavedModel of another name": Found(
        "tensorflow-file-missing", SAVED, "1/export/saved_model.pb", 'default_model_filename: "export"'
    ),
    "a SavedModel without a directory": Found(
        "tensorflow-file-missing",
        SAVED,
        "1/saved_model.pb 1/assets/a 1/readme",
        left="1/model.savedmodel/saved_model.pb 1/model.savedmodel/assets/a 1/readme",
        safe=True,
    ),
    "a forest of another type": Found(
        "fil-file-missing",
        f'{FIL}parameters {{ key: "model_type" value {{ string_value: "lightgbm" }} }}\n',
        "1/checkpoint.tl",
        'parameters { key: "model_type" value { string_value: "treelite_checkpoint" } }',
    ),
    "a forest of another name": Found("fil-file-missing", FIL, "1/a.ubj", 'default_model_filename: "a.ubj"'),
    "a class of another name": Found(
        "python-model-file-missing-hang", PYTHON, "1/a.py", 'default_model_filename: "a.py"'
    ),
}


@tabled("case", CASES.values(), ids=CASES)
def test_a_file_is_found_again(case: Found) -> None:
    files = {f"m/{path}": Directory() if path.isdecimal() else of_text("x") for path in case.files.split()}
    bad: dict[str, Entry] = {"m/config.pbtxt": of_text(case.config), **files}
    assert case.rule in {each.rule for each in judged(bad).diagnostics}
    tree, safe = mended(bad, case.rule)
    assert set(safe) == (set() if case.safe is None else {case.safe})
    config = text(tree, "m/config.pbtxt")
    assert case.added in config
    assert (config == case.config) == (not case.added)
    assert {path.removeprefix("m/") for path in tree if path != "m/config.pbtxt"} == set(
        (case.left or case.files).split()
    )
    assert (case.rule in {each.rule for each in judged(tree).diagnostics}) == (case.safe is None)
