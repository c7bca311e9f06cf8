"""Corner cases of instance groups and the machine's GPUs; messages without GPUs are those of Triton 24.10."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest

from tests.mending import mended
from tests.pages import judged
from tests.tabled import tabled
from tritonrepo import repository
from tritonrepo.diagnostics import Diagnostic, State
from tritonrepo.repository import Said
from tritonrepo.rules import RULES, judge
from tritonrepo.tree import Directory, Entry, of_bytes, of_text

IO = """\
input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }
output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }
"""
IDENTITY = 'backend: "identity"\n'
ONNX = 'backend: "onnxruntime"\n'
TENSORRT = 'platform: "tensorrt_plan"\n'
BLANKS = r"\t" * 30
CPU = "instance group m_0 of model m has kind KIND_CPU but specifies one or more GPUs"
BAD_ID = "GPUs with at least the minimum required CUDA compute compatibility of 6.000000 are: "


FAMILY = {name for name, rule in RULES.items() if ".rules.instances." in rule.check.__module__}


class Case(NamedTuple):
    """Groups, the findings above `info` as rule and token, and the verdict's reason; without one the model loads."""

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
    Case("no kind runs on GPUs that exist", group("gpus: [ 0, 1 ]"), gpus=2),
    Case("no kind with a GPU that does not exist becomes KIND_CPU", group("gpus: [ 0, 2 ]"),
         ["kind-auto-gpus-not-usable: 2"], CPU, gpus=2),
    Case("KIND_AUTO with a negative GPU", group("kind: KIND_AUTO gpus: [ -1 ]"), ["kind-auto-gpus-not-usable: -1"], CPU,
         gpus=2),
    Case("an empty list names no GPU", group("kind: KIND_CPU gpus: [ ]")),
    Case("KIND_GPU without gpus takes all", group("kind: KIND_GPU"), gpus=1),
    Case("KIND_GPU without a GPU", group("kind: KIND_GPU"), ["kind-gpu-no-gpu: KIND_GPU"],
         "instance group m_0 of model m has kind KIND_GPU but no GPUs are available"),
    Case("gpus on a machine without any", group("kind: KIND_GPU gpus: [ 0 ]"), ["kind-gpu-bad-id: 0"],
         bad_id("m_0", 0, "")),
    Case("every GPU that does not exist is reported", group("kind: KIND_GPU gpus: [ 2, 1, 3 ]"),
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
    Case("an empty list of profiles", profile("")),
    Case("the platform precedes the next word without a space", profile('"0"'), ["profile-not-tensorrt: profile:"],
         "instance group m_0 of model m and platform onnxruntime_onnxspecifies profile field which is only supported "
         "for TensorRT models", head='platform: "onnxruntime_onnx"\n'),
    Case("what C++ reads as a number", group(r'kind: KIND_GPU profile: [ "1x", " \t+3", "0x10", "-0", "2147483647" ]'),
         gpus=1, head=TENSORRT),
    Case("not a number", profile('"-"'), ['profile-not-number: "-"'], "unable to parse '-': stoi", head=TENSORRT),
    Case("an empty string", profile('""'), ['profile-not-number: ""'], "profile name must not be empty", head=TENSORRT),
    Case("a negative number", profile('"-1"'), ['profile-not-number: "-1"'],
         "instance group m_0 of model m and platform tensorrt_plan specifies invalid profile -1. The field should "
         "contain the string representation of a non-negative integer.", head=TENSORRT),
    Case("the least that does not fit", profile('"2147483648"'), ['profile-out-of-range: "2147483648"'],
         "what():  stoi", head=TENSORRT),
    Case("thousands of digits", profile(f'"-{"9" * 5000}"'), [f'profile-out-of-range: "-{"9" * 5000}"'],
         "what():  stoi", head=TENSORRT),
    Case("thousands of zeros", group(f'kind: KIND_GPU profile: [ "{"0" * 5000}1" ]'), gpus=1, head=TENSORRT),
    Case("the earlier profile is the reason", profile(r'"4294967296", "x"'),
         ['profile-out-of-range: "4294967296",', 'profile-not-number: "x"'], "what():  stoi", head=TENSORRT),
    Case("a count below 1", group("count: -3"), ["instance-count-not-positive: -3"]),
    Case("one passive group next to one that is not", group("passive: true") + group("passive: false")),
    Case("all passive", group("passive: true") + group("passive: true"), ["only-passive-instances: true"]),
    Case("one name with two counts in two groups",
         group('rate_limiter { resources { name: "R" count: 1 } }') * 2),
    Case("one name twice in a group, but global only once: no replacement", group(
         'rate_limiter { resources { name: "R" count: 1 } resources { name: "R" global: true count: 2 } }'),
         ["rate-resource-global-and-device: {"]),
    Case("the first of several GPUs is the place", group("kind: KIND_CPU gpus: [ 0, 1 ]"),
         ["kind-cpu-with-gpus: 0,"], CPU),
    Case("a group without GPUs before one with", group("") + group("kind: KIND_MODEL gpus: 0"),
         ["kind-model-with-gpus: 0"],
         "instance group m_1 of model m has kind KIND_MODEL but specifies one or more GPUs"),
    *(
        Case(f"an earlier group's unknown kind before {name}", group("kind: 9") + group(text),
             ["kind-unknown: 9", said],
             "instance group m_0 of model m has unexpected kind KIND_AUTO")
        for name, text, said in (
            ("GPUs for KIND_AUTO", "gpus: 5", "kind-auto-gpus-not-usable: 5"),
            ("KIND_GPU", "kind: KIND_GPU", "kind-gpu-no-gpu: KIND_GPU"),
            ("the GPU's number", "kind: KIND_GPU gpus: 7", "kind-gpu-bad-id: 7"),
        )
    ),
    Case("an earlier group's profile before an unknown kind", profile('"x"') + group("kind: 9"),
         ["profile-not-tensorrt: profile:", "kind-unknown: 9"],
         "instance group m_0 of model m and platform specifies profile field which is only supported for TensorRT "
         "models"),
    Case("an earlier group's kind before a profile", group("") + group("kind: 9") + profile('"0"'),
         ["kind-unknown: 9", "profile-not-tensorrt: profile:"],
         "instance group m_1 of model m has unexpected kind KIND_AUTO"),
    Case("the least that fits is negative", profile('"-2147483648"'), ['profile-not-number: "-2147483648"'],
         "instance group m_0 of model m and platform tensorrt_plan specifies invalid profile -2147483648. The field "
         "should contain the string representation of a non-negative integer.", head=TENSORRT),
    Case("one less than the least", profile('"-2147483649"'), ['profile-out-of-range: "-2147483649"'], "what():  stoi",
         head=TENSORRT),
    Case("only a sign after a tab", profile(r'"\t-"'), [r'profile-not-number: "\t-"'],
         "unable to parse '\t-': stoi", head=TENSORRT),
    Case("many tabs before the number", profile(f'"{BLANKS}-1x"'), [f'profile-not-number: "{BLANKS}-1x"'],
         f"instance group m_0 of model m and platform tensorrt_plan specifies invalid profile {chr(9) * 30}-1x. The "
         "field should contain the string representation of a non-negative integer.", head=TENSORRT),
    Case("too large before empty", profile('"4294967296", ""'),
         ['profile-out-of-range: "4294967296",', 'profile-not-number: ""'], "what():  stoi", head=TENSORRT),
    Case("too large before negative", profile('"4294967296", "-1"'),
         ['profile-out-of-range: "4294967296",', 'profile-not-number: "-1"'], "what():  stoi", head=TENSORRT),
    Case("an empty one before one too large", profile('"", "4294967296"'),
         ['profile-not-number: "",', 'profile-out-of-range: "4294967296"'], "profile name must not be empty",
         head=TENSORRT),
]  # fmt: skip


