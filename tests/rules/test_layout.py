"""Corner cases of what lies where in a repository; what the server says was seen on Triton 24.10."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import pytest

from tests.pages import judged
from tritonrepo.diagnostics import State
from tritonrepo.repository import read, target
from tritonrepo.rules import RULES, judge
from tritonrepo.tree import Directory, Entry, Link, Unreadable, of_text

IO = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] } output { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
CONFIG = 'backend: "identity"\n' + IO
FAMILY = {name for name, rule in RULES.items() if ".rules.layout." in rule.check.__module__}
NO_VERSION = "at least one version must be available under the version policy of model 'm'"
NO_BACKEND = (
    "Invalid model name: Could not determine backend for model 'm' with no backend in model configuration. "
    "Expected model name of the form 'model.<backend_name>'."
)
STOLL = "server ended: stoll"
OPEN = "failed to open text file for read m/config.pbtxt"
DANGLING, FORBIDDEN, LOCKED = Unreadable.DANGLING, Unreadable.FORBIDDEN, Unreadable.LOCKED
STRICT = "--no-auto-complete"


class Case(NamedTuple):
    """Paths below the model m, with the config's text unless it is None; what is said above `info`; the reason."""

    name: str
    config: str | None
    files: Iterable[str] = ("1/weights",)
    said: Sequence[str] = ()
    reason: str = ""
    odd: Sequence[tuple[str, Entry]] = ()
    options: str = ""


def tree(case: Case) -> dict[str, Entry]:
    """Give the case's repository; a path that ends with `/` is an empty directory."""
    found: dict[str, Entry] = {}
    if case.config is not None:
        found["m/config.pbtxt"] = of_text(case.config)
    for path in case.files:
        found[f"m/{path}".rstrip("/")] = Directory() if path.endswith("/") else of_text("x")
    return found | {f"m/{path}".rstrip("/"): entry for path, entry in case.odd}


VERSIONS = [
    Case("one", CONFIG),
    Case("an empty one", CONFIG, ["1/"]),
    Case("the largest", CONFIG, ["9223372036854775807/x"]),
    Case(
        "one more ends the server", CONFIG, ["9223372036854775808/x"], ["version-overflow m/9223372036854775808"], STOLL
    ),
    Case("the smallest", CONFIG, ["-9223372036854775808/x"], ["version-negative m/-9223372036854775808"]),
    Case("300 digits", CONFIG, ["1/x", f"{'9' * 300}/x"], [f"version-overflow m/{'9' * 300}"], STOLL),
    Case("300 zeros are passed over", CONFIG, ["1/x", f"{'0' * 300}/x"], [f"version-leading-zero m/{'0' * 300}"]),
    Case("300 zeros behind a sign are 1", CONFIG, [f"+{'0' * 200}1/x"], [f"version-partial-number m/+{'0' * 200}1"]),
    Case("blanks before", CONFIG, [" 4/x"], ["version-partial-number m/ 4"]),
    Case("a tail", CONFIG, ["1.0/x"], ["version-partial-number m/1.0"]),
    Case("hex begins with a 0", CONFIG, ["0x1/x"], ["no-version-available m"], NO_VERSION),
    Case("another script's digits", CONFIG, ["١/x"], ["no-version-available m"], NO_VERSION),
    Case("minus 0", CONFIG, ["-0/x"], ["version-partial-number m/-0"]),
    Case("0", CONFIG, ["0/x"], ["version-zero m/0"]),
    Case("two of one number", CONFIG, ["1/x", "1_old/x"], ["version-number-collision m/1_old"]),
    Case(
        "two of one number, none plain",
        CONFIG,
        ["1_a/x", "1_b/x"],
        ["version-partial-number m/1_a", "version-number-collision m/1_b"],
    ),
    Case("+1 goes before 1 in bytes", CONFIG, ["+1/x", "1/x"], ["version-number-collision m/+1"]),
    Case("a version that is meant", CONFIG, ["1/x", "v2/x"], ["version-not-a-number m/v2"]),
    Case("others are not", CONFIG, ["1/x", "assets/x", ".git/x", "venv/x", "reviews/x"]),
    Case("reserved names", CONFIG, ["1/x", "warmup/x", "initial_state/x", "configs/x"]),
    Case("reserved names alone", CONFIG, ["warmup/x"], ["no-version-available m"], NO_VERSION),
    Case("a file", CONFIG, ["1"], ["no-version-available m"], NO_VERSION),
    Case("nothing", CONFIG, [], ["no-version-available m"], NO_VERSION),
    Case("a link out", CONFIG, [], odd=[("1", Link("/srv"))]),
    Case("one that we may not list", CONFIG, [], ["unreadable-file-or-directory m/1"], odd=[("1", LOCKED)]),
    Case("no version, no fault of the text", CONFIG + "foo: 1", [], [], "3:4: "),
]

