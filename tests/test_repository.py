"""What a server sees in a tree: versions as std::stoll reads them, policies, and what of it is closed to us."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.tabled import tabled
from tritonrepo.pbtxt import parse
from tritonrepo.repository import CONFIG_BYTES, Model, Said, read, target
from tritonrepo.repository.versions import selected, versions
from tritonrepo.rules import judge
from tritonrepo.smoke import expected
from tritonrepo.stores.directory import DirectoryStore
from tritonrepo.sync import gating
from tritonrepo.tree import Directory, File, Link, Outside, Tree, Unreadable, of_text

PACKAGE = Path(__file__).parent.parent / "tritonrepo"
CONFIG = 'backend: "identity"'


def model(path: Path) -> Model:
    return read(DirectoryStore(path).scan("r"), target(Said("24.10")), "r").models["m"]


def test_version_names_are_read_as_the_server_reads_them() -> None:
    found = versions([" 4", "+3", "-1", "0", "007", "1", "1.0", "1_0", "99999999999999999999", "configs", "v2"])
    assert found.found == {4: " 4", 3: "+3", -1: "-1", 0: "0", 1: "1"}
    assert found.leading_zero == ("007",)
    assert found.overflow == ("99999999999999999999",)
    assert found.no_number == ("v2",)
    assert found.collisions == {"1.0": 1, "1_0": 1}


def test_configs_was_not_a_reserved_name_before_24_05() -> None:
    assert versions(["configs"], config_names=False).no_number == ("configs",)
    tree: Tree = {"m/config.pbtxt": of_text(CONFIG), "m/configs": Directory()}
    assert read(tree, target(Said("24.04"))).models["m"].versions.no_number == ("configs",)
    assert read(tree, target(Said("24.05"))).models["m"].versions.no_number == ()


def test_the_plainly_named_directory_has_the_version_wherever_it_comes() -> None:
    for names in (["+1", "1", "1_old"], ["1", "1_old", "+1"], ["1_old", "+1", "1"]):
        found = versions(names)
        assert found.found == {1: "1"}
        assert set(found.collisions) == {"+1", "1_old"}


POLICIES = {
    "none": ("", (10,)),
    "empty": ("version_policy { }", (1, 2, 10)),
    "all": ("version_policy { all { } }", (1, 2, 10)),
    "latest 2": ("version_policy { latest { num_versions: 2 } }", (2, 10)),
    "latest 0": ("version_policy { latest { } }", ()),
    "specific": ("version_policy { specific { versions: [ 10, 3, 1 ] } }", (1, 10)),
    "specific, one that is not there named twice": ("version_policy { specific { versions: [ 3, 3 ] } }", (3,)),
}


@tabled(("text", "served"), POLICIES.values(), ids=POLICIES)
def test_a_policy_selects(text: str, served: tuple[int, ...]) -> None:
    policy = parse(text.encode(), "24.10").root.message("version_policy")
    assert selected({10, 2, 1}, policy) == served


def test_a_version_that_links_to_another_is_served(tmp_path: Path) -> None:
    (tmp_path / "r" / "m" / "1").mkdir(parents=True)
    (tmp_path / "r" / "m" / "1" / "model.py").touch()
    (tmp_path / "r" / "m" / "2").symlink_to("1")
    found = model(tmp_path)
    assert found.served == (2,)
    assert found.backend == "python"
    assert found.file("2/model.py") is not None


def test_what_we_cannot_read_is_still_a_directory(tmp_path: Path) -> None:
    (tmp_path / "r" / "m").mkdir(parents=True)
    (tmp_path / "r" / "m" / "config.pbtxt").write_text(CONFIG)
    (tmp_path / "r" / "m" / "3").symlink_to("/")
    os.mkfifo(tmp_path / "r" / "m" / "pipe")
    found = model(tmp_path)
    assert (found.served, found.directories) == ((3,), ("3",))
    assert dict(found.odd) == {"3": Outside("/"), "pipe": Unreadable.FIFO}
    assert not found.unknown


@pytest.mark.parametrize("kind", [Unreadable.FIFO, Unreadable.FORBIDDEN, Directory(), Link("/")], ids=str)
def test_a_config_that_cannot_be_read_is_unknown(kind: Unreadable | Directory | Link) -> None:
    found = read({"m/config.pbtxt": kind}, target(Said("24.10"))).models["m"]
    assert found.unknown
    assert found.parsed is None


def test_a_dangling_config_is_none_to_the_server() -> None:
    assert not read({"m/config.pbtxt": Unreadable.DANGLING}, target(Said("24.10"))).models["m"].unknown


def test_hidden_and_stray_directories_are_models_and_files_are_not() -> None:
    tree: Tree = {".git/HEAD": of_text(""), "docs": Directory(), "README.md": of_text(""), "pipe": Unreadable.FIFO}
    found = read(tree, target(Said("24.10")))
    assert list(found.models) == [".git", "docs"]
    assert list(found.strays) == ["README.md", "pipe"]
    assert len(judge(found).verdicts) == 2


PATHS = {
    "no root": ("", "1/x", "m/1/x"),
    "a root": ("models", "1/x", "models/m/1/x"),
    "with a slash": ("/models/", "1/x", "/models/m/1/x"),
    "an absolute path": ("/models", "/x", "/models/m/x"),
    "the model": ("/models", "", "/models/m"),
}


@tabled(("root", "path", "joined"), PATHS.values(), ids=PATHS)
def test_the_servers_texts_join_paths(root: str, path: str, joined: str) -> None:
    assert read({"m": Directory()}, target(Said("24.10")), root).models["m"].on_server(path) == joined


@pytest.mark.parametrize(("release", "taken"), [("24.10", False), ("24.11", True)])
def test_push_and_smoke_read_a_config_as_the_target_does(release: str, taken: bool) -> None:  # noqa: FBT001
    """The field model_metrics was added in 24.11: an earlier server refuses the config when it reads it."""
    server = target(Said(release))
    tree = {"m/config.pbtxt": of_text("model_metrics { }"), "m/1/x": of_text("x")}
    (pushed,), (smoked,) = gating.models(tree, server).values(), expected.of(read(tree, server), "r").values()
    assert (not pushed.gated, not smoked.fault) == (taken, taken)
    assert (pushed.served, smoked.versions) == (((1,), ("1",)) if taken else ((), ()))


def test_a_config_that_is_too_large_is_not_read() -> None:
    """A server would read up to 2 GiB, but nobody has a config of this size."""

    def unread(_: int, __: int) -> bytes:
        raise AssertionError

    tree = {"m/config.pbtxt": File(CONFIG_BYTES + 1, unread), "m/1/x": of_text("x")}
    assert read(tree, target()).models["m"].hidden
    assert expected.of(read(tree, target()), "r")["m"].fault == "config.pbtxt is not a readable file"


def test_the_repository_has_one_reader() -> None:
    """Beside it `parse` serves those that edit or compare configs, or look for a place in one that they wrote."""
    users = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if re.search(r"^from tritonrepo\.pbtxt(\.parser)? import .*\bparse\b", path.read_text("utf-8"), re.MULTILINE)
    }
    users = {path for path in users if not path.startswith(("pbtxt/", "rules/"))}
    assert users == {"repository/__init__.py", "sync/gating.py", "sync/comparing.py", "generate/origins.py"}


CALLS = {"a": ["b", "c"], "b": ["c"], "c": ["a"], "d": ["d"]}


@pytest.mark.parametrize(("start", "found"), [("a", "abc"), ("c", "abc"), ("d", "d"), ("", "")])
def test_what_is_reached_by_calls_ends_on_cycles(start: str, found: str) -> None:
    assert gating.reached(start, lambda name: CALLS[name]) == {*found}
