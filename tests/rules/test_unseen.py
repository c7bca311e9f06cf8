"""What no rule looks into is said, never passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pages import REST, server
from tests.tabled import tabled
from tests.test_json import checked
from tritonrepo import repository
from tritonrepo.cli import run
from tritonrepo.diagnostics import Unseen
from tritonrepo.rules import judge
from tritonrepo.rules.unseen import together, unseen
from tritonrepo.tree import of_bytes, of_text

PYTHON = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
ROWS = {
    "a plan": ('platform: "tensorrt_plan"', "model.plan", "", "TensorRT plan"),
    "TorchScript": ('backend: "pytorch"', "model.pt", "", "TorchScript"),
    "a package": ('platform: "torch_aoti"', "model.pt2", "--release 26.04", "AOTInductor package"),
    "a class": ('backend: "pytorch" runtime: "model.py"', "model.py", "", "PyTorch class"),
    "OpenVINO": ('backend: "openvino"', "model.xml", "", "OpenVINO layers"),
    "TensorFlow": ('platform: "tensorflow_graphdef"', "model.graphdef", "", "TensorFlow graph"),
    "a forest": ('backend: "fil"', "xgboost.model", "", "forest"),
    "a pipeline of DALI": ('backend: "dali"', "model.dali", "", "DALI pipeline"),
    "one's own backend": ('backend: "fraudlib"', "libtriton_fraudlib.so", "", "own backend fraudlib"),
    "Python": ('backend: "python"', "model.py", "", ""),
    "ONNX": ('backend: "onnxruntime"', "model.onnx", "", ""),
    "no file at all": ('backend: "identity"', "x", "", ""),
}


@tabled(("head", "file", "options", "what"), ROWS.values(), ids=ROWS)
def test_what_is_left(head: str, file: str, options: str, what: str) -> None:
    files = {"m/config.pbtxt": of_text(f"{head}\n{REST}"), f"m/1/{file}": of_bytes(PYTHON.encode())}
    read = repository.read(files, server(f"{options} --gpus 1"))
    verdicts = judge(read).verdicts
    if not verdicts[0].rule:  # a file that is found to be wrong was looked at
        assert unseen(read, verdicts) == ((Unseen(what, ("m",)),) if what else ())


def test_models_of_several_repositories_are_told_together() -> None:
    left = [Unseen("b", ("m",)), Unseen("a", ("n",)), Unseen("b", ("o",))]
    assert together(left) == (Unseen("a", ("n",)), Unseen("b", ("m", "o")))


def test_a_line_without_a_problem_never_stands_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "1").mkdir(parents=True)
        (tmp_path / name / "1" / "model.plan").write_bytes(b"\1\2\3\4")
        (tmp_path / name / "config.pbtxt").write_text(f'platform: "tensorrt_plan"\n{REST}')
    assert run(["validate", str(tmp_path)]) == 0
    said = "2 models: no problems found; not looked at: TensorRT plan of 2 models\n"
    assert capsys.readouterr().out == said
    assert run(["validate", str(tmp_path), str(tmp_path / "a" / ".."), "--format", "json"]) == 0
    document = checked("validate", capsys.readouterr().out)
    assert document["not_looked_at"] == [{"what": "TensorRT plan", "models": ["a", "b", "a", "b"]}]
    (tmp_path / "b" / "1" / "model.plan").unlink()
    (tmp_path / "b" / "1" / "x").touch()
    assert run(["validate", str(tmp_path)]) == 1
    assert capsys.readouterr().out.endswith("2 models: 1 error; not looked at: TensorRT plan of 1 model\n")