POLICY = CONFIG + "version_policy { "
POLICIES = [
    Case("latest of more than there are", POLICY + "latest { num_versions: 4294967295 } }"),
    Case("latest 0", POLICY + "latest { num_versions: 0 } }", said=["policy-latest-zero 3:41"], reason=NO_VERSION),
    Case("latest of nothing", POLICY + "latest { } }", said=["policy-latest-zero 3:25"], reason=NO_VERSION),
    Case("specific, named again and again", POLICY + "specific { versions: 1 versions: [ 1 ] } }", said=[
        "policy-specific-duplicate 3:53",
    ]),
    Case("specific, not there", POLICY + "specific { versions: [ 3, 2 ] } }", said=[
        "policy-specific-none-present 3:41",
    ], reason=NO_VERSION),
    Case("specific, one not there", POLICY + "specific { versions: [ 3, 1 ] } }", said=[
        "policy-specific-version-missing 3:41",
    ]),
    Case("specific, not there and named twice: taken for present", POLICY + "specific { versions: [ 7, 7 ] } }", said=[
        "policy-specific-duplicate 3:44",
    ]),
    Case("specific 01 does not match a decimal 1", POLICY + "specific { versions: [ 01 ] } }"),
    Case("an empty list", POLICY + "specific { versions: [ ] } }", said=["policy-specific-empty 3:27"],
         reason=NO_VERSION),
    Case("none at all", CONFIG, ["1/x", "2/x"]),
    Case("empty", POLICY + "}", ["1/x", "2/x"], ["policy-empty-means-all 3:16"]),
    Case("nothing to choose from, and nothing chosen", POLICY + "latest { } }", [], [
        "no-version-available m", "policy-latest-zero 3:25",
    ], NO_VERSION),
]  # fmt: skip

