"""Corner cases of instance groups against the machine's GPUs; without GPUs the words were seen on Triton 24.10."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from tests.pages import judged
from tritonrepo.diagnostics import Diagnostic, State
from tritonrepo.rules import RULES
from tritonrepo.tree import Directory, Entry, of_bytes, of_text

IO = """\
input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
"""
IDENTITY = 'backend: "identity"\n'
TENSORRT = 'platform: "tensorrt_plan"\n'
CPU = "instance group m_0 of model m has kind KIND_CPU but specifies one or more GPUs"
BAD_ID = "GPUs with at least the minimum required CUDA compute compatibility of 6.000000 are: "


FAMILY = {name for name, rule in RULES.items() if ".rules.instances." in rule.check.__module__}


class Case(NamedTuple):
    """Groups, what is said above `info` as rule and token, and the reason of the verdict; no reason: it loads."""

    name: str
    groups: str
    said: Sequence[str] = ()
    reason: str = ""
    gpus: int = 0
    head: str = IDENTITY


def group(text: str) -> str:
    return f"instance_group {{ {text} }} "


def profile(text: str) -> str:
    return group(f"kind: KIND_CPU profile: [ {text} ]")


def bad_id(name: str, number: int, have: str) -> str:
    return f"instance group {name} of model m specifies invalid or unsupported gpu id {number}. {BAD_ID}{have}"


CASES = [
    Case("no kind runs anywhere", group("")),
    Case("no kind runs on GPUs that are there", group("gpus: [ 0, 1 ]"), gpus=2),
    Case("no kind with a GPU that is not there becomes KIND_CPU", group("gpus: [ 0, 2 ]"),
         ["kind-auto-gpus-not-usable: 2"], CPU, gpus=2),
    Case("KIND_AUTO with a negative GPU", group("kind: KIND_AUTO gpus: [ -1 ]"), ["kind-auto-gpus-not-usable: -1"], CPU,
         gpus=2),
    Case("an empty list names no GPU", group("kind: KIND_CPU gpus: [ ]")),
    Case("KIND_GPU without gpus takes all", group("kind: KIND_GPU"), gpus=1),
    Case("KIND_GPU without a GPU", group("kind: KIND_GPU"), ["kind-gpu-no-gpu: KIND_GPU"],
         "instance group m_0 of model m has kind KIND_GPU but no GPUs are available"),
    Case("gpus on a machine without: the other words", group("kind: KIND_GPU gpus: [ 0 ]"), ["kind-gpu-bad-id: 0"],
         bad_id("m_0", 0, "")),
    Case("every GPU that is not there is named", group("kind: KIND_GPU gpus: [ 2, 1, 3 ]"),
         ['kind-gpu-bad-id: 2,', 'kind-gpu-bad-id: 3'], bad_id("m_0", 2, "0, 1"), gpus=2),
    Case("a group's own name", group('name: "g" kind: KIND_GPU gpus: [ 7 ]'), ["kind-gpu-bad-id: 7"],
         bad_id("g", 7, "0"), gpus=1),
    Case("the first faulty group is the reason", group("kind: KIND_CPU") + group("kind: 9")
         + group("kind: KIND_MODEL gpus: 0"),
         ["kind-unknown: 9", "kind-model-with-gpus: 0"],
         "instance group m_1 of model m has unexpected kind KIND_AUTO"),
    Case("a number of the enum", group("kind: 2")),
    Case("kind before profile", group('kind: KIND_CPU gpus: 0 profile: "0"'),
         ['kind-cpu-with-gpus: 0', 'profile-not-tensorrt: profile:'], CPU),
    Case("profile before the next group's kind", profile('"0"') + group("kind: KIND_MODEL gpus: 0"),
         ['profile-not-tensorrt: profile:', 'kind-model-with-gpus: 0'],
         "instance group m_0 of model m and platform specifies profile field which is only supported for TensorRT "
         "models"),
    Case("no profile in the list", profile("")),
    Case("the platform stands before the words without a blank", profile('"0"'), ["profile-not-tensorrt: profile:"],
         "instance group m_0 of model m and platform onnxruntime_onnxspecifies profile field which is only supported "
         "for TensorRT models", head='platform: "onnxruntime_onnx"\n'),
    Case("what C++ reads as a number", profile(r'"1x", " \t+3", "0x10", "-0", "2147483647"'), head=TENSORRT),
    Case("no number", profile('"-"'), ['profile-not-number: "-"'], "unable to parse '-': stoi", head=TENSORRT),
    Case("an empty text", profile('""'), ['profile-not-number: ""'], "profile name must not be empty", head=TENSORRT),
    Case("a negative number", profile('"-1"'), ['profile-not-number: "-1"'],
         "instance group m_0 of model m and platform tensorrt_plan specifies invalid profile -1. The field should "
         "contain the string representation of a non-negative integer.", head=TENSORRT),
    Case("the least that does not fit", profile('"2147483648"'), ['profile-out-of-range: "2147483648"'],
         "what():  stoi", head=TENSORRT),
    Case("thousands of digits", profile(f'"-{"9" * 5000}"'), [f'profile-out-of-range: "-{"9" * 5000}"'],
         "what():  stoi", head=TENSORRT),
    Case("thousands of zeros", profile(f'"{"0" * 5000}1"'), head=TENSORRT),
    Case("the earlier profile is the reason", profile(r'"4294967296", "x"'),
         ['profile-out-of-range: "4294967296",', 'profile-not-number: "x"'], "what():  stoi", head=TENSORRT),
    Case("a count below 1", group("count: -3"), ["instance-count-not-positive: -3"]),
    Case("one passive group beside another", group("passive: true") + group("passive: false")),
    Case("all passive", group("passive: true") + group("passive: true"), ["only-passive-instances: true"]),
    Case("one name with two counts in two groups",
         group('rate_limiter { resources { name: "R" count: 1 } }') * 2),
    Case("one name twice in a group, global once: no replacement", group(
         'rate_limiter { resources { name: "R" count: 1 } resources { name: "R" global: true count: 2 } }'),
         ["rate-resource-global-and-device: {"]),
]  # fmt: skip


def token(case: Case, found: Diagnostic) -> str:
    """Give what the finding points at, up to a blank."""
    return case.groups[found.at.column - 1 :].split(maxsplit=1)[0] if found.at.line == 4 else str(found.at)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_server_is_foretold(case: Case) -> None:
    files: dict[str, Entry] = {"m/config.pbtxt": of_text(case.head + IO + case.groups), "m/1/model.plan": of_bytes(b"")}
    found = judged(files, f"--gpus {case.gpus}")
    loud = [d for d in found.diagnostics if d.rule in FAMILY and RULES[d.rule].severity != "info"]
    assert [f"{d.rule}: {token(case, d)}" for d in loud] == list(case.said)
    (verdict,) = found.verdicts
    assert verdict.server_reason == case.reason
    assert (verdict.verdict is State.READY) is not bool(case.reason)


def test_an_ensembles_groups_are_refused_as_such_and_not_looked_at() -> None:
    text = f'platform: "ensemble"\n{IO}instance_group {{ kind: KIND_CPU gpus: 0 }}\nensemble_scheduling {{ }}\n'
    found = judged({"m/config.pbtxt": of_text(text), "m/1": Directory()})
    assert "kind-cpu-with-gpus" not in {d.rule for d in found.diagnostics}
    assert found.verdicts[0].rule == "ensemble-instance-group"
