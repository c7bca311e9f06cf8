"""What fixes make of files and directories that are laid out in other ways than on the rules' pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tests.pages import judged
from tests.tabled import tabled
from tritonrepo.fixes import after, applied
from tritonrepo.tree import Directory, Entry, File, Unreadable, of_text

IO = 'input { name: "IN" data_type: TYPE_FP32 dims: [ 4 ] }\noutput { name: "OUT" data_type: TYPE_FP32 dims: [ 4 ] }\n'
CONFIG = 'backend: "identity"\n' + IO
PYTHON = 'backend: "python"\n' + IO
DANGLING = Unreadable.DANGLING


class Case(NamedTuple):
    """A rule, a model's config, paths below it, those that all its fixes make of them, and whether they are safe.

    None in place of what becomes of the paths: it has no fix. A path that ends with `/` is an empty directory.
    """

    rule: str
    config: str | None
    paths: Sequence[str]
    becomes: Sequence[str] | None
    safe: bool = False
    config_becomes: str | None = None
    odd: Mapping[str, Entry] = {}


def tree(case: Case) -> dict[str, Entry]:
    """Return the case's repository."""
    found: dict[str, Entry] = {
        f"m/{path}".rstrip("/"): Directory() if path.endswith("/") else of_text("x") for path in case.paths
    }
    if case.config is not None:
        found["m/config.pbtxt"] = of_text(case.config)
    return found | {f"m/{path}": entry for path, entry in case.odd.items()}


