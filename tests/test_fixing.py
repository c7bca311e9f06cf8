"""`validate --fix` and `--diff`: what is changed on the disk, what is said, and what no fix touches."""

from __future__ import annotations

import json
import os
import shlex
from pathlib import Path

import jsonschema
import pytest

from tests.pages import files, sections
from tests.test_json import SCHEMAS
from tests.test_patch import apply, contents, on_disk, written
from tritonrepo.cli import run
from tritonrepo.diagnostics import Diagnostic, Fix, Replacement, Severity, Span, Stop
from tritonrepo.flows import fixing
from tritonrepo.flows.validate import Aim, Examined, Shown, examine
from tritonrepo.flows.workspace import Workspace
from tritonrepo.rules import RULES
from tritonrepo.tree import Directory, Link, Tree, Unreadable

TARGET = ["--release", "24.10", "--gpus", "0"]
CPU = b'backend: "identity"  # \xff\r\ninstance_group { kind: KIND_CPU gpus: [ 0 ] }\r\n'
REST = b"input { name: 'I' data_type: TYPE_FP32 dims: 4 }\noutput { name: 'O' data_type: TYPE_FP32 dims: 4 }"
MODELS = {
    "m/config.pbtxt": CPU + REST,
    "m/1/weights": b"",
    "n/Config.pbtxt": b'backend: "python"\n' + REST,
    "n/1/model.py": b"class TritonPythonModel:\n    def execute(self, requests):\n        return [None]\n",
    "good/config.pbtxt": b'backend: "identity"\n' + REST,
    "good/1/weights": b"",
}
FIXED = {name: text for name, text in MODELS.items() if name != "n/Config.pbtxt"} | {
    "n/config.pbtxt": MODELS["n/Config.pbtxt"],
}
UNSAFE = {**FIXED, "m/config.pbtxt": CPU.replace(b" gpus: [ 0 ]", b"") + REST}
CPU_RULE = "m/config.pbtxt:2:41: error: a KIND_CPU group cannot list gpus, but this one lists [ 0 ]"


@pytest.fixture
def models(inside: Path) -> Path:
    """A repository in the working directory: a model with a safe fix, one with an unsafe fix, and a good one."""
    written(inside / "models", MODELS)
    return inside / "models"


def states(top: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in top.rglob("*")}


def validate(*options: str) -> int:
    return run(["validate", "models", *TARGET, *options])