BACKENDS = [
    Case("a model.py", IO, ["1/model.py"]),
    Case(
        "no config, without completion",
        None,
        ["1/model.py"],
        ["config-missing-strict m"],
        f"{OPEN}: No such file or directory",
        options=STRICT,
    ),
    Case(
        "a config of another name, without completion",
        None,
        ["1/model.py", "config.pbtx"],
        ["config-missing-strict m/config.pbtx"],
        f"{OPEN}: No such file or directory",
        options=STRICT,
    ),
    Case(
        "a config that is a dangling link, without completion",
        None,
        ["1/model.py"],
        ["config-missing-strict m/config.pbtxt"],
        OPEN,
        [("config.pbtxt", DANGLING)],
        STRICT,
    ),
    Case(
        "and with completion",
        None,
        ["1/model.py"],
        ["dangling-link-in-model-directory m/config.pbtxt"],
        "failed to stat file m/config.pbtxt",
        [("config.pbtxt", DANGLING)],
    ),
    Case(
        "a config in the version directory",
        None,
        ["1/model.py", "1/config.pbtxt"],
        ["config-in-version-directory m/1/config.pbtxt"],
    ),
    Case("that of a model which has one is no matter", CONFIG, ["1/model.py", "1/config.pbtxt", "config.pbtxt.bak"]),
    Case("an unknown file", IO, ["1/model.bin"], ["backend-not-inferable m/config.pbtxt"], NO_BACKEND),
    Case("an empty config", "", ["1/"], ["backend-not-inferable m/config.pbtxt"], NO_BACKEND),
    Case(
        "the first directory is another",
        IO,
        [".git/x", "1/model.py"],
        ["extra-directory-hides-model-file m/.git"],
        NO_BACKEND,
    ),
    Case("it sorts behind", IO, ["1/model.py", "__x__/y", "configs/x"]),
    Case(
        "the first version is another", IO, ["10/x", "2/model.py"], ["backend-not-inferable m/config.pbtxt"], NO_BACKEND
    ),
    Case("the first directory may have anything", IO, [], odd=[("1", Link("/srv"))]),
    Case("a directory model.pt", IO, ["1/model.pt/x"], ["backend-not-inferable m/config.pbtxt"], NO_BACKEND),
    Case("a file model.savedmodel", IO, ["1/model.savedmodel"], ["backend-not-inferable m/config.pbtxt"], NO_BACKEND),
    Case(
        "a dangling model.plan is looked at",
        IO,
        [],
        ["dangling-link-in-model-directory m/1/model.plan"],
        "failed to stat file m/1/model.plan",
        [("1/model.plan", DANGLING)],
    ),
    Case(
        "a dangling model.plan beside a model.savedmodel is not",
        IO,
        ["1/model.savedmodel/x"],
        odd=[("1/model.plan", DANGLING)],
    ),
    Case("a written backend looks at none", CONFIG, ["1/x"], odd=[("1/model.plan", DANGLING)]),
    Case(
        "the file is beside the config",
        CONFIG,
        ["model.onnx"],
        ["model-files-not-in-version-directory m/model.onnx"],
        NO_VERSION,
    ),
    Case("and no backend", IO, ["model.onnx"], ["model-files-not-in-version-directory m/model.onnx"], NO_BACKEND),
    Case("beside and within", IO, ["model.py", "1/model.py"]),
]

LABEL = CONFIG[: -len(" }\n")] + " label_filename: "
MISSING = "failed to open text file for read m/labels.txt: No such file or directory"
LABELS = [
    Case("there", LABEL + '"labels.txt" }', ["1/x", "labels.txt"]),
    Case("with a / before", LABEL + '"/labels.txt" }', ["1/x", "labels.txt"]),
    Case("in a directory", LABEL + '"./a/../a/labels.txt" }', ["1/x", "a/labels.txt"]),
    Case("missing", LABEL + '"labels.txt" }', ["1/x"], ["label-file-missing 2:125"], MISSING),
    Case("in the version directory", LABEL + '"labels.txt" }', ["1/labels.txt"], ["label-file-missing 2:125"], MISSING),
    Case("behind a link out", LABEL + '"a/labels.txt" }', odd=[("a", Link("/srv"))]),
    Case("empty is none", LABEL + '"" }'),
    Case(
        "the model itself ends the server",
        LABEL + '"." }',
        said=["label-file-is-directory 2:125"],
        reason="server ended: basic_string",
    ),
    Case(
        "beside the models, where there is nothing",
        LABEL + '"../labels.txt" }',
        said=["label-file-missing 2:125"],
        reason="failed to open text file for read m/../labels.txt: No such file or directory",
    ),
    Case("out of the model and in again, for an older server", LABEL + '"../m/l.txt" }', ["1/weights", "l.txt"]),
    Case("out of the repository", LABEL + '"../../labels.txt" }'),
    Case(
        "through a directory that is not there",
        LABEL + '"2/../l.txt" }',
        ["1/weights", "l.txt"],
        said=["label-file-missing 2:125"],
        reason="failed to open text file for read m/2/../l.txt: No such file or directory",
    ),
    Case(
        "through a file",
        LABEL + '"l.txt/a" }',
        ["1/weights", "l.txt"],
        said=["label-file-missing 2:125"],
        reason="failed to open text file for read m/l.txt/a: Not a directory",
    ),
    Case(
        "the repository itself",
        LABEL + '".." }',
        said=["label-file-is-directory 2:125"],
        reason="server ended: basic_string::_M_replace_aux",
    ),
    Case(
        "outside",
        LABEL + '"/../m2/labels.txt" }',
        said=["label-file-outside-model 2:125"],
        reason="label file path 'm/../m2/labels.txt' for output 'OUT' in model 'm' is outside model directory",
        options="--release 26.02",
    ),
    Case(
        "another's fault comes first",
        'name: "n"\n' + LABEL + '"labels.txt" }',
        said=["name-differs-from-directory 1:7", "label-file-missing 3:125"],
        reason="unexpected directory name 'm' for model 'n', directory name must equal model name",
    ),
]