def token(case: Case, found: Diagnostic) -> str:
    """Return what the finding points at, up to the next space."""
    return case.groups[found.at.column - 1 :].split(maxsplit=1)[0] if found.at.line == 4 else str(found.at)


@tabled("case", CASES, ids=[case.name for case in CASES])
def test_the_servers_verdict_is_predicted(case: Case) -> None:
    files: dict[str, Entry] = {
        "m/config.pbtxt": of_text(case.head + IO + case.groups),
        "m/1/model.plan": of_bytes(b"plan"),
    }
    found = judged(files, f"--gpus {case.gpus}")
    heard = [d for d in found.diagnostics if d.rule in FAMILY and RULES[d.rule].severity != "info"]
    assert [f"{d.rule}: {token(case, d)}" for d in heard] == list(case.said)
    (verdict,) = found.verdicts
    assert verdict.server_reason == case.reason
    assert (verdict.verdict is State.READY) is not bool(case.reason)


def test_an_ensembles_groups_are_refused_and_not_checked() -> None:
    text = f'platform: "ensemble"\n{IO}instance_group {{ kind: KIND_CPU gpus: 0 }}\nensemble_scheduling {{ }}\n'
    found = judged({"m/config.pbtxt": of_text(text), "m/1": Directory()})
    assert "kind-cpu-with-gpus" not in {d.rule for d in found.diagnostics}
    assert found.verdicts[0].rule == "ensemble-instance-group"


