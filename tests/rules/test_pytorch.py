"""Corner cases of the rules on the configs of PyTorch models."""

from __future__ import annotations

from tests.archives import PACKAGE, TORCHSCRIPT, archive
from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.tree import of_bytes, of_text

HEAD = 'platform: "pytorch_libtorch"\n'
IN = 'input { name: "INPUT__0" data_type: TYPE_FP32 dims: [ 4 ] }\n'
OUT = 'output { name: "OUTPUT__0" data_type: TYPE_FP32 dims: [ 4 ] }\n'
BATCH = "max_batch_size: 8\n"


def named(kind: str, *names: str) -> str:
    """Return tensors of these names."""
    return "".join(f'{kind} {{ name: "{name}" data_type: TYPE_FP32 dims: [ 4 ] }}\n' for name in names)


def strings(dims: str, more: str = "") -> str:
    """Return an input of strings, and the output."""
    return f'input {{ name: "INPUT__0" data_type: TYPE_STRING dims: {dims} {more} }}\n{OUT}'


def kept(output: str) -> str:
    """Return a state of a sequence."""
    return f'sequence_batching {{ state {{ input_name: "S__1" {output} data_type: TYPE_FP32 dims: 1 }} }}\n'


SAID = {
    "a whole config": (HEAD + IN + OUT, []),
    "neither": (HEAD, ["pytorch-no-autocomplete", "pytorch-no-autocomplete"]),
    "no input": (HEAD + OUT, ["pytorch-no-autocomplete"]),
    "an empty list": (f"{HEAD}input [ ]\n{OUT}", ["pytorch-no-autocomplete"]),
    "a class completes nothing, but needs nothing": (f'backend: "pytorch" runtime: "model.py"\n{OUT}', []),
    "types": (HEAD + IN + OUT.replace("FP32", "BF16"), ["pytorch-datatype"]),
    "every other type": (HEAD + IN.replace("FP32", "UINT8") + OUT.replace("FP32", "FP64"), []),
    "strings": (HEAD + strings("[ -1 ]"), []),
    "strings in a batch": (HEAD + BATCH + strings("[ 1 ]"), ["pytorch-string-dims"]),
    "strings in a batch, reshaped": (HEAD + BATCH + strings("[ 1 ]", "reshape { }"), []),
    "a matrix of strings": (HEAD + strings("[ 2, 3 ]"), ["pytorch-string-dims"]),
    "a state": (HEAD + BATCH + IN + OUT + kept('output_name: "T__1"'), []),
    "a state without an index": (HEAD + BATCH + IN + OUT + kept('output_name: "T"'), ["pytorch-state-naming"]),
    "a state whose index is no number": (
        HEAD + BATCH + IN + OUT + kept('output_name: "T__1a"'),
        ["pytorch-state-naming"],
    ),
    "an index behind three underscores": (
        HEAD + BATCH + IN + named("output", "T___0") + kept('output_name: "T__1"'),
        ["pytorch-state-naming"],
    ),
    "an empty index": (HEAD + BATCH + IN + named("output", "T__") + kept('output_name: "T__1"'), []),
    "an output without an index": (
        HEAD + BATCH + IN + named("output", "T") + kept('output_name: "T__1"'),
        ["pytorch-state-naming"],
    ),
    "plain names": (HEAD + named("input", "a", "b") + OUT, []),
    "a plain name first, in order": (HEAD + IN + named("output", "a", "b__1"), []),
    "an index without effect": (HEAD + IN + named("output", "a", "b__0"), ["pytorch-output-naming"]),
    "an index of an input without effect": (HEAD + named("input", "a", "b__0") + OUT, ["pytorch-input-naming"]),
    "indices in any order": (HEAD + IN + named("output", "b__1", "a__0"), []),
    "a long index": (HEAD + IN + named("output", "a", "b__" + "9" * 5000), ["pytorch-output-naming"]),
}


@tabled(("config", "rules"), SAID.values(), ids=SAID)
def test_what_is_said_of_a_config(config: str, rules: list[str]) -> None:
    files = {"m/1/model.pt": archive(*TORCHSCRIPT), "m/1/model.py": b"", "m/config.pbtxt": config.encode()}
    found = judged({path: of_bytes(content) for path, content in files.items()}).diagnostics
    assert [each.rule for each in found if each.rule.startswith("pytorch-")] == rules


def test_a_package_is_not_judged_as_torchscript() -> None:
    config = f'platform: "torch_aoti"\n{OUT.replace("FP32", "BF16")}'
    files = {"m/config.pbtxt": of_text(config), "m/1/model.pt2": of_bytes(archive(*PACKAGE))}
    assert not [each for each in judged(files, "--release 26.05").diagnostics if each.rule.startswith("pytorch-")]


def test_without_a_config_there_are_no_tensors() -> None:
    files = {"m/1/model.pt": of_bytes(archive(*TORCHSCRIPT))}
    (verdict,) = judged(files).verdicts
    assert (verdict.rule, verdict.stage) == ("pytorch-no-autocomplete", "backend")