ZERO, PART, WORD = "version-leading-zero", "version-partial-number", "version-not-a-number"
NONE, NAMED, INSIDE = "no-version-available", "config-misnamed", "config-in-version-directory"
ONNX = ["1/model.onnx"]
UNKNOWN = "backend-not-inferable"
STEPS = 'ensemble_scheduling { step { model_name: "n" model_version: -1 } }\n'
MISPLACED = "model-files-not-in-version-directory"
HIDES, FIRST, LINK = (
    "extra-directory-hides-model-file",
    "inference-from-first-version-only",
    "dangling-link-in-model-directory",
)
LABELED = CONFIG.replace('"OUT"', '"OUT" label_filename: "labels.txt"')
ALL = {
    "a leading zero": Case(ZERO, CONFIG, ["1/x", "02/x", "02/y/z"], ["1/x", "2/x", "2/y/z"]),
    "an empty directory with a leading zero": Case(ZERO, CONFIG, ["1/x", "02/"], ["1/x", "2/"]),
    "a leading zero, and the number": Case(ZERO, CONFIG, ["1/x", "01/x"], None),
    "a leading zero, and a file of that number": Case(ZERO, CONFIG, ["1/x", "02/x", "2"], None),
    "a leading zero, and another name of that number": Case(ZERO, CONFIG, ["1/x", "02/x", "2_a/x"], None),
    "two with leading zeros": Case(ZERO, CONFIG, ["1/x", "02/x", "002/x"], None),
    "two with leading zeros and other numbers": Case(ZERO, CONFIG, ["1/x", "02/x", "03/x"], ["1/x", "2/x", "3/x"]),
    "a leading zero and a tail": Case(ZERO, CONFIG, ["1/x", "02\n::error::x/x"], None),
    "zeros and nothing else": Case(ZERO, CONFIG, ["1/x", "00/x"], None),
    "a leading zero and a number too large": Case(ZERO, CONFIG, ["1/x", f"0{'9' * 19}/x"], None),
    "a leading zero and another script's digits": Case(ZERO, CONFIG, ["1/x", "0١/x"], None),
    "a plus sign": Case(PART, CONFIG, ["+3/x"], ["3/x"], safe=True),
    "a blank": Case(PART, CONFIG, [" 4/x"], ["4/x"], safe=True),
    "a blank behind": Case(PART, CONFIG, ["4 /x"], ["4/x"], safe=True),
    "a point": Case(PART, CONFIG, ["1.0/x"], ["1/x"]),
    "a word": Case(PART, CONFIG, ["1-fp16/x"], ["1/x"]),
    "a word, and a file of the number": Case(PART, CONFIG, ["1-fp16/x", "1"], None),
    "a backup": Case(PART, CONFIG, ["1/x", "2_backup/x"], ["1/x", "backup/x"]),
    "a backup with more": Case(PART, CONFIG, ["1/x", "2-Old.2024/x"], ["1/x", "Old.2024/x"]),
    "a backup, which is the only version": Case(PART, CONFIG, ["2_backup/x"], None),
    "a backup, and a directory of that name": Case(PART, CONFIG, ["1/x", "2_backup/x", "backup/x"], None),
    "two backups": Case(PART, CONFIG, ["1_old/x", "2_bak/x"], None),
    "a backup of an editor": Case(PART, CONFIG, ["1/x", "2~/x"], None),
    "a backup that is the selected version": Case(
        PART, CONFIG + "version_policy { specific { versions: [ 2 ] } }", ["1/x", "2_old/x"], None
    ),
    "a word that begins as one for backups": Case(PART, CONFIG, ["1/x", "2_older/x"], ["1/x", "2/x"]),
    "0 with a tail": Case(PART, CONFIG, ["-0/x"], None),
    "a negative number with a tail": Case(PART, CONFIG, ["-1x/x"], None),
    "two of one number": Case(PART, CONFIG, ["1_a/x", "1_b/x"], ["1/x", "1_b/x"]),
    "weights in a second file": Case(
        MISPLACED,
        'backend: "onnxruntime"\n' + IO,
        ["model.onnx", "model.onnx.data", "README.md", ".cache/x"],
        ["1/model.onnx", "1/model.onnx.data", "README.md", ".cache/x"],
        safe=True,
    ),
    "a directory": Case(
        MISPLACED, PYTHON, ["model.savedmodel/saved_model.pb"], ["1/model.savedmodel/saved_model.pb"], safe=True
    ),
    "a second module": Case(MISPLACED, PYTHON, ["model.py", "tool.py"], ["1/model.py", "1/tool.py"], safe=True),
    "another file": Case(MISPLACED, PYTHON, ["model.py", "vocab.txt"], ["1/model.py", "vocab.txt"]),
    "labels": Case(
        MISPLACED,
        LABELED.replace("identity", "python"),
        ["model.py", "labels.txt"],
        ["1/model.py", "labels.txt"],
        safe=True,
    ),
    "two models": Case(MISPLACED, PYTHON, ["model.py", "model.onnx"], ["1/model.py", "1/model.onnx"]),
    "the file that the config names": Case(
        MISPLACED, PYTHON + 'default_model_filename: "run"', ["run"], ["1/run"], safe=True
    ),
    "a file called 1": Case(MISPLACED, PYTHON, ["model.py", "1"], None),
    "a directory that may be the version": Case(MISPLACED, PYTHON, ["model.py", "v1/x"], None),
    "a version with a leading zero": Case(MISPLACED, PYTHON, ["model.py", "01/x"], None),
    "a version that is not selected": Case(
        MISPLACED, PYTHON + "version_policy { specific { versions: 3 } }", ["model.py"], None
    ),
    "a model without a config": Case(MISPLACED, None, ["model.onnx"], ["1/model.onnx"], safe=True),
    "TensorFlow behind another directory": Case(
        HIDES,
        IO,
        [".git/x", "1/model.graphdef"],
        [".git/x", "1/model.graphdef"],
        safe=True,
        config_becomes='backend: "tensorflow"\nplatform: "tensorflow_graphdef"\n' + IO,
    ),
    "no config behind another directory": Case(
        HIDES, None, [".git/x", "1/model.py"], [".git/x", "1/model.py"], safe=True, config_becomes='backend: "python"\n'
    ),
    "a config of another name behind another directory": Case(
        HIDES, None, [".git/x", "1/model.py", "config.txt"], None
    ),
    "two backends behind another directory": Case(
        HIDES,
        IO,
        [".git/x", "1/model.py", "2/model.onnx"],
        [".git/x", "1/model.py", "2/model.onnx"],
        config_becomes='backend: "onnxruntime"\n' + IO,
    ),
    "versions of two other backends": Case(
        FIRST,
        IO + "version_policy { all { } }",
        ["1/model.py", "2/model.plan", "3/model.onnx"],
        None,
    ),
    "the first version's backend is served as well": Case(
        FIRST, IO + "version_policy { all { } }", ["1/model.py", "2/model.plan"], None
    ),
    "a word and a number": Case(WORD, CONFIG, ["1/x", "v2/x"], ["1/x", "2/x"]),
    "a word and no number": Case(WORD, CONFIG, ["1/x", "latest/x"], None),
    "a word, and the number": Case(WORD, CONFIG, ["1/x", "2/x", "v2/x"], None),
    "a word and a number with a zero, and another": Case(WORD, CONFIG, ["1/x", "v02/x", "release-2/x"], None),
    "a word and a number, and one with a zero": Case(WORD, CONFIG, ["1/x", "v2/x", "02/x"], None),
    "no version, but a word": Case(NONE, CONFIG, ["stable/x"], ["1/x"], safe=True),
    "no version, but a word and a number": Case(NONE, CONFIG, ["v3/x", "doc/x"], ["3/x", "doc/x"], safe=True),
    "no version, but a leading zero": Case(NONE, CONFIG, ["007/x"], ["7/x"], safe=True),
    "no version, but two that may be meant": Case(NONE, CONFIG, ["v1/x", "01/x"], None),
    "no version, but a file of the number": Case(NONE, CONFIG, ["v1/x", "1"], None),
    "no version, and what versions share": Case(NONE, CONFIG, [f"0{20 * '1'}/x"], None),
    "no version that is selected": Case(NONE, CONFIG + "version_policy { specific { versions: 2 } }", ["v1/x"], None),
    "nothing": Case(NONE, CONFIG, [], None),
    "a config without its extension": Case(
        NAMED, None, ONNX, ONNX, safe=True, config_becomes=CONFIG, odd={"config": of_text(CONFIG)}
    ),
    "a backup of the config": Case(
        NAMED, None, ONNX, ONNX, safe=False, config_becomes=CONFIG, odd={"config.pbtxt.bak": of_text(CONFIG)}
    ),
    "a config of another model": Case(
        NAMED,
        None,
        ONNX,
        ONNX,
        config_becomes=f'name: "n" {CONFIG}',
        odd={"config.txt": of_text(f'name: "n" {CONFIG}')},
    ),
    "a config in JSON": Case(NAMED, None, ONNX, None, odd={"config.json": of_text('{"model_type": "bert"}')}),
    "an empty config": Case(NAMED, None, ONNX, None, odd={"config": of_text("# nothing")}),
    "two configs": Case(NAMED, None, ONNX, None, odd={"config": of_text(CONFIG), "m.pbtxt": of_text(CONFIG)}),
    "configs of two versions": Case(
        INSIDE, None, ONNX, None, odd={"1/config.pbtxt": of_text(CONFIG), "2/config.pbtxt": of_text(CONFIG)}
    ),
    "a config of a version": Case(
        INSIDE, None, ONNX, ONNX, safe=True, config_becomes=CONFIG, odd={"1/config.pbtxt": of_text(CONFIG)}
    ),
    "a file of another name": Case(
        UNKNOWN,
        IO,
        ["1/net.onnx"],
        ["1/net.onnx"],
        config_becomes='backend: "onnxruntime"\n' + IO + 'default_model_filename: "net.onnx"\n',
    ),
    "a file of vLLM, and no config": Case(
        UNKNOWN, None, ["1/model.json"], ["1/model.json"], config_becomes='backend: "vllm"\n'
    ),
    "files of two backends": Case(UNKNOWN, IO, ["1/net.onnx", "1/net.plan"], None),
    "a file that may be anything": Case(UNKNOWN, IO, ["1/weights"], None),
    "steps": Case(
        UNKNOWN, f"{STEPS}{IO}", ["1/"], ["1/"], safe=True, config_becomes=f'platform: "ensemble"\n{STEPS}{IO}'
    ),
    "a version that identifies the backend, but not the first": Case(
        UNKNOWN, IO, ["1/x", "2/model.py"], ["1/x", "2/model.py"], config_becomes='backend: "python"\n' + IO
    ),
    "a link": Case(LINK, CONFIG, ["1/x"], ["1/x"], odd={"a b": DANGLING}),
    "a link that the config names": Case(LINK, LABELED, ["1/x"], None, odd={"labels.txt": DANGLING}),
    "a link that should be a version": Case(LINK, CONFIG, ["1/x"], None, odd={"2": DANGLING}),
    "a link in place of the model file": Case(LINK, IO, [], None, odd={"1/model.plan": DANGLING}),
}


@tabled("case", ALL.values(), ids=ALL)
def test_a_layout_is_mended(case: Case) -> None:
    found = [each for each in judged(tree(case)).diagnostics if each.rule == case.rule]
    fixes = [each.fix for each in found if each.fix is not None]
    assert found
    assert bool(fixes) is (case.becomes is not None)
    assert {fix.safe for fix in fixes} <= {case.safe}
    if case.becomes is None:
        return
    mended = after(tree(case), applied(tree(case), fixes).steps)
    assert not [each for each in judged(mended).diagnostics if each.rule == case.rule]
    config = mended.pop("m/config.pbtxt", None)
    content = config.content().decode() if isinstance(config, File) else None
    assert content == (case.config if case.config_becomes is None else case.config_becomes)
    assert set(mended) == {f"m/{path}".rstrip("/") for path in case.becomes}