WORDS = {
    "a target without a GPU": (
        IDENTITY,
        "kind: KIND_GPU gpus: 0",
        "",
        [
            "4:39: error: the group uses GPU 0, but the target has no GPU [kind-gpu-bad-id]",
            "  Remove gpus and use KIND_AUTO or KIND_CPU, or set --gpus to the target's GPU count.",
        ],
    ),
    "a target with one GPU": (
        IDENTITY,
        "kind: KIND_GPU gpus: 1",
        "--gpus 1",
        [
            "4:39: error: the group uses GPU 1, but the target has only GPU 0 [kind-gpu-bad-id]",
            "  Use the index of an existing GPU, or set --gpus to the target's GPU count.",
        ],
    ),
    "a target with GPUs": (
        IDENTITY,
        "gpus: 4",
        "--gpus 4",
        [
            (
                "4:24: error: the group uses GPU 4, but the target has only GPUs 0 to 3; it becomes a KIND_CPU group, "
                "which cannot list gpus [kind-auto-gpus-not-usable]"
            ),
            "  Remove gpus, so that Triton uses all GPUs or else the CPU, or set --gpus to the target's GPU count.",
        ],
    ),
    "the default of a count on a CPU": (
        ONNX,
        "kind: KIND_CPU count: 0",
        "",
        [
            (
                "4:40: warning: count should be at least 1, not 0; Triton uses the default, 2 "
                "[instance-count-not-positive]"
            ),
            "  Set count to the number of instances, or remove the group.",
        ],
    ),
    "the default of a count on a GPU": (
        ONNX,
        "kind: KIND_GPU count: 0",
        "--gpus 1",
        [
            (
                "4:40: warning: count should be at least 1, not 0; Triton uses the default, 1 "
                "[instance-count-not-positive]"
            ),
            "  Set count to the number of instances, or remove the group.",
        ],
    ),
    "the default of a count elsewhere": (
        IDENTITY,
        "kind: KIND_CPU count: 0",
        "",
        [
            (
                "4:40: warning: count should be at least 1, not 0; Triton uses the default, 1 "
                "[instance-count-not-positive]"
            ),
            "  Set count to the number of instances, or remove the group.",
        ],
    ),
    "a count of 1": (IDENTITY, "count: 1", "", []),
    "all passive": (
        IDENTITY,
        "passive: true } instance_group { passive: true",
        "",
        [
            "4:27: warning: every instance is passive, so the model never answers a request [only-passive-instances]",
            "  Remove passive from at least one group.",
        ],
    ),
    "kinds that differ": (
        IDENTITY,
        "kind: KIND_MODEL } instance_group { kind: KIND_CPU } instance_group { kind: KIND_GPU",
        "--gpus 1",
        [
            "4:60: info: this group is KIND_CPU, but the first one is KIND_MODEL [mixed-kinds]",
            "  Use one kind unless both should receive requests equally.",
        ],
    ),
    "a kind that differs and is passive": (
        IDENTITY,
        "kind: KIND_CPU } instance_group { kind: KIND_GPU passive: true",
        "--gpus 1",
        [],
    ),
    "a name twice": (
        IDENTITY,
        'name: "m_1" } instance_group {',
        "",
        [
            '4:47: info: another group already has the name "m_1" [instance-names-equal]',
            "  Set name to a unique value.",
        ],
    ),
    "no devices": (IDENTITY, "secondary_devices [ ]", "", []),
    "devices": (
        IDENTITY,
        "secondary_devices [ { kind: KIND_NVDLA } ]",
        "",
        [
            (
                '4:18: info: secondary_devices has no effect because the backend "identity" never asks for it '
                "[secondary-devices]"
            ),
            "  Remove secondary_devices.",
        ],
    ),
    "a profile without a backend": ("", 'profile: "0"', "", []),
    "GPUs of KIND_MODEL": (
        IDENTITY,
        "kind: KIND_MODEL gpus: [ 0, 2 ]",
        "",
        [
            "4:43: error: a KIND_MODEL group cannot list gpus, but this one lists [ 0, 2 ] [kind-model-with-gpus]",
            "  Remove gpus: the model chooses its own devices.",
        ],
    ),
    "resources": (
        IDENTITY,
        'rate_limiter { resources [ { name: "R" count: 1 }, { name: "R" count: 2 }, { name: "" }, { } ] }',
        "",
        [
            "4:31: info: rate_limiter has no effect unless rate limiting is on [rate-limiter-ignored]",
            "  Start the server with `--rate-limit=execution_count`.",
            '4:77: warning: resource "R" is already listed: count 2 replaces count 1 [rate-resource-twice]',
            "  Remove one of the two entries.",
            "4:101: warning: the resource has no name [rate-resource-name-empty]",
            "  Set name to what the instances compete for.",
            "4:107: warning: the resource has no name [rate-resource-name-empty]",
            "  Set name to what the instances compete for.",
        ],
    ),
    "a resource three times": (
        IDENTITY,
        'rate_limiter { resources [ { name: "R" count: 1 }, { name: "R" count: 2 }, { name: "R" count: 3 } ] }',
        "",
        [
            "4:31: info: rate_limiter has no effect unless rate limiting is on [rate-limiter-ignored]",
            "  Start the server with `--rate-limit=execution_count`.",
            '4:77: warning: resource "R" is already listed: count 2 replaces count 1 [rate-resource-twice]',
            "  Remove one of the two entries.",
            '4:101: warning: resource "R" is already listed: count 3 replaces count 2 [rate-resource-twice]',
            "  Remove one of the two entries.",
        ],
    ),
}


