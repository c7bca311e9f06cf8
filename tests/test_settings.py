"""Settings: where they are found, what each key does, and what is said of those that cannot be used."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.documents import blocks, commands
from tests.tabled import tabled
from tests.test_bad_inputs import here, state, told
from tests.test_baseline import CONFIG, models
from tritonrepo.cli import run
from tritonrepo.cli.targets import aim
from tritonrepo.diagnostics import Diagnostic, Severity, Span, Stop
from tritonrepo.flows.settings import Source, trusts
from tritonrepo.flows.settled import Plan, Settled, Wanted
from tritonrepo.flows.validate import Judgement
from tritonrepo.flows.workspace import Workspace
from tritonrepo.rules import RULES
from tritonrepo.settings import NAME
from tritonrepo.settings.globs import matches
from tritonrepo.settings.keys import TARGET, TOP, schema
from tritonrepo.settings.read import read
from tritonrepo.settings.toml import parse

__all__ = ["here", "models"]

ABOVE, QUIET = "dynamic-preferred-above-max", "preferred-without-delay"
Findings = Callable[..., tuple[int, list[str], dict[str, Any]]]


@pytest.fixture
def findings(models: Path, capsys: pytest.CaptureFixture[str]) -> Findings:
    """Write settings, and return the exit code, `MODEL severity rule` of each finding, and the summary."""

    def found(settings: str, *options: str, path: str = "models") -> tuple[int, list[str], dict[str, Any]]:
        (models.parent / NAME).write_text(settings, "utf-8")
        code = run(["validate", path, "--format", "json", *options])
        document = json.loads(capsys.readouterr().out)
        said = [f"{each['model']} {each['severity']} {each['rule']}" for each in document["diagnostics"]]
        return code, said, document["summary"]

    return found


BOTH = [f"m error {ABOVE}", f"n error {ABOVE}"]
SETTINGS: dict[str, tuple[str, tuple[str, ...], int, list[str], int]] = {
    "nothing": ("", (), 1, BOTH, 0),
    "ignore": (f'ignore = ["{ABOVE}"]', (), 0, [], 2),
    "ignore a family": ('ignore = ["scheduling"]', (), 0, [], 2),
    "ignore all": ('ignore = ["ALL"]', (), 0, [], 2),
    "select others": ('select = ["vllm"]', (), 0, [], 2),
    "select": ('select = ["dynamic"]', (), 1, BOTH, 0),
    "select on the command line": ('select = ["vllm"]\nignore = ["ALL"]', ("--select", "dynamic"), 1, BOTH, 0),
    "ignore on the command line": ('ignore = ["vllm"]', ("--ignore", "dynamic"), 0, [], 0),
    "none wanted": ('ignore = ["ALL"]', ("--isolated",), 1, BOTH, 0),
    "a warning": (f'[severity]\n{ABOVE} = "warning"', (), 0, [each.replace("error", "warning") for each in BOTH], 0),
    "a strict warning": (
        f'strict = true\n[severity]\n{ABOVE} = "warning"',
        (),
        1,
        [each.replace("error", "warning") for each in BOTH],
        0,
    ),
    "an info": (f'[severity]\n{ABOVE} = "info"', (), 0, [], 0),
    "off": (f'[severity]\n{ABOVE} = "off"', (), 0, [], 2),
    "the narrowest": (f'[severity]\n{ABOVE} = "error"\nALL = "off"\ndynamic = "off"', (), 1, BOTH, 0),
    "raised": (
        f'ignore = ["{ABOVE}"]\n[severity]\n{QUIET} = "error"',
        (),
        1,
        [f"m error {QUIET}", f"n error {QUIET}"],
        2,
    ),
    "a path": ('[per-path."models/m"]\nignore = ["scheduling"]', (), 1, BOTH[1:], 1),
    "a name": ('[per-path.n]\nignore = ["ALL"]', (), 1, BOTH[:1], 1),
    "a file": ('[per-path."*/m/config.*"]\nselect = ["vllm"]', (), 1, BOTH[1:], 1),
    "a path that is not there": ('[per-path."m/*"]\nignore = ["ALL"]', (), 1, BOTH, 0),
}


@pytest.mark.parametrize(("text", "options", "code", "left", "hidden"), SETTINGS.values(), ids=SETTINGS)
def test_settings_say_what_is_shown(  # the columns of the table
    findings: Findings, text: str, options: tuple[str, ...], code: int, left: list[str], hidden: int
) -> None:
    ended, said, summary = findings(text, "--gpus", "0", *options)
    assert (ended, said, summary["hidden"]) == (code, left, hidden)
    assert summary["verdicts"] == {"refused": 2}


def test_what_settings_hide_is_said(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models.parent / NAME).write_text('ignore = ["ALL"]')
    assert run(["validate", "models"]) == 0
    assert capsys.readouterr().out == f"2 models: no problems found, 2 hidden by {NAME}\n"
    os.chdir(models)
    run(["validate", "."])
    assert capsys.readouterr().out == f"2 models: no problems found, 2 hidden by ../{NAME}\n"


AIMED = {
    "release": ('release = "24.05"', (), "24.05"),
    "release on the command line": ('release = "24.05"', ("--release", "24.08"), "24.08"),
}


@pytest.mark.parametrize(("target", "options", "release"), AIMED.values(), ids=AIMED)
def test_settings_name_the_server(
    models: Path, capsys: pytest.CaptureFixture[str], target: str, options: tuple[str, ...], release: str
) -> None:
    (models.parent / NAME).write_text(f"[target]\n{target}\n")
    assert run(["validate", models.name, "--image", "nosuch", *options]) == 2
    assert f'Triton {release} has no image "nosuch"' in capsys.readouterr().err


def test_every_key_of_the_target_counts() -> None:
    text = b'[target]\nimages = ["py3", "a/b:1"]\ngpus = 0\ngpu = "L4"\ngpu-memory = "20GiB"\nauto-complete = false\n'
    said = read(text, NAME, Path()).target
    assert (said.images, said.gpus, said.auto_complete) == (("py3", "a/b:1"), 0, False)
    assert (said.gpu_memory, said.gpu and said.gpu.name, said.release) == (20 << 30, "L4", None)


def test_a_built_repository_is_checked_for_its_own_target(
    rag_repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[target]\nrelease = "24.01"\nimages = ["trtllm-python-py3"]\n')
    assert run(["validate", str(rag_repository), "--config", str(own)]) == 0
    assert capsys.readouterr().out == "9 models: no problems found\n"


def test_links_may_lead_into_directories_of_the_project(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models.parent / "weights").mkdir()
    (models.parent / "weights" / "w").touch()
    (models / "m" / "1" / "w").symlink_to("../../../weights/w")
    assert run(["validate", "models", "--select", "link"]) == 1
    (models.parent / NAME).write_text('allow-links = ["weights"]')
    assert run(["validate", "models", "--select", "link"]) == 0
    (models.parent / NAME).write_text('allow-links = ["out"]')
    (models.parent / "out").symlink_to("/")
    capsys.readouterr()
    assert run(["validate", "models"]) == 2
    assert "out leads out of" in capsys.readouterr().err


def test_an_upgrade_knows_the_settings(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "m" / "config.pbtxt").write_text(CONFIG + "instance_group { secondary_devices { kind: KIND_NVDLA } }\n")
    (models.parent / NAME).write_text('ignore = ["ALL"]\n[target]\nrelease = "24.05"\n')
    run(["validate", "models", "--upgrade-to", "24.10"])
    assert "24.05" in capsys.readouterr().out


def test_the_nearest_settings_apply_up_to_the_top_of_the_work_tree(models: Path) -> None:
    ignoring, other = f'ignore = ["{ABOVE}"]', 'ignore = ["vllm"]'
    (models.parent.parent / NAME).write_text(ignoring)
    assert run(["validate", "models"]) == 0
    (models.parent / NAME).write_text(other)
    assert run(["validate", "models"]) == 1
    (models / NAME).write_text(ignoring)
    assert run(["validate", "models"]) == 0
    assert run(["validate", "models", "--config", NAME]) == 1
    (models / NAME).unlink()
    (models.parent / NAME).unlink()
    (models.parent / ".git").touch()
    assert run(["validate", "models"]) == 1


def test_nothing_is_found_from_a_directory_that_is_gone(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = models.parent / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()
    assert run(["validate", "models"]) == 2
    assert "models: fatal: the working directory does not exist any more" in capsys.readouterr().err
    assert run(["validate", str(models)]) == 1


def test_each_path_has_its_own_settings(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models.parent / "more" / "o").mkdir(parents=True)
    (models.parent / "more" / "o" / "config.pbtxt").write_text(CONFIG)
    (models.parent / "more" / NAME).write_text('ignore = ["ALL"]')
    assert run(["validate", "models", "more"]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"3 models: 2 errors, 2 hidden by more/{NAME}"


OWNERS = {
    "this user": (7, 7, 8, True),
    "root": (0, 7, 8, True),
    "who owns the models": (8, 7, 8, True),
    "another": (9, 7, 8, False),
    "another than root": (9, 0, 8, False),
}


@tabled(("owner", "user", "home", "used"), OWNERS.values(), ids=OWNERS)
def test_settings_of_another_user_are_not_used(owner: int, user: int, home: int, used: bool) -> None:  # noqa: FBT001
    assert trusts(owner, user, home) is used


def test_settings_of_another_user_are_named(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (models.parent / NAME).touch()
    monkeypatch.setattr("tritonrepo.flows.settings.trusts", lambda *_: False)
    assert run(["validate", "models"]) == 2
    assert f"{NAME}: fatal: the settings belong to another user" in capsys.readouterr().err
    assert run(["validate", "models", "--isolated"]) == 1
    assert run(["validate", "models", "--config", NAME]) == 1


WRONG = {
    "an unknown key": ("strikt = true", ['1:1: unknown key "strikt"'], 'Did you mean "strict"?'),
    "an unknown key of the target": ("[target]\ngpu_memory = 1", ['2:1: unknown key "gpu_memory" in "target"'], "gpu-"),
    "an unknown key of a path": ('[per-path."a"]\nignor = []', ['2:1: unknown key "ignor" in "a"'], "ignore"),
    "a table of the wrong name": ("[targets]\ngpus = 1", ['1:2: unknown key "targets"'], "target"),
    "an array of tables": ("[[target]]\ngpus = 1", ['1:3: "target" must be a table'], ""),
    "no list": ('ignore = "dynamic"', ['1:10: "ignore" must be a list of strings'], ""),
    "a list of numbers": ("ignore = [1]", ['1:10: "ignore" must be a list of strings'], ""),
    "a number for a flag": ("strict = 1", ['1:10: "strict" must be true or false'], ""),
    "a flag for a number": ("[target]\ngpus = true", ['2:8: "gpus" must be a number of 0 or more'], ""),
    "an unknown rule": (
        'ignore = [\n  "scheduling", # all\n  "dynamic-prefered-above-max"]',
        ['3:3: unknown rule "dynamic-prefered-above-max"'],
        f'Did you mean "{ABOVE}"?',
    ),
    "an unknown rule of a path": ('per-path.a = {select = ["x"]}', ['1:25: unknown rule "x"'], "explain --all"),
    "an unknown rule that a path ignores": (
        'per-path.a = {ignore = ["x"]}',
        ['1:25: unknown rule "x"'],
        "explain --all",
    ),
    "an unknown rule's severity": (
        'severity = {vlmm = "off"}',
        ['1:13: unknown rule "vlmm"'],
        "The closest are: vllm-",
    ),
    "an unknown severity": ('[severity]\nvllm = "of"', ['2:8: the severity of "vllm" is unknown'], 'you mean "off"?'),
    "a severity of 1": (
        "[severity]\nvllm = 1",
        ['2:8: the severity of "vllm" is unknown'],
        "error, warning, info, off",
    ),
    "a severity that no rule has": (
        '[severity]\nvllm = "fatal"',
        ['2:8: the severity of "vllm" is unknown'],
        "Use one",
    ),
    "an unknown release": (
        '[target]\nrelease = "24.13"',
        ['2:11: unknown Triton release "24.13"'],
        "Use a release from",
    ),
    "an unknown image": ('[target]\nimages = ["py3", "vlm"]', ['2:18: unknown image "vlm"'], "py3"),
    "an image of a release": (
        '[target]\nimages = ["nvcr.io/nvidia/tritonserver:24.10-py3"]',
        ['2:11: unknown image "nvcr.io/nvidia/tritonserver:24.10-py3"'],
        "Set release and images",
    ),
    "an unknown GPU": ('[target]\ngpu = "L5"', ['2:7: unknown GPU "L5"'], ""),
    "no size": ('[target]\ngpu-memory = "80"', ['2:14: "80" is not a size'], "80GiB"),
    "a glob of the root": ('[per-path."/m"]', ['1:11: the glob "/m" is not relative to the directory'], "legacy/**"),
    "a glob that leads up": ('[per-path."../m"]', ['1:11: the glob "../m" is not relative to the directory'], ""),
    "a glob with a class": ('[per-path."m[12]"]', ['1:11: the glob "m[12]" has a "[", which no glob'], ""),
    "an empty glob": ('[per-path.""]', ["1:11: the glob is empty"], ""),
    "a glob without a table": ('per-path.m = "x"', ['1:14: "m" must be a table'], ""),
    "a baseline elsewhere": ('baseline = "../b"', ['1:12: "../b" is not below the directory of the settings'], ""),
    "links to everywhere": ('allow-links = ["/"]', ['1:16: "/" is not below the directory of the settings'], ""),
    "many faults": (
        "a = 1\n[target]\ngpus = -1\n[severity]\nx = 1",
        [
            '1:1: unknown key "a"',
            '3:8: "gpus" must be a number of 0 or more',
            '5:1: unknown rule "x"',
            '5:5: the severity of "x" is unknown',
        ],
        "",
    ),
    "a key twice": ("strict = true\nstrict = true", ["2:14: the settings are not TOML: cannot overwrite a value"], ""),
    "a table twice": ("[target]\n[target]", ["2:8: the settings are not TOML: cannot declare ('target',) twice"], ""),
    "no TOML": ("- strict", ["1:3: the settings are not TOML: expected '=' after a key"], "at this place"),
    "an open string": ('baseline = "x', ["1:14: the settings are not TOML: unterminated string"], ""),
    "many dots": ("a" + ".a" * 20 + " = 1", ["1:34: a key has more than 16 dots"], "three levels"),
    "a long number": ("strict = " + "9" * 5000, [": the settings are not TOML: exceeds the limit"], ""),
    "a deep list": ("ignore = " + "[" * 5000 + "]" * 5000, [": the settings are nested too deeply"], ""),
    "a huge file": ("#" * (1 << 20) + "x", [": the settings have 1,048,577 bytes, but at most 1,048,576 are read"], ""),
    "a byte that is not UTF-8": ("strict = true # é\udcff", ["1:18: the byte 0xff is not UTF-8"], "as UTF-8"),
    "a NUL": ("strict = true\0", ["1:14: the settings are not TOML: expected newline"], ""),
    "a command to a service": ('"::error::x" = 1', ['1:1: unknown key "::error::x"'], ""),
    "a terminal escape": ('"\\u001b[31m" = 1', ['1:1: unknown key "\\x1b[31m"'], ""),
}


@pytest.mark.parametrize(("text", "says", "hint"), WRONG.values(), ids=WRONG)
def test_wrong_settings_are_told_at_their_places(
    here: Path, capsys: pytest.CaptureFixture[str], text: str, says: list[str], hint: str
) -> None:
    Path("models", "m").mkdir(parents=True)
    Path(NAME).write_bytes(text.encode("utf-8", "surrogateescape"))
    before = state(here)
    assert run(["validate", "models"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = told(err)
    assert len(lines) == len(says)
    wanted = [f"{NAME}{'' if place.startswith(':') else ':'}{place}" for place in says]
    assert [line[: len(start)] for line, start in zip(lines, wanted, strict=True)] == wanted
    assert hint in err
    assert state(here) == before


def test_of_many_faults_the_first_are_told(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models.parent / NAME).write_text("".join(f"x{number} = 1\n" for number in range(1000)))
    assert run(["validate", models.name]) == 2
    assert len(told(capsys.readouterr().err)) == 100


KINDS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a directory": (lambda path: path.mkdir(), "is not a regular file"),
    "a FIFO": (os.mkfifo, "is not a regular file"),
    "a dangling link": (lambda path: path.symlink_to("nowhere"), "is a dangling link"),
    "a link to itself": (lambda path: path.symlink_to(NAME), "is a dangling link"),
    "a link that leads out": (lambda path: path.symlink_to("/etc/passwd"), "leads out of"),
}


@pytest.mark.parametrize(("make", "says"), KINDS.values(), ids=KINDS)
def test_settings_must_be_a_file(
    models: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], object], says: str
) -> None:
    make(models.parent / NAME)
    assert run(["validate", "models"]) == 2
    said = capsys.readouterr()
    assert says in said.err
    assert said.out == ""
    assert run(["validate", "models", "--isolated"]) == 1


def test_settings_that_are_named_must_exist(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", models.name, "--config", "nowhere.toml"]) == 2
    assert "nowhere.toml: fatal: the settings file does not exist" in capsys.readouterr().err
    assert run(["validate", models.name, "--config", "a", "--isolated"]) == 2


GLOBS = {
    "a name at any depth": ("config.pbtxt", "a/b/config.pbtxt", True),
    "a directory at any depth": ("b", "a/b/config.pbtxt", True),
    "a directory with a slash": ("b/", "a/b/config.pbtxt", True),
    "a path from the top": ("a/b", "a/b/c", True),
    "a path from elsewhere": ("b/c", "a/b/c", False),
    "a star in a name": ("a*c", "abc", True),
    "a star is no slash": ("a*c/x", "a/b/c/x", False),
    "a mark": ("a?c", "abc", True),
    "a mark is one character": ("a?c", "abbc", False),
    "any directories": ("a/**/d", "a/b/c/d", True),
    "no directory": ("a/**/d", "a/d", True),
    "everything below": ("a/**", "a/b/c", True),
    "not itself longer": ("a", "ab", False),
    "stars that must go back": ("*ab*ab", "aabxabab", True),
    "upper case": ("A", "a", False),
}


@tabled(("glob", "path", "does"), GLOBS.values(), ids=GLOBS)
def test_a_glob_matches(glob: str, path: str, does: bool) -> None:  # noqa: FBT001
    assert matches(glob, path) is does


def test_a_glob_with_many_stars_takes_its_time_and_no_more() -> None:
    assert not matches("*a" * 200 + "b", "a" * 2000)
    assert not matches("**/a/" * 200 + "b", "a/" * 2000 + "c")


PLACES = r'''# a comment with "quotes" and [brackets]
title = """
x = 1""""
select = [ 'a', "b\"]", # c
  """]
