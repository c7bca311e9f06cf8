"""Fixes are written whole or not at all, into files that are still what was judged, and never through a link."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tritonrepo.diagnostics import Create, Move, Remove
from tritonrepo.fixes import Step, Write, after
from tritonrepo.stores import inplace, renaming
from tritonrepo.stores.ground import ACCESS, AGAIN, BESIDE, CHANGED
from tritonrepo.stores.inplace import Undone, carry_out
from tritonrepo.stores.walk import Walk
from tritonrepo.tree import Entry, File, once

FILES = {
    "m/config.pbtxt": "old\n",
    "m/01/weights": "w",
    "m/01/deep/er": "d",
    "m/stray": "s",
    "n/config.pbtxt": "old\n",
}
WRITE = Write("m/config.pbtxt", b"new\n")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A directory with two models."""
    for path, text in FILES.items():
        (tmp_path / "models" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / path).write_text(text)
    return tmp_path / "models"


def scanned(top: Path) -> dict[str, Entry]:
    return {path: once(entry) if isinstance(entry, File) else entry for path, entry in Walk(top).found.items()}


def contents(tree: dict[str, Entry]) -> dict[str, bytes | Entry]:
    return {path: entry.content() if isinstance(entry, File) else entry for path, entry in tree.items()}


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