def test_what_can_be_fixed_is_counted(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert validate() == 1
    said = capsys.readouterr()
    assert said.err == "1 fixable with --fix, 1 more with --fix --unsafe-fixes\n"
    assert on_disk(models) == MODELS
    assert validate("--select", "kind-cpu-with-gpus") == 1
    assert capsys.readouterr().err == "1 fixable with --fix --unsafe-fixes\n"


def test_safe_fixes_are_written_and_the_rest_is_shown(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = states(models)
    assert validate("--fix") == 1
    said = capsys.readouterr()
    assert said.err == ""
    assert said.out.startswith(f"models/{CPU_RULE}")
    assert said.out.endswith("3 models: 1 error\n1 fixed, 1 remaining; 1 more with --unsafe-fixes\n")
    assert on_disk(models) == FIXED
    after = states(models)
    assert {path for path in before | after if before.get(path) != after.get(path)} == {
        str(models / "n" / name) for name in ("Config.pbtxt", "config.pbtxt", ".")
    }


def test_unsafe_fixes_are_written_too_and_a_second_run_writes_nothing(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert validate("--fix", "--unsafe-fixes") == 0
    assert capsys.readouterr().out == "3 models: no problems found\n2 fixed, 0 remaining\n"
    assert on_disk(models) == UNSAFE
    before = states(models)
    assert validate("--fix", "--unsafe-fixes") == 0
    assert capsys.readouterr().out.endswith("\n0 fixed, 0 remaining\n")
    assert states(models) == before


HIDING = {
    "settings": '[per-path."m/*"]\nignore = ["kind-cpu-with-gpus"]\n[per-path."n/*"]\nignore = ["config-misnamed"]\n',
    "a baseline": 'baseline = "known.json"\n',
}


@pytest.mark.parametrize("settings", HIDING.values(), ids=HIDING)
def test_what_settings_or_a_baseline_hide_is_not_fixed(
    models: Path, capsys: pytest.CaptureFixture[str], settings: str
) -> None:
    assert validate("--write-baseline", "models/known.json") == 0
    (models / ".tritonrepo.toml").write_text(settings)
    before = on_disk(models)
    capsys.readouterr()
    assert validate("--diff", "--unsafe-fixes") == 0
    assert capsys.readouterr() == ("", "")
    assert validate("--fix", "--unsafe-fixes") == 0
    assert on_disk(models) == before


def test_only_what_is_shown_is_fixed(models: Path) -> None:
    config = models / "m" / "config.pbtxt"
    config.write_bytes(b"# tritonrepo: ignore[kind-cpu-with-gpus] a reason\n" + config.read_bytes())
    before = on_disk(models)
    assert validate("--fix", "--unsafe-fixes", "--ignore", "config-misnamed") == 0
    assert on_disk(models) == before


@pytest.mark.usefixtures("models")
def test_the_document_counts_what_was_fixed(capsys: pytest.CaptureFixture[str]) -> None:
    assert validate("--fix", "--format", "json") == 1
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, json.loads((SCHEMAS / "validate.schema.json").read_text("utf-8")))
    assert document["summary"]["fixed"] == 1
    assert [each["rule"] for each in document["diagnostics"]] == ["kind-cpu-with-gpus"]
    assert validate("--format", "json") == 1
    assert "fixed" not in json.loads(capsys.readouterr().out)["summary"]


def test_a_patch_does_what_fixes_do_and_nothing_is_written_for_it(
    models: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert validate("--diff", "--unsafe-fixes") == 1
    said = capfdbinary.readouterr()
    assert said.err == b"2 fixable, 0 would remain\n"
    assert on_disk(models) == MODELS
    apply(models.parent, said.out.decode("utf-8", "surrogateescape"))
    assert on_disk(models) == UNSAFE
    assert validate("--diff", "--unsafe-fixes") == 0
    assert capfdbinary.readouterr() == (b"", b"")


def test_the_patch_of_an_absolute_path_is_relative_too(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["validate", str(models), *TARGET, "--diff"]) == 1
    assert capsys.readouterr().out.startswith("diff --git a/models/n/Config.pbtxt b/models/n/config.pbtxt\n")
    monkeypatch.chdir(models / "n")
    assert run(["validate", "..", *TARGET, "--diff"]) == 1
    assert f" b{models}/n/config.pbtxt\n".replace(str(models / "n") + "/", "/") in capsys.readouterr().out


WRONG = {
    "both": (["--fix", "--diff"], "--fix and --diff cannot be combined"),
    "unsafe fixes of nothing": (["--unsafe-fixes"], "--unsafe-fixes needs --fix or --diff"),
    "an upgrade": (["--fix", "--upgrade-to", "24.05"], "--fix and --upgrade-to cannot be combined"),
    "a diff for an upgrade": (["--diff", "--upgrade-to", "24.05"], "--diff and --upgrade-to cannot be combined"),
    "a baseline of a diff": (["--diff", "--write-baseline", "b"], "--diff and --write-baseline cannot be combined"),
    "a file for a diff": (["--diff", "--output", "f"], "--diff and --output cannot be combined"),
    "a document of a diff": (["--diff", "--format", "json"], "--diff and --format json cannot be combined"),
}


@pytest.mark.parametrize(("options", "message"), WRONG.values(), ids=WRONG)
def test_options_that_contradict_each_other(
    models: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert validate(*options) == 2
    assert message in capsys.readouterr().err
    assert on_disk(models) == MODELS


def test_a_bucket_and_what_was_built_are_not_fixed(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "s3://bucket/models", "--fix"]) == 2
    assert "fatal: only repositories on disk can be fixed [fix-refused]" in capsys.readouterr().err
    record = {"schema": 1, "name": "s", "target": {}, "files": {}, "local": {}}
    (models / "tritonrepo.json").write_text(json.dumps(record))
    before = on_disk(models)
    assert validate("--fix") == 2
    said = capsys.readouterr()
    assert "this repository was built, and the next build would undo its fixes [fix-refused]" in said.err
    assert said.out == ""
    assert on_disk(models) == before


def test_nothing_is_written_through_a_link(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "m").rename(models / "real")
    (models / "m").symlink_to("real")
    (models / "shared").write_bytes(MODELS["m/config.pbtxt"])
    (models / "linked" / "1").mkdir(parents=True)
    (models / "linked" / "1" / "weights").touch()
    (models / "linked" / "config.pbtxt").symlink_to("../shared")
    assert validate("--fix", "--unsafe-fixes") == 1
    said = capsys.readouterr().out
    assert (models / "m" / "config.pbtxt").read_bytes() == UNSAFE["m/config.pbtxt"]
    assert (models / "shared").read_bytes() == MODELS["m/config.pbtxt"]
    assert said.count("a link leads to the file [fix-held-back]") == 1
    assert said.endswith("5 models: 1 error, 1 warning\n2 fixed, 1 remaining\n")


def test_a_fix_that_cannot_be_written_is_told_and_not_counted(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = models / "m" / "config.pbtxt"
    config.chmod(0o444)
    assert validate("--fix", "--unsafe-fixes") == 1
    said = capsys.readouterr().out
    assert "models/m/config.pbtxt: error: the fix was not written: the file is read-only [fix-not-written]\n" in said
    assert said.endswith("3 models: 2 errors\n1 fixed, 1 remaining\n")
    assert on_disk(models) == FIXED


WORDS = {b"one": True, b"two": False, b"three": None}
"""Words that a stack file must not have, and whether the fix is safe; the last one has none."""


@pytest.fixture
def stack(inside: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack file that cannot be loaded while it has one of the words."""
    path = inside / "tritonrepo.yaml"

    def made(_: str, work: Workspace, aim: Aim, shown: Shown) -> Examined:
        text = work.contents.get(path.name, path.read_bytes())
        for word, safe in WORDS.items():
            if word in text:
                at = Span(path.name, 1, text.index(word) + 1, 1, text.index(word) + 1 + len(word))
                fix = None if safe is None else Fix((Replacement(at, "ok"),), safe=safe)
                raise Stop([Diagnostic("stack-key", Severity.FATAL, at, f"{word.decode()} is wrong", fix=fix)])
        (inside / "models").mkdir(exist_ok=True)
        return examine("models", work, aim, shown)

    monkeypatch.setattr(fixing, "examine", made)
    return path


def test_a_stack_file_is_fixed_until_it_can_be_loaded(stack: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    stack.write_bytes(b"two one # \xff\r\n")
    assert run(["validate", stack.name, "--diff", "--unsafe-fixes"]) == 1
    assert capfdbinary.readouterr().out.endswith(b"\n-two one # \xff\r\n+ok ok # \xff\r\n")
    assert run(["validate", stack.name, "--fix"]) == 2
    said = capfdbinary.readouterr()
    assert said.out == b"1 fixed, 1 remaining; 1 more with --unsafe-fixes\n"
    assert said.err == b"tritonrepo.yaml:1:1: fatal: two is wrong [stack-key]\n"
    assert stack.read_bytes() == b"two ok # \xff\r\n"
    assert run(["validate", stack.name, "--fix", "--unsafe-fixes"]) == 0
    assert capfdbinary.readouterr().out.endswith(b"\n1 fixed, 0 remaining\n")
    assert stack.read_bytes() == b"ok ok # \xff\r\n"


def test_a_stack_file_that_is_a_link_or_has_other_faults_is_not_changed(
    stack: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack.write_bytes(b"three")
    assert run(["validate", stack.name, "--fix"]) == 2
    assert capsys.readouterr().out == "0 fixed, 1 remaining\n"
    stack.write_bytes(b"one")
    stack.rename("other")
    stack.symlink_to("other")
    assert run(["validate", stack.name, "--fix"]) == 2
    assert "a link leads to the file [fix-held-back]" in capsys.readouterr().err
    assert Path("other").read_bytes() == b"one"


def made(top: Path, tree: Tree) -> None:
    """Write a tree to the disk, with its links and what is not a file."""
    written(top, contents(tree))
    for path, entry in tree.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(entry, Directory):
            (top / path).mkdir(exist_ok=True)
        elif isinstance(entry, Link) or entry is Unreadable.DANGLING:
            (top / path).symlink_to(entry.target if isinstance(entry, Link) else "nowhere")
        elif entry is Unreadable.FIFO:
            os.mkfifo(top / path)


def there(top: Path) -> dict[str, bytes | None]:
    """Return everything on the disk: files with their content."""
    return dict.fromkeys((str(path.relative_to(top)) for path in top.rglob("*")), None) | on_disk(top)


PAGES = {name: page for name, rule in RULES.items() if "Fix" in (page := sections(rule.page))}
SOME = [name for number, name in enumerate(PAGES) if number % 3 == 0]
"""What is done to the disk is the same for all; test_mending.py has the fixes of every page."""


@pytest.mark.parametrize("name", SOME)
def test_the_fixes_of_a_page_change_the_disk_once_and_only_what_they_name(
    name: str, inside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = [word for word in shlex.split(PAGES[name].get("Run with", "")) if "://" not in word]
    top = inside / "models"
    made(top, files(PAGES[name]["Bad"]))
    command = ["validate", "models", *TARGET, *options, "--select", name, "-v"]
    run([*command, "--diff", "--unsafe-fixes"])
    patch = capsys.readouterr().out
    before, untouched = there(top), states(top)
    run([*command, "--fix", "--unsafe-fixes"])
    after = there(top)
    assert after != before
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    assert all(path in patch for path in changed)
    once = states(top)
    kept = {path for path, content in before.items() if content is not None} & after.keys() - changed
    assert all(once[str(top / path)] == untouched[str(top / path)] for path in kept)
    run([*command, "--fix", "--unsafe-fixes"])
    assert states(top) == once
