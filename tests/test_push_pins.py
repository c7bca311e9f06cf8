"""`push --pin-versions`: configs that leave the choice of versions to the server name those that it serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pushes import CODE, LEAF, push, repository
from tests.tabled import tabled
from tritonrepo.repository import target
from tritonrepo.sync.pinning import pinned
from tritonrepo.sync.push import plan
from tritonrepo.tree import Directory, Entry, File, of_text

OPEN = LEAF.replace("version_policy {{ specific {{ versions: [ {version} ] }} }}", "# by hand").format()
NAMES = "version_policy {{ specific {{ versions: [ {} ] }} }}"
TEXT = '# by hand\nname: "m"  # kept\nbackend: "python"\n'

TEXTS = {
    "no policy": (TEXT, TEXT + NAMES.format("2") + "\n"),
    "the latest": (
        TEXT + "version_policy { latest { num_versions: 1 } }  # why\n",
        TEXT + NAMES.format("2") + "  # why\n",
    ),
    "the latest two": (TEXT + "version_policy { latest { num_versions: 2 } }", TEXT + NAMES.format("1, 2")),
    "all": (TEXT + "version_policy: { all: {} }", TEXT + "version_policy: { specific { versions: [ 1, 2 ] } }"),
    "named ones": (TEXT + NAMES.format("1"), TEXT + NAMES.format("1")),
    "none that exists": (TEXT + NAMES.format("7"), TEXT + NAMES.format("7")),
    "no version at all": (TEXT + "version_policy { latest { num_versions: 0 } }", None),
    "another name": ('name: "other"\nbackend: "python"\n', None),
    "no config": ("not a config", None),
}


@tabled(("before", "after"), TEXTS.values(), ids=TEXTS)
def test_a_config_names_what_it_serves_and_keeps_every_other_byte(before: str, after: str | None) -> None:
    tree: dict[str, Entry] = {"m/config.pbtxt": of_text(before), "m/1/model.py": of_text(CODE), "m/2": Directory()}
    found = pinned(tree, target())
    assert found.keys() == tree.keys()
    config = found["m/config.pbtxt"]
    assert isinstance(config, File)
    assert config.content().decode() == (before if after is None else after)
    assert pinned(found, target())["m/config.pbtxt"] == config


def written(made: Path, version: int) -> Path:
    """Write a leaf without a policy, in this version alone, and the pipeline that pins it."""
    repository(made, version)
    (made / "leaf" / "config.pbtxt").write_text(OPEN, "utf-8")
    return made


def naming(version: int) -> str:
    """Return the leaf's config with the version that it names."""
    return OPEN.replace("max_batch_size", f"{NAMES.format(version)}\nmax_batch_size")


def config(place: Path) -> str:
    return (place / "leaf" / "config.pbtxt").read_text("utf-8")


def test_a_push_says_which_models_it_could_pin_and_pins_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, place = written(tmp_path / "m", 1), tmp_path / "served"
    told = f"{place}: warning: servers load any version that appears, even half-written, of leaf [push-unpinned]\n"
    assert push(made, place) == 0
    assert told in capsys.readouterr().err
    assert config(place) == OPEN
    assert push(made, place) == 0
    assert "push-unpinned" not in capsys.readouterr().err, "nothing is sent"

    assert push(made, place, "--pin-versions", "--dry-run") == 0
    assert "~ leaf/config.pbtxt  names version 1, so that servers load no other\n" in capsys.readouterr().out
    assert config(place) == OPEN
    assert push(made, place, "--pin-versions") == 0
    assert "push-unpinned" not in capsys.readouterr().err
    assert config(place) == naming(1)
    assert config(made) == OPEN

    assert push(made, place, "--pin-versions") == 0
    assert capsys.readouterr().out == f"{place}: nothing to do\n"
    assert push(made, place, "--dry-run") == 0
    said = capsys.readouterr()
    assert "~ leaf/config.pbtxt  no longer names versions\n" in said.out
    assert told in said.err
    assert config(place) == naming(1)


def test_a_pinned_model_moves_to_another_version_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Back too: an older version is none that the latest one shadows."""
    place = tmp_path / "served"
    assert push(written(tmp_path / "one", 1), place, "--pin-versions") == 0
    assert push(written(tmp_path / "two", 2), place, "--pin-versions") == 0
    plans = capsys.readouterr().out
    assert "leaf/config.pbtxt  keeps serving only" not in plans, "a pinned config holds the new version back"
    assert "expand\n  ~ leaf/config.pbtxt  serves versions 1 and 2\n" in plans
    assert config(place) == naming(2)
    assert push(tmp_path / "one", place) == 1
    assert "version_policy would select other versions" in capsys.readouterr().err
    assert push(tmp_path / "one", place, "--pin-versions") == 0
    assert config(place) == naming(1)


def test_of_many_models_the_first_are_named() -> None:
    tree: dict[str, Entry] = {}
    for number in range(7):
        tree |= {f"m{number}/config.pbtxt": of_text('backend: "python"'), f"m{number}/1/model.py": of_text(CODE)}
    (note,) = plan(tree, {}, "s3://b/prod").notes
    assert note.message.endswith("of m0, m1, m2, m3, m4 and 2 more")
