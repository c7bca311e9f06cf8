"""The files of a deployment are written as those of a build: whole or not at all, and never over what others wrote."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.test_deploy import docker, here, made, one, read
from tritonrepo import api
from tritonrepo.cli import run
from tritonrepo.flows import deployment
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.tree import File

__all__ = ["here"]

OUT = Path("deploy")
COMPOSE = OUT / "compose.yaml"


def texts() -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in OUT.iterdir() if path.is_file()}


@pytest.fixture
def written(here: Path) -> Path:
    """A deployment of a repository with one model."""
    one()
    assert docker("models") == 0
    return here


@pytest.mark.usefixtures("written")
def test_the_same_again_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in OUT.iterdir()}
    capsys.readouterr()
    assert docker("models", "--check") == 0
    assert docker("models") == 0
    assert capsys.readouterr().out == "deploy: nothing to do\n" * 2
    assert {path: path.stat().st_mtime_ns for path in OUT.iterdir()} == before
    assert docker("models", "-o", "other/place") == 0
    for name in (".env.example", "Dockerfile"):
        assert (OUT / name).exists() == (Path("other/place") / name).exists()


@pytest.mark.usefixtures("written")
def test_what_changes_is_shown_and_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    before = texts()
    for words, code in ((["--dry-run"], 0), (["--check"], 1)):
        assert docker("models", "--bind", "0.0.0.0", "--diff", *words) == code
        said = capsys.readouterr().out
        assert "~ compose.yaml  changed" in said
        assert '+      - "0.0.0.0:8000:8000"' in said
        assert texts() == before


@pytest.mark.usefixtures("written")
def test_a_file_that_was_edited_by_hand_is_kept_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    mine = COMPOSE.read_text("utf-8").replace("restart: unless-stopped", "restart: always")
    COMPOSE.write_text(mine, "utf-8")
    for words, code in (([], 0), (["--poll", "3"], 0), (["--check"], 1)):
        assert docker("models", *words) == code
        assert (
            "deploy/compose.yaml: warning: the file was changed by hand after deploy wrote" in capsys.readouterr().err
        )
        assert COMPOSE.read_text("utf-8") == mine
    assert docker("models", "--overwrite") == 0
    assert "restart: unless-stopped" in COMPOSE.read_text("utf-8")
    assert docker("models", "--check") == 0


@pytest.mark.usefixtures("here")
def test_files_of_others_are_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    one()
    OUT.mkdir()
    (OUT / "notes").write_text("mine", "utf-8")
    COMPOSE.write_text("services: {}\n", "utf-8")
    assert docker("models", "--overwrite") == 2
    assert (
        "deploy/compose.yaml: fatal: the deploy needs this path, but tritonrepo did not write"
        in capsys.readouterr().err
    )
    assert texts() == {"notes": "mine", "compose.yaml": "services: {}\n"}
    COMPOSE.unlink()
    Path("elsewhere").write_text("x", "utf-8")
    COMPOSE.symlink_to("../elsewhere")
    assert docker("models") == 2
    COMPOSE.unlink()
    COMPOSE.mkdir()
    assert docker("models") == 2
    assert "[plan-blocked]" in capsys.readouterr().err
    assert Path("elsewhere").read_text("utf-8") == "x"
    COMPOSE.rmdir()
    assert docker("models") == 0
    assert texts()["notes"] == "mine"


@pytest.mark.usefixtures("written")
def test_a_link_in_place_of_a_file_is_an_edit_that_is_not_followed(here: Path) -> None:
    target = here / "elsewhere"
    target.write_text("x", "utf-8")
    COMPOSE.unlink()
    COMPOSE.symlink_to(target)
    assert docker("models", "--poll", "3") == 0
    assert docker("models", "--poll", "3", "--overwrite") == 0
    assert target.read_text("utf-8") == "x"
    assert not COMPOSE.is_symlink()


RECORDS = {"text": "{", "a list": "[]", "another file's": '{"schema": 1}', "a later one": '{"schema": 9}'}


@pytest.mark.usefixtures("written")
@pytest.mark.parametrize("text", RECORDS.values(), ids=RECORDS)
def test_a_broken_record_is_named(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (OUT / deployment.RECORD).write_text(text, "utf-8")
    assert docker("models") == 2
    assert f"deploy/{deployment.RECORD}: fatal: the file is not the record of a deployment" in capsys.readouterr().err
    (OUT / deployment.RECORD).unlink()
    assert docker("models") == 0  # what is there is what would be written
    (OUT / deployment.RECORD).unlink()
    (OUT / deployment.RECORD).mkdir()
    assert docker("models") == 2


def test_a_record_cannot_name_files_elsewhere(written: Path) -> None:
    (written / "victim").write_text("x", "utf-8")
    (OUT / "link").symlink_to(written)
    before = texts()
    record = json.loads(before.pop(deployment.RECORD))
    digest = hashlib.sha256(b"x").hexdigest()
    for path in ("../victim", str(written / "victim"), "a/../../victim", "./Dockerfile", "", ".", "link/victim"):
        named = record | {"files": record["files"] | {path: digest}}
        (OUT / deployment.RECORD).write_text(json.dumps(named), "utf-8")
        assert docker("models", "--overwrite") == (0 if path == "link/victim" else 2), path
        assert (written / "victim").exists()
        assert texts().items() >= before.items()


ODD: dict[str, tuple[dict[str, object], str]] = {
    "another processor": ({"arch": "riscv64"}, ""),
    "fewer GPUs than none": ({"gpus": -5}, ""),
    "no number of GPUs": ({"gpus": "2"}, ""),
    "an image that is none": ({"images": ["$x\n"]}, 'Triton 26.07 has no image "$x\\n"'),
    "an image of one's own": ({"images": ["mine:1"]}, ""),
    "no images": ({"images": []}, ""),
    "no release": ({"release": None}, 'release "None", which this tritonrepo does not know'),
}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("target", "message"), ODD.values(), ids=ODD)
def test_a_record_of_a_build_can_say_anything(target: dict[str, object], message: str) -> None:
    """Whatever it says, the file is one that docker-compose reads, or the fault is named."""
    one()
    said = {"release": "26.07"} | target
    record = {"schema": 1, "name": "#: $x", "target": said, "files": {}, "local": {}}
    made("models", {"tritonrepo.json": record})
    try:
        api.apply_deploy(api.plan_deploy("models", OUT, api.Workspace()))
    except api.Stop as stop:
        assert message
        assert message in str(stop)
    else:
        assert not message
        assert read()["image"].startswith(("nvcr.io/", "mine:1"))


@pytest.mark.usefixtures("here")
def test_a_killed_run_is_finished_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    one()
    put, left = DirectoryStore.put, 0

    def dying(self: DirectoryStore, path: str, file: File, **conditions: object) -> object:
        nonlocal left
        left -= 1
        if left == 0:
            raise KeyboardInterrupt
        return put(self, path, file, **conditions)  # type: ignore[arg-type]

    codes = []
    for last in range(1, 9):
        words, left = ("models", "--bind", f"127.0.0.{last}"), last
        with monkeypatch.context() as patched:
            patched.setattr(DirectoryStore, "put", dying)
            codes.append(docker(*words))
        assert docker(*words) == 0
        assert docker(*words, "--check") == 0
    assert codes == [130, 130, 130, *[0] * 5]
    whole = texts()
    assert '"127.0.0.8:8000:8000"' in whole["compose.yaml"]
    assert whole.keys() == {"compose.yaml", ".env.example", deployment.RECORD}


@pytest.mark.usefixtures("here")
def test_of_two_runs_at_once_one_is_told_that_the_other_was_first() -> None:
    one()
    work = api.Workspace()
    same, other = (api.plan_deploy("models", OUT, work) for _ in range(2))
    third = api.plan_deploy("models", OUT, work, api.DeployOptions(gpu_ids=("0",)))
    api.apply_deploy(same)
    before = texts()
    api.apply_deploy(other)
    with pytest.raises(api.Stop, match="the file was changed after this deployment was planned"):
        api.apply_deploy(third)
    assert texts() == before


@pytest.mark.usefixtures("written")
def test_the_directory_can_be_a_link_and_is_no_build(here: Path) -> None:
    (here / "real").mkdir()
    (here / "link").symlink_to("real")
    assert docker("models", "-o", "link") == 0
    assert (here / "real" / "compose.yaml").read_text("utf-8").count(f'source: "{here / "models"}"') == 1
    assert run(["validate", "models"]) in {0, 1}
    assert not (OUT / "tritonrepo.json").exists()