def place(path: str, line: int, column: int) -> str:
    """Give a place as the tables write it: line and column in the config, or a path."""
    return f"{line}:{column}" if line else path


@pytest.mark.parametrize("case", [*VERSIONS, *POLICIES, *BACKENDS, *LABELS], ids=lambda case: case.name)
def test_a_model(case: Case) -> None:
    found = judged(tree(case), case.options)
    loud = [d for d in found.diagnostics if d.rule in FAMILY and RULES[d.rule].severity != "info"]
    assert sorted(f"{d.rule} {place(*d.at)}" for d in loud) == sorted(case.said)
    (verdict,) = found.verdicts
    if case.reason:
        assert verdict.server_reason.startswith(case.reason)
    else:
        assert verdict.rule not in FAMILY


NAMES = {
    ".git": "stray-directory-at-repository-root",
    "lost+found": "stray-directory-at-repository-root",
    "m.onnx": "stray-directory-at-repository-root",
}


@pytest.mark.parametrize(("name", "rule"), NAMES.items(), ids=NAMES)
def test_a_directory_that_is_no_model_has_one_fault(name: str, rule: str) -> None:
    for options in ("", STRICT):
        found = judged({f"{name}/HEAD": of_text("x")}, options)
        assert [d.rule for d in found.diagnostics] == [rule]
        assert found.verdicts[0].rule == rule


@pytest.mark.parametrize("entry", [Link("/srv"), LOCKED], ids=["a link out", "one that we may not list"])
def test_a_model_that_cannot_be_looked_into_is_not_refused(entry: Entry) -> None:
    found = judged({"m": entry})
    assert found.verdicts[0].verdict is State.READY
    assert {d.rule for d in found.diagnostics} <= {"config-symbolic-link", "unreadable-file-or-directory"}
    assert found.diagnostics


def test_a_config_that_cannot_be_read_is_not_judged() -> None:
    found = judged({"m/config.pbtxt": FORBIDDEN, "m/v1/x": of_text("x")})
    assert [d.rule for d in found.diagnostics] == ["unreadable-file-or-directory"]


@pytest.mark.parametrize(
    ("entry", "state"),
    [(Directory(), State.CRASH), (Link("/srv"), State.CRASH), (Unreadable.FIFO, State.HANG)],
    ids=["a directory", "a link to one", "a FIFO"],
)
def test_a_config_that_is_no_file_ends_or_blocks_the_server(entry: Entry, state: State) -> None:
    found = judged({"m/config.pbtxt": entry, "m/v1/x": of_text("x")})
    assert found.verdicts[0].verdict is state


def test_a_dangling_link_at_the_top_refuses_every_model() -> None:
    repository = read(
        {"m/config.pbtxt": of_text(CONFIG), "m/1/x": of_text("x"), "old": DANGLING}, target("24.10"), "/r/"
    )
    (verdict,) = judge(repository).verdicts
    assert (verdict.verdict, verdict.server_reason) == (State.REFUSED, "failed to stat file /r/old")


def test_what_the_server_says_has_the_repositorys_path() -> None:
    repository = read({"m/1/model.py": of_text("x")}, target("24.10", auto_complete=False), "/r/")
    reason = judge(repository).verdicts[0].server_reason
    assert reason == "failed to open text file for read /r/m/config.pbtxt: No such file or directory"
