"""Corner cases of repository layout; what the server says was seen on Triton 24.10."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pytest

from tests.pages import DATA, judged
from tests.tabled import tabled
from tritonrepo.diagnostics import Span, State
from tritonrepo.repository import Said, read, target
from tritonrepo.rules import RULES, judge
from tritonrepo.tree import Directory, Entry, Link, Outside, Unreadable, of_bytes, of_text

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
PLAIN = (DATA / "onnx" / "plain.onnx").read_bytes()


class Case(NamedTuple):
    """Paths below the model m, the config's text if any; what is reported above `info`, or all of it; the reason."""

    name: str
    config: str | None
    files: Iterable[str] = ("1/weights",)
    said: Sequence[str] = ()
    reason: str = ""
    odd: Sequence[tuple[str, Entry]] = ()
    options: str = ""


def tree(case: Case) -> dict[str, Entry]:
    """Return the case's repository; a path that ends with `/` is an empty directory."""
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
        "one more crashes the server",
        CONFIG,
        ["9223372036854775808/x"],
        ["version-overflow m/9223372036854775808"],
        STOLL,
    ),
    Case("the smallest", CONFIG, ["-9223372036854775808/x"], ["version-negative m/-9223372036854775808"]),
    Case("300 digits", CONFIG, ["1/x", f"{'9' * 300}/x"], [f"version-overflow m/{'9' * 300}"], STOLL),
    Case("what versions share is no version", CONFIG, ["1/x", "012345678901234567890/x"], []),
    Case(
        "a digit less than what versions share",
        CONFIG,
        ["1/x", f"0{19 * '1'}/x"],
        [f"version-leading-zero m/0{19 * '1'}"],
    ),
    Case(
        "a digit more than what versions share",
        CONFIG,
        ["1/x", f"0{21 * '1'}/x"],
        [f"version-leading-zero m/0{21 * '1'}"],
    ),
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
    Case("a link that is not followed", CONFIG, [], odd=[("1", Link("/srv"))]),
    Case("one that we may not list", CONFIG, [], ["unreadable-file-or-directory m/1"], odd=[("1", LOCKED)]),
    Case(
        "a link to nothing beside a fault of the text",
        CONFIG + "foo: 1",
        ["1/x"],
        ["dangling-link-in-model-directory m/a"],
        "3:4: ",
        [("a", DANGLING)],
    ),
    Case("no version, no fault of the text", CONFIG + "foo: 1", [], [], "3:4: "),
]