STEPS: dict[str, list[Step]] = {
    "a text": [WRITE],
    "a directory": [Move("m/01", "m/1")],
    "a file into a new directory": [Move("m/01/weights", "m/2/a/weights")],
    "a text and its file": [WRITE, Move("m/config.pbtxt", "m/0/config.pbtxt")],
    "a text, its directory, and the text again": [
        Write("m/01/deep/er", b"1"),
        Move("m/01", "m/1"),
        Write("m/1/deep/er", b"2"),
    ],
    "a text before and after something else": [WRITE, Remove("m/stray"), Write("m/config.pbtxt", b"newer")],
    "a new text": [Create("m/labels.txt", "a\n")],
    "a new directory": [Create("m/1")],
    "what is removed": [Remove("m/stray"), Remove("m/01")],
    "what takes the place of another": [Remove("m/stray"), Move("n/config.pbtxt", "m/stray"), Create("n/1")],
    "models with another name": [Move("m", "o"), Write("o/config.pbtxt", b"o"), Move("n", "m"), WRITE],
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_a_directory_becomes_what_the_steps_make_of_its_tree(top: Path, steps: list[Step]) -> None:
    before = scanned(top)
    wanted = contents(after(before, steps))
    assert carry_out(top, before, steps) == []
    assert contents(scanned(top)) == wanted


def test_a_file_keeps_its_mode_and_a_hard_link_its_old_content(top: Path, tmp_path: Path) -> None:
    config = top / "m" / "config.pbtxt"
    config.chmod(0o640)
    os.link(config, tmp_path / "other name")
    assert carry_out(top, scanned(top), [WRITE]) == []
    assert (stat.S_IMODE(config.stat().st_mode), config.read_text()) == (0o640, "new\n")
    assert (tmp_path / "other name").read_text() == "old\n"


def test_a_file_that_has_the_text_already_is_not_written(top: Path) -> None:
    before = scanned(top)
    contents(before)
    (top / "m" / "config.pbtxt").write_bytes(WRITE.content)
    state = (top / "m" / "config.pbtxt").stat()
    assert carry_out(top, before, [WRITE]) == []
    assert (top / "m" / "config.pbtxt").stat() == state


def linked(top: Path) -> None:
    (top / "m").rename(top.parent / "away")
    (top / "m").symlink_to(top.parent / "away")


def replaced(top: Path) -> None:
    config = top / "m" / "config.pbtxt"
    config.rename(top.parent / "away")
    config.symlink_to(top.parent / "away")


APPEARED = "a file has appeared where the fix would create one"
LINK = "the path leads through a link or to something other than a file; it was not read"
MEANWHILE: dict[str, tuple[Callable[[Path], object], list[Step], tuple[str, str, str]]] = {
    "another text": (
        lambda top: (top / "m/config.pbtxt").write_text("mine"),
        [WRITE],
        ("m/config.pbtxt", CHANGED, AGAIN),
    ),
    "no file": (lambda top: (top / "m/config.pbtxt").unlink(), [WRITE], ("m/config.pbtxt", CHANGED, AGAIN)),
    "a link to a file": (replaced, [WRITE], ("m/config.pbtxt", LINK, AGAIN)),
    "a link to a directory": (linked, [WRITE], ("m/config.pbtxt", LINK, AGAIN)),
    "a read-only file": (
        lambda top: (top / "m/config.pbtxt").chmod(0o444),
        [WRITE],
        ("m/config.pbtxt", "the file is read-only", ACCESS),
    ),
    "a file where one is created": (
        lambda top: (top / "m/1").write_text("mine"),
        [Create("m/1")],
        ("m/1", APPEARED, AGAIN),
    ),
    "a file where one moves": (
        lambda top: (top / "m/1").write_text("mine"),
        [Move("m/01", "m/1")],
        ("m/1", APPEARED, AGAIN),
    ),
    "nothing to move": (
        lambda top: (top / "m/stray").unlink(),
        [Move("m/stray", "m/1")],
        ("m/stray", "the file is no longer there", AGAIN),
    ),
    "another file to remove": (
        lambda top: (top / "m/stray").write_text("mine"),
        [Remove("m/stray")],
        ("m/stray", CHANGED, AGAIN),
    ),
    "one more file to remove": (
        lambda top: (top / "m/01/mine").touch(),
        [Remove("m/01")],
        ("m/01", "a file has appeared in the directory since it was read", AGAIN),
    ),
}


@pytest.mark.parametrize(("change", "steps", "said"), MEANWHILE.values(), ids=MEANWHILE)
def test_what_has_changed_meanwhile_stays_and_the_other_models_are_fixed(
    top: Path, change: Callable[[Path], object], steps: list[Step], said: tuple[str, str, str]
) -> None:
    before = scanned(top)
    contents(before)  # read what was judged
    change(top)
    there = contents(Walk(top, [top.parent]).found)
    found = carry_out(top, before, [Create("m/early"), *steps, Write("n/config.pbtxt", b"new\n")])
    assert found == [Undone(*said, frozenset({"m"}))]
    assert contents(Walk(top, [top.parent]).found) == {**there, "n/config.pbtxt": b"new\n"}


def test_a_full_disk_ends_it_and_leaves_nothing_half_written(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fchmod", full)
    before = scanned(top)
    (found,) = carry_out(top, before, [WRITE, Write("n/config.pbtxt", b"new\n")])
    assert found.reason == "the file cannot be written: No space left on device"
    assert found.tops == {"m", "n"}
    assert contents(scanned(top)) == contents(before)


def test_what_a_killed_run_left_is_removed(top: Path) -> None:
    before = scanned(top)
    (top / "m" / f"{BESIDE}1").touch()
    (top / "m" / f"{BESIDE}2" / "a").mkdir(parents=True)
    assert carry_out(top, before, [WRITE]) == []
    assert contents(scanned(top)) == {**contents(before), "m/config.pbtxt": b"new\n"}


@pytest.mark.parametrize("number", [0, errno.ENOSYS], ids=["Linux", "a system without the call"])
def test_a_rename_replaces_nothing(top: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    if number:
        monkeypatch.setattr(renaming, "_renamed", lambda *_: number)
    here = os.open(top / "m", os.O_RDONLY)
    try:
        with pytest.raises(FileExistsError):
            renaming.rename_to_free((here, "stray"), (here, "config.pbtxt"))
        with pytest.raises(FileNotFoundError):
            renaming.rename_to_free((here, "nothing"), (here, "free"))
        renaming.rename_to_free((here, "01"), (here, "1"))
    finally:
        os.close(here)
    assert names(top / "m") == ["1", "config.pbtxt", "stray"]


def test_a_file_that_appears_at_the_last_moment_stays(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rename = renaming.rename_to_free

    def late(source: tuple[int, str], target: tuple[int, str]) -> None:
        (top / "m" / "labels.txt").write_text("mine")
        rename(source, target)

    monkeypatch.setattr(inplace, "rename_to_free", late)
    (found,) = carry_out(top, scanned(top), [Create("m/labels.txt", "ours")])
    assert found.reason == "the file cannot be written: File exists"
    assert (top / "m" / "labels.txt").read_text() == "mine"
    assert names(top / "m") == ["01", "config.pbtxt", "labels.txt", "stray"]