@tabled(("head", "groups", "options", "said"), WORDS.values(), ids=WORDS)
def test_messages_and_hints(head: str, groups: str, options: str, said: list[str]) -> None:
    text = f"{head.strip()}\n{IO}instance_group {{ {groups} }}\n"
    found = judged({"m/config.pbtxt": of_text(text), "m/1/weights": of_text("")}, options).diagnostics
    lines = [line for d in found if d.rule in FAMILY for line in str(d).splitlines()]
    assert [line.removeprefix("m/config.pbtxt:") for line in lines] == said


def test_a_broken_config_does_not_count_for_the_resources_of_others() -> None:
    limiter = 'instance_group {{ rate_limiter {{ resources {{ name: "R" {} }} }} }}\n'
    configs = {
        "a": IDENTITY + IO,
        "b": IDENTITY + limiter.format("global: true") + "foo: 1\n",
        "c": IDENTITY + IO + limiter.format("") + limiter.format(""),
        "d": IDENTITY + IO + limiter.format("global: true"),
    }
    found = judged({f"{name}/config.pbtxt": of_text(text) for name, text in configs.items()}).diagnostics
    assert [f"{d.at}: {d.message}" for d in found if d.rule == "rate-resource-global-and-device"] == [
        'd/config.pbtxt:4:43: resource "R" is global here but device-specific in model "c"'
    ]


FOUR = {
    "several groups": ("kind: KIND_GPU gpus: [ 0 ]", "kind: KIND_GPU gpus: [ 3, 1 ]"),
    "of any kind": ("gpus: [ 3 ]", "kind: KIND_AUTO gpus: 2"),
    "with what no machine has": ("gpus: 3", "kind: KIND_GPU gpus: [ 64 ]", "kind: KIND_GPU gpus: [ -1, 2147483647 ]"),
}