""", { x = 1 }, ]
[ target . "a b" ]
release = 1979-05-27 07:32:00 # date
x.'y' = {q = [1, 2], "z\u0041" = '''

PLACES += "'''}''' }\n[[more]]\nb = 1\n"


def test_each_key_and_value_has_its_place() -> None:
    document = parse(PLACES.replace("\n", "\r\n").encode(), "f")
    keys = {".".join(map(str, path)): str(at).removeprefix("f:") for path, at in document.keys.items()}
    values = {".".join(map(str, path)): str(at).removeprefix("f:") for path, at in document.values.items()}
    assert keys == {
        "title": "2:1",
        "select": "4:1",
        "select.3.x": "6:8",
        "target": "7:3",
        "target.a b": "7:12",
        "target.a b.release": "8:1",
        "target.a b.x": "9:1",
        "target.a b.x.y": "9:3",
        "target.a b.x.y.q": "9:10",
        "target.a b.x.y.zA": "9:22",
        "more": "10:3",
        "more.b": "11:1",
    }
    assert values["select.1"] == "4:17"
    assert values["select.3"] == "6:6"
    assert (values["target.a b.release"], values["target.a b.x.y.q.1"]) == ("8:11", "9:18")


BUCKET = "s3://bucket/models"


@pytest.mark.parametrize("uri", [BUCKET, f"{BUCKET}/"])
def test_of_a_bucket_the_globs_are_relative_to_the_repository(inside: Path, uri: str) -> None:
    (inside / NAME).write_text('[per-path."m/*"]\nignore = ["ALL"]')
    found = tuple(
        Diagnostic(ABOVE, Severity.ERROR, Span(f"{BUCKET}/{name}/config.pbtxt"), "x", "", name) for name in ("m", "n")
    )

    def judged(*_: object) -> Judgement:
        return Judgement(found, (), lambda _: [])

    def checked(plan: Plan) -> Judgement:
        return Settled(Workspace(), aim(None, (), None), Wanted(), plan).check(uri, judged)

    assert checked(Plan()).diagnostics == found
    assert checked(Plan(Source(inside / NAME))).diagnostics == found[1:]


def test_of_a_bucket_a_baseline_has_the_uri(inside: Path) -> None:
    found = Diagnostic(ABOVE, Severity.ERROR, Span("s3://u:p@h:1/b/m/config.pbtxt"), "x", "", "m")

    def settled(plan: Plan) -> tuple[Settled, Judgement]:
        run = Settled(Workspace(), aim(None, (), None), Wanted(), plan)
        return run, run.check("s3://u:p@h:1/b", lambda *_: Judgement((found,), (), lambda _: []))

    settled(Plan(rewritten=inside / "b"))[0].end()
    assert "u:p" not in (inside / "b").read_text()
    assert settled(Plan(baseline=inside / "b"))[1].diagnostics == ()
    assert not settled(Plan())[0].end()


def test_no_other_command_reads_settings(inside: Path) -> None:
    (inside / NAME).write_text("no settings")
    (inside / "w").touch()
    (inside / "tritonrepo.yaml").write_text(
        'name: s\ntarget: {release: "24.10"}\nmodels: {m: {backend: identity, source: ./w, config: {}}}\n'
    )
    assert run(["validate", "tritonrepo.yaml"]) == 2
    assert run(["graph"]) == run(["build"]) == 0
    options = {
        name: {option for each in command.params for option in each.opts} for name, command in commands().items()
    }
    assert [name for name, each in options.items() if "--isolated" in each] == ["validate"]


def test_the_schema_says_what_the_reader_does() -> None:
    judge = jsonschema.Draft7Validator(schema())
    assert schema() == json.loads(Path(__file__).parent.parent.joinpath("schemas/settings.schema.json").read_text())
    for name, (text, _, _) in WRONG.items():
        try:
            data = parse(text.encode("utf-8", "surrogateescape"), "f").data
        except Stop:
            continue
        told_by_words = {"rule", "release", "image", "GPU", "size", "glob", "elsewhere", "everywhere"}
        if told_by_words.isdisjoint(name.replace("'s", "").split()) or name == "an unknown rule severity":
            assert not judge.is_valid(data), name
    for name, (text, *_) in SETTINGS.items():
        assert judge.is_valid(parse(text.encode(), "f").data), name


def test_the_example_of_the_page_has_every_key_and_can_be_read() -> None:
    (block,) = (each for each in blocks("settings.md") if each.language == "toml")
    settings = read(block.text.encode(), NAME, Path())
    data = parse(block.text.encode(), NAME).data
    assert (data.keys(), data["target"].keys()) == (TOP.keys(), TARGET.keys())
    assert settings.severities[ABOVE] is Severity.ERROR
    assert settings.hides_at(ABOVE, "legacy/m/config.pbtxt")
    assert not settings.hides("vllm-decoupled-false")


def test_all_rules_can_be_named() -> None:
    assert read(b'ignore = ["ALL"]', NAME, Path()).ignore == RULES.keys()