POLICY = CONFIG + "version_policy { "
POLICIES = [
    Case("latest of more than there are", POLICY + "latest { num_versions: 4294967295 } }"),
    Case("latest 0", POLICY + "latest { num_versions: 0 } }", said=["policy-latest-zero 3:41"], reason=NO_VERSION),
    Case("latest of nothing", POLICY + "latest { } }", said=["policy-latest-zero 3:25"], reason=NO_VERSION),
    Case("specific, listed repeatedly", POLICY + "specific { versions: 1 versions: [ 1 ] } }", said=[
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
    Case("that of a model which has one does not matter", CONFIG, ["1/model.py", "1/config.pbtxt", "config.pbtxt.bak"]),
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
    Case("behind a link that is not followed", LABEL + '"a/labels.txt" }', odd=[("a", Link("/srv"))]),
    Case("empty is none", LABEL + '"" }'),
    Case(
        "the model itself crashes the server",
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
        "a file as if it were a directory",
        LABEL + '"l.txt/" }',
        ["1/weights", "l.txt"],
        said=["label-file-missing 2:125"],
        reason="failed to open text file for read m/l.txt/: Not a directory",
    ),
    Case("up to a NUL", LABEL + '"l.txt\\000x" }', ["1/weights", "l.txt"]),
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


def output(name: str, labels: str) -> str:
    """Return an output with a label file."""
    return f'output {{ name: "{name}" data_type: TYPE_FP32 dims: [ 4 ] label_filename: "{labels}" }} '


def environment(value: str, backend: str = "python") -> str:
    """Return a config with an EXECUTION_ENV_PATH."""
    return f'backend: "{backend}"\n{IO}parameters {{ key: "EXECUTION_ENV_PATH" value {{ {value} }} }}'


WORDS = [
    Case(
        "versions by the names that people give them",
        CONFIG,
        ["v2/x", "v3/x"],
        [
            "m: error: the model has no version directory [no-version-available]",
            "  Rename v2 to 2. Version directories have numeric names.",
        ],
        NO_VERSION,
    ),
    Case(
        "leading zeros alone",
        CONFIG,
        ["01/x", "02/x"],
        [
            "m: error: the model has no version directory [no-version-available]",
            "  Rename 01 to 1. Triton ignores names with a leading zero.",
        ],
        NO_VERSION,
    ),
    Case(
        "versions that are files",
        CONFIG,
        ["1", "2", "README"],
        [
            "m: error: the model has no version directory [no-version-available]",
            "  Replace the file 1 with a directory of that name, and put the model's files in it.",
        ],
        NO_VERSION,
    ),
    Case(
        "files without a version",
        CONFIG,
        ["README"],
        [
            "m: error: the model has no version directory [no-version-available]",
            "  Create a directory 1, and put the model's files in it.",
        ],
        NO_VERSION,
    ),
    Case(
        "a version that is named twice and taken for present",
        POLICY + "specific { versions: [ 7, 7 ] } }",
        [],
        [
            "m/config.pbtxt:3:44: warning: version 7 is listed twice [policy-specific-duplicate]",
            "  Remove the duplicate.",
        ],
        "",
    ),
    Case(
        "neither backend nor version",
        IO,
        [],
        [
            "m/config.pbtxt: error: backend is missing, and no file identifies it [backend-not-inferable]",
            "  Set backend to the backend that runs the model.",
        ],
        NO_BACKEND,
    ),
    Case(
        "odd names beside a version",
        CONFIG,
        ["1/x", "01/x", "00/x", "v0/x", "v2.3/x", "latest/x", "2_old/x", "2_older/x", "-3/x", "0/x"],
        [
            "m/-3: warning: version -3 loads, but no request can select it [version-negative]",
            "  Rename it to 1 or higher.",
            "m/0: warning: version 0 is served, but versions should start at 1 [version-zero]",
            "  Rename it to 1 or higher.",
            "m/00: warning: Triton ignores 00 because of its leading zero [version-leading-zero]",
            "m/01: warning: Triton ignores 01 because of its leading zero [version-leading-zero]",
            "  Rename it to 1.",
            (
                'm/2_old: warning: "2_old" counts as version 2, but the backend looks for its files in 2/ '
                "[version-partial-number]"
            ),
            "  Rename it to 2, or to a name that does not start with a number.",
            'm/2_older: warning: "2_older" counts as version 2, but "2_old" already does [version-number-collision]',
            "  Rename it to a name that does not start with a number.",
            (
                "m/config.pbtxt: info: the model has 4 versions, but only version 2 is served "
                "[older-versions-not-served]"
            ),
            (
                "m/latest: warning: Triton ignores latest because a version directory must have a numeric name "
                "[version-not-a-number]"
            ),
            "  Rename it to the next version number.",
            (
                "m/v0: warning: Triton ignores v0 because a version directory must have a numeric name "
                "[version-not-a-number]"
            ),
            "  Rename it to the next version number.",
            (
                "m/v2.3: warning: Triton ignores v2.3 because a version directory must have a numeric name "
                "[version-not-a-number]"
            ),
            "  Rename it to 2.",
        ],
        "",
    ),
    Case(
        "a config of another name, and no backend",
        None,
        ["Config.pbtxt", "1/x"],
        [
            ("m: error: Triton does not read Config.pbtxt, and no file identifies the backend [backend-not-inferable]"),
            "  Move it to m/config.pbtxt.",
        ],
        NO_BACKEND,
    ),
    Case(
        "a config in the version directory, and no backend",
        None,
        ["1/config.pbtxt", "1/x"],
        [
            (
                "m: error: Triton does not read 1/config.pbtxt, and no file identifies the backend "
                "[backend-not-inferable]"
            ),
            "  Move it to m/config.pbtxt.",
        ],
        NO_BACKEND,
    ),
    Case(
        "a config in the version directory, without completion",
        None,
        ["1/config.pbtxt", "1/model.py"],
        [
            "m/1/config.pbtxt: error: config.pbtxt is missing [config-missing-strict]",
            "  Move 1/config.pbtxt next to the version directory.",
        ],
        "failed to open text file for read m/config.pbtxt: No such file or directory",
        (),
        STRICT,
    ),
    Case(
        "a config of another name",
        None,
        ["config.pbtxt.txt", "1/model.py"],
        [
            (
                'm: info: config.pbtxt is missing, so the backend "python" completes an empty config '
                "[model-without-config-loads-silently]"
            ),
            "  Create it to keep the inputs and outputs stable.",
            (
                "m/config.pbtxt.txt: warning: Triton does not read config.pbtxt.txt because its name is not "
                "config.pbtxt [config-misnamed]"
            ),
            "  Rename it to config.pbtxt.",
        ],
        "",
    ),
    Case(
        "no config, and what makes one up",
        None,
        ["1/model.py"],
        [
            (
                'm: info: config.pbtxt is missing, so the backend "python" completes an empty config '
                "[model-without-config-loads-silently]"
            ),
            "  Create it to keep the inputs and outputs stable.",
        ],
        "",
    ),
    Case(
        "nothing that makes one up",
        None,
        ["1/x", "model.py"],
        [
            "m: error: backend is missing, and no file identifies it [backend-not-inferable]",
            "  Set backend to the backend that runs the model.",
        ],
        NO_BACKEND,
    ),
    Case(
        "links to nothing beside the config that is missing",
        None,
        ["1/model.py"],
        [
            "m: error: config.pbtxt is missing [config-missing-strict]",
            "  Create it, or serve with auto-complete enabled.",
            'm/a: error: "a" is a dangling symbolic link [dangling-link-in-model-directory]',
            "  Fix or remove the link.",
            'm/z: error: "z" is a dangling symbolic link [dangling-link-in-model-directory]',
            "  Fix or remove the link.",
        ],
        "failed to open text file for read m/config.pbtxt: No such file or directory",
        [("a", DANGLING), ("z", DANGLING)],
        STRICT,
    ),
    Case(
        "a link to nothing of a name that no backend has",
        IO,
        ["1/x"],
        [
            "m/config.pbtxt: error: backend is missing, and no file identifies it [backend-not-inferable]",
            "  Set backend to the backend that runs the model.",
        ],
        NO_BACKEND,
        [("1/other", DANGLING)],
    ),
    Case("a dangling model.onnx is taken for one", IO, [], [], "", [("1/model.onnx", DANGLING)]),
    Case(
        "a dangling model.savedmodel is asked for",
        IO,
        ["1/x"],
        [
            (
                'm/1/model.savedmodel: error: "1/model.savedmodel" is a dangling symbolic link '
                "[dangling-link-in-model-directory]"
            ),
            "  Fix or remove the link.",
            "m/config.pbtxt: error: backend is missing, and no file identifies it [backend-not-inferable]",
            "  Set backend to the backend that runs the model.",
        ],
        "failed to stat file m/1/model.savedmodel",
        [("1/model.savedmodel", DANGLING)],
    ),
    Case(
        "a dangling model.plan before a model.py",
        IO,
        ["1/model.py"],
        [
            'm/1/model.plan: error: "1/model.plan" is a dangling symbolic link [dangling-link-in-model-directory]',
            "  Fix or remove the link.",
        ],
        "failed to stat file m/1/model.plan",
        [("1/model.plan", DANGLING)],
    ),
    Case(
        "a dangling model file behind the first directory",
        IO,
        ["2/model.py"],
        [
            (
                'm/config.pbtxt: warning: version directory 2 identifies the backend as "python", but version 3 is '
                "served [inference-from-first-version-only]"
            ),
            '  Set backend to "tensorrt", which 3/model.plan identifies.',
            (
                "m/config.pbtxt: info: the model has 2 versions, but only version 3 is served "
                "[older-versions-not-served]"
            ),
        ],
        "",
        [("3/model.plan", DANGLING)],
    ),
    Case(
        "a dangling model file in the first directory of three",
        IO,
        ["1/model.py", "3/x"],
        [
            'm/1/model.plan: error: "1/model.plan" is a dangling symbolic link [dangling-link-in-model-directory]',
            "  Fix or remove the link.",
            (
                "m/config.pbtxt: info: the model has 3 versions, but only version 3 is served "
                "[older-versions-not-served]"
            ),
        ],
        "failed to stat file m/1/model.plan",
        [("1/model.plan", DANGLING), ("2/model.plan", DANGLING)],
    ),
    Case(
        "a model.pt2 before there was one", IO, ["1/model.py"], [], "", [("1/model.pt2", DANGLING)], "--release 26.02"
    ),
    Case(
        "a model.pt2 once there is one",
        IO,
        ["1/model.py"],
        [
            'm/1/model.pt2: error: "1/model.pt2" is a dangling symbolic link [dangling-link-in-model-directory]',
            "  Fix or remove the link.",
        ],
        "failed to stat file m/1/model.pt2",
        [("1/model.pt2", DANGLING)],
        "--release 26.03",
    ),
    Case("sockets that are no config", CONFIG, ["1/x"], [], "", [("a", Unreadable.SOCKET), ("z", Unreadable.DEVICE)]),
    Case(
        "a config that is a socket",
        None,
        ["1/x"],
        [
            (
                'm/config.pbtxt: warning: "config.pbtxt" is a socket, so what the server does with it is unknown '
                "[unreadable-file-or-directory]"
            ),
            "  Replace it with a file.",
        ],
        "",
        [("config.pbtxt", Unreadable.SOCKET)],
    ),
    Case(
        "a first version without the file",
        IO,
        ["10/x", "2/model.py", "3/x"],
        [
            (
                "m/config.pbtxt: error: backend is missing, and version directory 10, the first in byte order, has "
                "no model.py [backend-not-inferable]"
            ),
            '  Set backend to "python", which 2/model.py identifies.',
            (
                "m/config.pbtxt: info: the model has 3 versions, but only version 10 is served "
                "[older-versions-not-served]"
            ),
        ],
        NO_BACKEND,
    ),
    Case(
        "a served version behind a directory that hides it",
        IO,
        [".git/x", "1/model.py", "2/model.onnx"],
        [
            (
                "m/.git: error: backend is missing, and .git sorts before 2, whose model.onnx would identify it "
                "[extra-directory-hides-model-file]"
            ),
            '  Set backend to "onnxruntime", or remove .git.',
            (
                "m/config.pbtxt: info: the model has 2 versions, but only version 2 is served "
                "[older-versions-not-served]"
            ),
        ],
        NO_BACKEND,
    ),
    Case(
        "the same without completion",
        IO,
        [".git/x", "1/model.py"],
        [
            (
                "m/.git: error: backend is missing, and .git sorts before 1, whose model.py would identify it "
                "[extra-directory-hides-model-file]"
            ),
            '  Set backend to "python", or remove .git.',
        ],
        NO_BACKEND,
        (),
        STRICT,
    ),
    Case(
        "a file of a backend that is not inferred",
        IO,
        ["1/x", "1/checkpoint.tl"],
        [
            "m/config.pbtxt: error: backend is missing, and no file identifies it [backend-not-inferable]",
            '  Set backend to "fil".',
        ],
        NO_BACKEND,
    ),
    Case(
        "a directory that does not count",
        IO,
        ["1/model.plan/x"],
        [
            "m/config.pbtxt: error: backend is missing, and no file identifies it [backend-not-inferable]",
            '  Set backend to "tensorrt". model.plan is a directory and does not identify it.',
        ],
        NO_BACKEND,
    ),
    Case(
        "a file of a known extension",
        IO,
        ["1/net.onnx"],
        [
            "m/config.pbtxt: error: backend is missing, and no file identifies it [backend-not-inferable]",
            '  Set backend to "onnxruntime" and default_model_filename to "net.onnx".',
        ],
        NO_BACKEND,
    ),
    Case(
        "a file without extension",
        IO,
        ["1/onnx.net"],
        [
            "m/config.pbtxt: error: backend is missing, and no file identifies it [backend-not-inferable]",
            "  Set backend to the backend that runs the model.",
        ],
        NO_BACKEND,
    ),
    Case(
        "an ensemble without a platform",
        IO + "ensemble_scheduling { }",
        ["1/x"],
        [
            "m/config.pbtxt: error: backend is missing, and no file identifies it [backend-not-inferable]",
            '  Set platform to "ensemble".',
        ],
        NO_BACKEND,
    ),
    Case(
        "versions of two kinds, the earlier first",
        IO,
        ["1/model.onnx", "2/model.py"],
        [
            (
                'm/config.pbtxt: warning: version directory 1 identifies the backend as "onnxruntime", but version '
                "2 is served [inference-from-first-version-only]"
            ),
            '  Set backend to "python", which 2/model.py identifies.',
            (
                "m/config.pbtxt: info: the model has 2 versions, but only version 2 is served "
                "[older-versions-not-served]"
            ),
        ],
        "",
    ),
    Case(
        "versions of two kinds, the later first",
        IO,
        ["1/model.py", "2/model.onnx"],
        [
            (
                'm/config.pbtxt: warning: version directory 1 identifies the backend as "python", but version 2 is '
                "served [inference-from-first-version-only]"
            ),
            '  Set backend to "onnxruntime", which 2/model.onnx identifies.',
            (
                "m/config.pbtxt: info: the model has 2 versions, but only version 2 is served "
                "[older-versions-not-served]"
            ),
        ],
        "",
    ),
    Case(
        "versions of two kinds, served the other way",
        IO + "version_policy { specific { versions: [ 2 ] } }",
        ["10/model.py", "2/model.onnx"],
        [
            (
                'm/config.pbtxt: warning: version directory 10 identifies the backend as "python", but version 2 '
                "is served [inference-from-first-version-only]"
            ),
            '  Set backend to "onnxruntime", which 2/model.onnx identifies.',
        ],
        "",
    ),
    Case(
        "versions of two kinds, with a backend",
        'backend: "python"\n' + IO,
        ["1/model.py", "2/model.onnx"],
        [
            (
                "m/config.pbtxt: info: the model has 2 versions, but only version 2 is served "
                "[older-versions-not-served]"
            ),
        ],
        "",
    ),
    Case(
        "versions of one kind",
        IO,
        ["1/model.py", "2/model.py"],
        [
            (
                "m/config.pbtxt: info: the model has 2 versions, but only version 2 is served "
                "[older-versions-not-served]"
            ),
        ],
        "",
    ),
    Case(
        "a version of no kind",
        IO,
        ["1/model.py", "2/x"],
        [
            (
                "m/config.pbtxt: info: the model has 2 versions, but only version 2 is served "
                "[older-versions-not-served]"
            ),
        ],
        "",
    ),
    Case(
        "a directory that should be a file",
        IO,
        ["1/model.plan/x", "1/model.py", "2/model.py"],
        [
            (
                "m/1/model.plan: warning: model.plan is not a file, so it does not identify the backend "
                "[known-model-file-wrong-type]"
            ),
            '  Set backend to "tensorrt" or "python".',
            (
                "m/config.pbtxt: info: the model has 2 versions, but only version 2 is served "
                "[older-versions-not-served]"
            ),
        ],
        "",
    ),
    Case(
        "a file that should be a directory",
        IO,
        ["1/model.savedmodel", "1/model.py"],
        [
            (
                "m/1/model.savedmodel: warning: model.savedmodel is not a directory, so it does not identify the "
                "backend [known-model-file-wrong-type]"
            ),
            '  Set backend to "tensorflow" or "python".',
        ],
        "",
    ),
    Case("one that may be either", IO, ["1/model.onnx/x"], [], ""),
    Case(
        "a directory model.pt2 before there was one", IO, ["1/model.pt2/x", "1/model.py"], [], "", (), "--release 26.02"
    ),
    Case(
        "a directory model.pt2 once there is one",
        IO,
        ["1/model.pt2/x", "1/model.py"],
        [
            (
                "m/1/model.pt2: warning: model.pt2 is not a file, so it does not identify the backend "
                "[known-model-file-wrong-type]"
            ),
            '  Set backend to "pytorch" or "python".',
        ],
        "",
        (),
        "--release 26.03",
    ),
    Case(
        "labels elsewhere in the model",
        LABEL + '"labels.txt" }',
        ["1/x", "a/aaa", "a/labels.txt", "a/zzz"],
        [
            'm/config.pbtxt:2:125: error: label file "labels.txt" does not exist in m/ [label-file-missing]',
            '  Move a/labels.txt to m/labels.txt, or set label_filename to "a/labels.txt".',
        ],
        "failed to open text file for read m/labels.txt: No such file or directory",
    ),
    Case(
        "labels beside the directory that is named",
        LABEL + '"a/labels.txt" }',
        ["1/x", "labels.txt"],
        [
            'm/config.pbtxt:2:125: error: label file "a/labels.txt" does not exist in m/ [label-file-missing]',
            '  Move labels.txt to m/a/labels.txt, or set label_filename to "labels.txt".',
        ],
        "failed to open text file for read m/a/labels.txt: No such file or directory",
    ),
    Case(
        "labels behind a directory that is not there",
        LABEL + '"2/../l.txt" }',
        ["1/x", "l.txt"],
        [
            'm/config.pbtxt:2:125: error: label file "2/../l.txt" does not exist in m/ [label-file-missing]',
            '  Set label_filename to "l.txt".',
        ],
        "failed to open text file for read m/2/../l.txt: No such file or directory",
    ),
    Case(
        "labels in a directory, confined",
        LABEL + '"." }',
        ["1/weights"],
        [
            (
                'm/config.pbtxt:2:125: error: label file "." is a directory, which crashes the server '
                "[label-file-is-directory]"
            ),
            "  Set label_filename to a file.",
        ],
        "server ended: basic_string::_M_replace_aux",
        (),
        "--release 26.02",
    ),
    Case(
        "labels of a name that sorts before the dots, confined",
        LABEL + '"-l" }',
        ["1/x", "-l"],
        [],
        "",
        (),
        "--release 26.02",
    ),
    Case(
        "labels beside the models, confined",
        LABEL + '".." }',
        ["1/weights"],
        [
            'm/config.pbtxt:2:125: error: label file ".." is outside m/ [label-file-outside-model]',
            "  Move the file next to config.pbtxt, and set label_filename to its name.",
        ],
        "label file path 'm/..' for output 'OUT' in model 'm' is outside model directory",
        (),
        "--release 26.02",
    ),
    Case(
        "labels: a directory before what is missing",
        CONFIG + output("A", ".") + output("B", "l"),
        ["1/weights"],
        [
            (
                'm/config.pbtxt:3:69: error: label file "." is a directory, which crashes the server '
                "[label-file-is-directory]"
            ),
            "  Set label_filename to a file.",
            'm/config.pbtxt:3:143: error: label file "l" does not exist in m/ [label-file-missing]',
            "  Create m/l.",
        ],
        "server ended: basic_string::_M_replace_aux",
    ),
    Case(
        "labels: what is missing before what is outside",
        CONFIG + output("A", "l") + output("B", "../../l"),
        ["1/weights"],
        [
            'm/config.pbtxt:3:69: error: label file "l" does not exist in m/ [label-file-missing]',
            "  Create m/l.",
            'm/config.pbtxt:3:143: error: label file "../../l" is outside m/ [label-file-outside-model]',
            "  Move the file next to config.pbtxt, and set label_filename to its name.",
        ],
        "failed to open text file for read m/l: No such file or directory",
        (),
        "--release 26.02",
    ),
    Case(
        "labels: twice before a directory",
        CONFIG + output("A", "l") + output("A", "l") + output("C", "."),
        ["1/x", "l"],
        [
            'm/config.pbtxt:3:143: error: output "A" already has a label file [duplicate-output-label]',
            "  Remove one of the two label_filename fields.",
            (
                'm/config.pbtxt:3:217: error: label file "." is a directory, which crashes the server '
                "[label-file-is-directory]"
            ),
            "  Set label_filename to a file.",
        ],
        "multiple label files for 'A'",
    ),
    Case(
        "several versions, none of them there",
        POLICY + "specific { versions: [ 3, 5 ] } }",
        ["1/x", "2/x"],
        [
            "m/config.pbtxt:3:41: error: selected versions 3, 5 do not exist [policy-specific-none-present]",
            "  Select an existing version: 1, 2.",
        ],
        NO_VERSION,
    ),
    Case(
        "no version named, with versions",
        POLICY + "specific { } }",
        ["10/x", "2/x"],
        [
            ("m/config.pbtxt:3:27: error: specific lists no versions, so no version is served [policy-specific-empty]"),
            "  Set versions to `[2, 10]`.",
        ],
        NO_VERSION,
    ),
    Case(
        "no version named, without versions",
        POLICY + "specific { } }",
        [],
        [
            "m: error: the model has no version directory [no-version-available]",
            "  Create a directory 1, and put the model's files in it.",
            ("m/config.pbtxt:3:27: error: specific lists no versions, so no version is served [policy-specific-empty]"),
        ],
        NO_VERSION,
    ),
    Case(
        "three versions of which one is served",
        CONFIG,
        ["1/x", "10/x", "9/x"],
        [
            (
                "m/config.pbtxt: info: the model has 3 versions, but only version 10 is served "
                "[older-versions-not-served]"
            ),
        ],
        "",
    ),
    Case(
        "three versions of which two are served",
        POLICY + "latest { num_versions: 2 } }",
        ["1/x", "2/", "3/"],
        [
            "m/2: info: version 2 has no files [empty-version-directory]",
            "m/3: info: version 3 has no files [empty-version-directory]",
        ],
        "",
    ),
    Case("one version served", POLICY + "latest { num_versions: 1 } }", ["1/x"], [], ""),
    Case(
        "a version named three times",
        POLICY + "specific { versions: [ 1, 1, 1 ] } }",
        ["1/weights"],
        [
            "m/config.pbtxt:3:44: warning: version 1 is listed twice [policy-specific-duplicate]",
            "  Remove the duplicate.",
        ],
        "",
    ),
    Case(
        "a file that the config names",
        CONFIG + 'default_model_filename: "w.bin"',
        ["a.bin", "w.bin"],
        [
            (
                "m/w.bin: error: w.bin is not in a version directory, and the model has none "
                "[model-files-not-in-version-directory]"
            ),
            "  Move it to m/1/w.bin.",
        ],
        NO_VERSION,
    ),
    Case(
        "a model file two levels down",
        None,
        ["a/b/model.py"],
        [
            (
                'm: error: "m" holds no model, but Triton treats every top-level directory as a model '
                "[stray-directory-at-repository-root]"
            ),
            "  Move it out of the repository.",
        ],
        NO_BACKEND,
    ),
    Case(
        "a model file one level down",
        None,
        ["a/model.py"],
        [
            (
                'm: info: config.pbtxt is missing, so the backend "python" completes an empty config '
                "[model-without-config-loads-silently]"
            ),
            "  Create it to keep the inputs and outputs stable.",
            "m: error: the model has no version directory [no-version-available]",
            "  Create a directory 1, and put the model's files in it.",
        ],
        NO_VERSION,
    ),
    Case(
        "a config two levels down",
        None,
        ["a/config.pbtxt"],
        [
            (
                'm: error: "m" holds no model, but Triton treats every top-level directory as a model '
                "[stray-directory-at-repository-root]"
            ),
            "  Use m as a repository. Triton looks for models only at the top of one.",
        ],
        NO_BACKEND,
    ),
    Case(
        "an environment that is missing",
        environment('string_value: "$$TRITON_MODEL_DIRECTORY/e.tar.gz"'),
        ["1/model.py"],
        [
            (
                'm/config.pbtxt:3:62: error: the Python environment "e.tar.gz" does not exist in m/ '
                "[execution-env-missing]"
            ),
            "  Copy the packed environment to m/e.tar.gz.",
        ],
        "Failed to get the canonical path for m/e.tar.gz.",
    ),
    Case(
        "an environment that is there",
        environment('string_value: "$$TRITON_MODEL_DIRECTORY/e"'),
        ["1/model.py", "e/bin/activate"],
        [],
        "",
    ),
    Case(
        "an environment that is a directory",
        environment('string_value: "$$TRITON_MODEL_DIRECTORY/e"'),
        ["1/model.py", "e/bin"],
        [
            "m/config.pbtxt:3:62: error: e/bin/activate does not exist in m/ [execution-env-not-activated]",
            "  Use an environment packed by conda-pack, or a directory with one unpacked in it.",
        ],
        "Path m/e/bin/activate does not exist. The Python environment should contain an 'activate' script.",
    ),
    Case(
        "an environment unpacked in a directory",
        environment('string_value: "$$TRITON_MODEL_DIRECTORY/e"'),
        ["1/model.py", "e/bin/activate"],
        [],
        "",
    ),
    Case(
        "an environment beside others",
        environment('string_value: "$$TRITON_MODEL_DIRECTORY/e"'),
        ["1/model.py", "d", "e2/x", "f"],
        [
            'm/config.pbtxt:3:62: error: the Python environment "e" does not exist in m/ [execution-env-missing]',
            "  Copy the packed environment to m/e.",
        ],
        "Failed to get the canonical path for m/e.",
    ),
    Case(
        "an environment that is the model itself",
        environment('string_value: "$$TRITON_MODEL_DIRECTORY/."'),
        ["1/model.py"],
        [
            "m/config.pbtxt:3:62: error: bin/activate does not exist in m/ [execution-env-not-activated]",
            "  Use an environment packed by conda-pack, or a directory with one unpacked in it.",
        ],
        "Path m/bin/activate does not exist. The Python environment should contain an 'activate' script.",
    ),
    Case(
        "an environment of a name before a dot",
        environment('string_value: "$$TRITON_MODEL_DIRECTORY/-e"'),
        ["1/model.py"],
        [
            'm/config.pbtxt:3:62: error: the Python environment "-e" does not exist in m/ [execution-env-missing]',
            "  Copy the packed environment to m/-e.",
        ],
        "Failed to get the canonical path for m/-e.",
    ),
    Case(
        "an environment that is a link to nothing",
        environment('string_value: "$$TRITON_MODEL_DIRECTORY/e"'),
        ["1/model.py"],
        [
            'm/config.pbtxt:3:62: error: the Python environment "e" does not exist in m/ [execution-env-missing]',
            "  Copy the packed environment to m/e.",
            'm/e: error: "e" is a dangling symbolic link [dangling-link-in-model-directory]',
            "  Fix or remove the link.",
        ],
        "failed to stat file m/e",
        [("e", DANGLING)],
    ),
    Case(
        "an environment behind a link that is not followed",
        environment('string_value: "$$TRITON_MODEL_DIRECTORY/a/e"'),
        ["1/model.py"],
        [
            'm/a: info: "a" is a link to /srv, which is not followed [config-symbolic-link]',
        ],
        "",
        [("a", Link("/srv"))],
    ),
    Case(
        "an environment beside the model",
        environment('string_value: "$$TRITON_MODEL_DIRECTORY/../e"'),
        ["1/model.py"],
        [],
        "",
    ),
    Case(
        "an environment on the server",
        environment('string_value: "/opt/e.tar.gz"'),
        ["1/model.py"],
        [
            (
                'm/config.pbtxt:3:62: info: "/opt/e.tar.gz" must exist on the server\'s machine and was not checked '
                "[execution-env-elsewhere]"
            ),
            "  Copy it next to config.pbtxt and use $$TRITON_MODEL_DIRECTORY/e.tar.gz to ship it with the model.",
        ],
        "",
    ),
    Case(
        "an environment of another backend", environment('string_value: "/opt/e.tar.gz"', "identity"), ["1/x"], [], ""
    ),
    Case(
        "an environment that is missing, of another backend",
        environment('string_value: "$$TRITON_MODEL_DIRECTORY/e"', "identity"),
        ["1/x"],
        [],
        "",
    ),
    Case("an environment that is empty", environment('string_value: ""'), ["1/model.py"], [], ""),
    Case("an environment without a text", environment(""), ["1/model.py"], [], ""),
    Case("no environment", 'backend: "python"\n' + IO + 'parameters { key: "X" value { } }', ["1/model.py"], [], ""),
    Case(
        "versions there, in the order of their numbers",
        POLICY + "specific { versions: [ 3 ] } }",
        ["10/x", "2/x"],
        [
            "m/config.pbtxt:3:41: error: selected version 3 does not exist [policy-specific-none-present]",
            "  Select an existing version: 2, 10.",
        ],
        NO_VERSION,
    ),
    Case(
        "negative numbers with a tail",
        CONFIG,
        ["1/x", "-01/x", "-2x/x"],
        [
            (
                'm/-01: warning: "-01" counts as version -1, but the backend looks for its files in -1/ '
                "[version-partial-number]"
            ),
            "  Rename it to -1, or to a name that does not start with a number.",
            (
                'm/-2x: warning: "-2x" counts as version -2, but the backend looks for its files in -2/ '
                "[version-partial-number]"
            ),
            "  Rename it to -2, or to a name that does not start with a number.",
            (
                "m/config.pbtxt: info: the model has 3 versions, but only version 1 is served "
                "[older-versions-not-served]"
            ),
        ],
        "",
    ),
]


def place(at: Span) -> str:
    """Return a place as the tables write it: line and column in the config, or a path."""
    return f"{at.line}:{at.column}" if at.line else at.path


@tabled("case", [*VERSIONS, *POLICIES, *BACKENDS, *LABELS], ids=lambda case: case.name)
def test_a_model(case: Case) -> None:
    found = judged(tree(case), case.options)
    loud = [d for d in found.diagnostics if d.rule in FAMILY and RULES[d.rule].severity != "info"]
    assert sorted(f"{d.rule} {place(d.at)}" for d in loud) == sorted(case.said)
    (verdict,) = found.verdicts
    if case.reason:
        assert verdict.server_reason.startswith(case.reason)
    else:
        assert verdict.rule not in FAMILY


@tabled("case", WORDS, ids=lambda case: case.name)
def test_every_message_about_a_model(case: Case) -> None:
    found = judged(tree(case), case.options)
    assert [line for d in found.diagnostics if d.rule in FAMILY for line in str(d).splitlines()] == list(case.said)
    (verdict,) = found.verdicts
    assert (verdict.server_reason if verdict.rule in FAMILY else "") == case.reason


NAMES = {
    ".git": "stray-directory-at-repository-root",
    "lost+found": "stray-directory-at-repository-root",
    "m.onnx": "stray-directory-at-repository-root",
}


@pytest.mark.parametrize(("name", "rule"), NAMES.items(), ids=NAMES)
def test_a_directory_that_is_not_a_model_has_one_fault(name: str, rule: str) -> None:
    for options in ("", STRICT):
        found = judged({f"{name}/HEAD": of_text("x")}, options)
        assert [d.rule for d in found.diagnostics] == [rule]
        assert found.verdicts[0].rule == rule


@pytest.mark.parametrize("name", ["weights", "model.py", "model.onnx"])
def test_a_model_named_as_a_repository_gets_a_hint(name: str) -> None:
    found = judged({"config.pbtxt": of_text(CONFIG), f"1/{name}": of_text("x")})
    (error,) = [d for d in found.diagnostics if RULES[d.rule].severity == "error"]
    assert error.hint == "If the repository is itself a model, name its parent directory."


@pytest.mark.parametrize(
    "entry", [Link("/srv"), LOCKED], ids=["a link that is not followed", "one that we may not list"]
)
def test_a_model_that_cannot_be_read_is_not_refused(entry: Entry) -> None:
    found = judged({"m": entry})
    assert found.verdicts[0].verdict is State.READY
    assert {d.rule for d in found.diagnostics} <= {"config-symbolic-link", "unreadable-file-or-directory"}
    assert found.diagnostics


OUT = [("m", Outside("/srv")), ("m/config.pbtxt", Outside("/srv/c", directory=False)), ("m/1", Outside("/srv/1"))]


@pytest.mark.parametrize(("path", "entry"), OUT, ids=[path for path, _ in OUT])
def test_a_model_with_a_link_out_is_not_judged_whatever_else_is_wrong(path: str, entry: Entry) -> None:
    found = judged({"m/config.pbtxt": of_text("max_batch_size: x"), path: entry})
    assert (found.verdicts[0].verdict, found.verdicts[0].rule) == (State.NOT_JUDGED, "link-leaves-repository")
    assert "link-leaves-repository" in {d.rule for d in found.diagnostics}


@pytest.mark.parametrize(
    ("step", "state"), [('model_name: "m"', State.NOT_JUDGED), ('model_name: "nowhere"', State.REFUSED)]
)
def test_an_ensemble_is_refused_only_for_its_own_faults(step: str, state: State) -> None:
    io = 'input { name: "I" data_type: TYPE_FP32 dims: [ 1 ] } output { name: "O" data_type: TYPE_FP32 dims: [ 1 ] }'
    maps = 'input_map { key: "A" value: "I" } output_map { key: "B" value: "O" }'
    text = f'platform: "ensemble" {io} ensemble_scheduling {{ step {{ {step} model_version: 7 {maps} }} }}'
    found = judged(
        {"e/config.pbtxt": of_text(text), "e/1": Directory(), "m/config.pbtxt": Outside("/c", directory=False)}
    )
    assert {verdict.model: verdict.verdict for verdict in found.verdicts} == {"e": state, "m": State.NOT_JUDGED}


def test_a_config_that_cannot_be_read_is_not_judged() -> None:
    found = judged({"m/config.pbtxt": FORBIDDEN, "m/v1/x": of_text("x")})
    assert [d.rule for d in found.diagnostics] == ["unreadable-file-or-directory"]


@pytest.mark.parametrize(
    ("entry", "state"),
    [(Directory(), State.CRASH), (Link("/srv"), State.CRASH), (Unreadable.FIFO, State.HANG)],
    ids=["a directory", "a link to one", "a FIFO"],
)
def test_a_config_that_is_not_a_file_crashes_or_hangs_the_server(entry: Entry, state: State) -> None:
    found = judged({"m/config.pbtxt": entry, "m/v1/x": of_text("x")})
    assert found.verdicts[0].verdict is state


def test_a_dangling_link_at_the_top_refuses_every_model() -> None:
    repository = read(
        {"m/config.pbtxt": of_text(CONFIG), "m/1/x": of_text("x"), "old": DANGLING}, target(Said("24.10")), "/r/"
    )
    (verdict,) = judge(repository).verdicts
    assert (verdict.verdict, verdict.server_reason) == (State.REFUSED, "failed to stat file /r/old")


def test_what_the_server_says_has_the_repositorys_path() -> None:
    repository = read({"m/1/model.py": of_text("x")}, target(Said("24.10", auto_complete=False)), "/r/")
    reason = judge(repository).verdicts[0].server_reason
    assert reason == "failed to open text file for read /r/m/config.pbtxt: No such file or directory"


def test_a_dangling_model_file_is_reported_while_the_server_still_looks_for_one() -> None:
    before = judged(tree(Case("", IO, ["1/model.py"], odd=[("1/model.plan", DANGLING)])))
    assert [verdict.rule for verdict in before.verdicts] == ["dangling-link-in-model-directory"]
    behind = judged(tree(Case("", IO, [], odd=[("1/model.onnx", of_bytes(PLAIN)), ("1/model.pt", DANGLING)])))
    assert [verdict.rule for verdict in behind.verdicts] == [""]


UNREAD = {
    "a YAML file": ({"m/m-config.yaml": "a: 1"}, ["m-config.yaml"]),
    "in capitals": ({"m/CONFIG.YML": ""}, ["CONFIG.YML"]),
    "two files": ({"m/config.toml": "", "m/my.config.ini": ""}, ["config.toml", "my.config.ini"]),
    "a manifest": ({"m/deployment.yaml": ""}, []),
    "another kind of file": ({"m/config.json": "", "m/config.txt": "", "m/config": ""}, []),
    "a file of a version": ({"m/1/config.yaml": ""}, []),
    "a directory": ({"m/config.yaml/x": ""}, []),
    "a name with a line break": ({"m/config\n.yaml": ""}, ["config\n.yaml"]),
}
HALF = 'input { name: "I" data_type: TYPE_FP32 dims: [ 1 ] }\noutput { name: "O" data_type: TYPE_FP32 dims: [ 1 ] }\n'


@tabled(("files", "unread"), UNREAD.values(), ids=UNREAD)
def test_files_that_look_like_configs(files: Mapping[str, str], unread: list[str]) -> None:
    for backend, expected in (("pytorch", unread), ("python", [])):
        found = {path: of_text(text) for path, text in files.items()}
        found |= {"m/config.pbtxt": of_text(f'backend: "{backend}"\n{HALF}'), "m/1/model.py": of_text("")}
        said = [each.at.path for each in judged(found).diagnostics if each.rule == "settings-file-not-read"]
        assert said == [f"m/{name}" for name in expected]


def test_a_file_that_the_config_names_may_be_read() -> None:
    named = 'parameters { key: "settings" value { string_value: "/models/m/config.yaml" } }'
    found = {"m/config.pbtxt": of_text(f'backend: "pytorch"\n{HALF}{named}'), "m/config.yaml": of_text("")}
    assert "settings-file-not-read" not in {each.rule for each in judged(found).diagnostics}


def test_files_of_a_project_next_to_the_models_are_not_told() -> None:
    names = [".gitignore", "README.md", "LICENSE", "Dockerfile", "compose.yaml", "run.sh", "client.py", "try.ipynb"]
    names += ["requirements.txt", "config.pbtxt", "model.onnx", "model.py"]
    found = judged({name: of_text("") for name in names}).diagnostics
    assert [each.at.path for each in found if each.rule == "file-at-repository-root"] == names[-3:]