@pytest.mark.parametrize("listed", FOUR.values(), ids=FOUR)
def test_if_nobody_says_how_many_gpus_there_are_the_configs_do(listed: tuple[str, ...]) -> None:
    """All models of a repository are for one machine."""
    both = {"a": IO + IDENTITY, "b": IO + IDENTITY + "".join(f"instance_group {{ {each} }}\n" for each in listed)}
    tree = {f"{name}/config.pbtxt": of_text(text) for name, text in both.items()}
    tree |= {f"{name}/1/weights": of_text("") for name in both}
    found = repository.read(tree, repository.target())
    assert {found.target.gpus, *(model.target.gpus for model in found.models.values())} == {4}
    bad = [verdict.rule for verdict in judge(found).verdicts if verdict.rule]
    assert bad == ["kind-gpu-bad-id"][: "64" in "".join(listed)]
    for said in (Said(gpus=1), Said(gpus=3)):
        assert judge(repository.read(tree, repository.target(record=said))).verdicts[1].rule
    assert repository.read({**tree}, repository.target(Said(gpus=8))).target.gpus == 8


def test_without_a_gpu_in_the_configs_there_is_one() -> None:
    found = repository.read({"m/config.pbtxt": of_text(IO + IDENTITY + "instance_group { }\n")}, repository.target())
    assert (found.target.gpus, found.target.gpus_said) == (1, False)


FIXES = {
    "KIND_CPU on one line": ("kind-cpu-with-gpus", "{ kind: KIND_CPU gpus: [0] }", "{ kind: KIND_CPU }", "unsafe"),
    "several gpus": ("kind-cpu-with-gpus", "{ gpus: 0, gpus: 1; kind: KIND_CPU }", "{ kind: KIND_CPU }", "unsafe"),
    "angle brackets": ("kind-model-with-gpus", "<kind: KIND_MODEL,gpus: [0, 1]>", "<kind: KIND_MODEL,>", "safe"),
    "lines with comments": (
        "kind-model-with-gpus",
        "{\r\n  gpus: [\r\n    0,\r\n    1\r\n  ]  # both\r\n  # the model's\r\n  kind: KIND_MODEL\r\n}",
        "{\r\n  # both\r\n  # the model's\r\n  kind: KIND_MODEL\r\n}",
        "safe",
    ),
    "two groups of a list": (
        "kind-cpu-with-gpus",
        "[ { kind: KIND_CPU gpus: 0 }, { kind: KIND_CPU }, { kind: KIND_CPU, gpus: [ 1 ] } ]",
        "[ { kind: KIND_CPU }, { kind: KIND_CPU }, { kind: KIND_CPU, } ]",
        "unsafe",
    ),
    "a group without a kind": ("kind-auto-gpus-not-usable", "{ count: 2 gpus: [ 0 ] }", "{ count: 2 }", "unsafe"),
    "a profile": ("profile-not-tensorrt", "{ profile: ['0',\n'1'] profile: '2' # two\n}", "{ # two\n}", "safe"),
    "a count": ("instance-count-not-positive", "{count:-3;kind: KIND_CPU}", "{count:1;kind: KIND_CPU}", "unsafe"),
    "counts of several groups": (
        "instance-count-not-positive",
        "[ { count: 0 }, { count: 2 }, { count: -0x1 # none\n } ]",
        "[ { count: 1 }, { count: 2 }, { count: 1 # none\n } ]",
        "unsafe",
    ),
}


@tabled(("rule", "bad", "good", "safe"), FIXES.values(), ids=FIXES)
def test_a_fix_keeps_the_rest_of_the_group(rule: str, bad: str, good: str, safe: str) -> None:
    head = f"{IDENTITY}{IO}instance_group "
    assert mended(rule, head + bad) == (safe, head + good)


def test_a_count_becomes_the_default_of_the_backend() -> None:
    head = f"{ONNX}{IO}instance_group {{ kind: KIND_CPU count: "
    assert mended("instance-count-not-positive", f"{head}0 }}\n") == ("unsafe", f"{head}2 }}\n")
